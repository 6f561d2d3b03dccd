// Writes to a source, through the gateway to its upstream.

extension FreshetClient {
    /// On what a write is based.
    public enum Precondition: Hashable, Sendable {
        /// Nothing: for sources with `conflict: overwrite`, and for what is created without a key.
        case none
        /// The value or item with this entity tag, as the gateway gave it, with its quotes.
        case matches(String)
        /// The value or item as it was at this cursor.
        case cursor(Cursor)
        /// Nothing of this key is there yet.
        case isAbsent
    }

    /// What a `PATCH` carries.
    public enum Patch: Sendable {
        /// A JSON Merge Patch (RFC 7396).
        case merge(JSONValue)
        /// A JSON Patch (RFC 6902).
        case operations(JSONValue)
    }

    /// A write that was carried out.
    public struct Receipt: Sendable {
        let core: ClientCore
        let answeredAt: ContinuousClock.Instant
        /// The source that was written to.
        public let source: String
        /// 200, 201 or 204.
        public let status: Int
        /// Where the write stands in the log: a stream that has reached it has shown the write.
        public let cursor: Cursor?
        /// The entity tag of what was written, for the next write.
        public let etag: String?
        /// What was written, as the upstream has it now; `nil` after a removal.
        public let value: JSONValue?
        /// The key of an item that was created.
        public let key: String?
        /// The key under which the gateway remembers the write.
        public let idempotencyKey: String

        /// Waits until the write is in every sequence of this client that follows the source as a whole: the next value that
        /// such a sequence hands out has it, unless an earlier one did. Returns at once where no sequence follows the source; one
        /// whose consumer lags so far that its buffer is full is not waited for.
        ///
        /// - Throws: `CancellationError`.
        public func settled() async throws {
            guard let cursor else { return }
            try await self.core.settlements.wait(for: .init(source: self.source, cursor: cursor, at: self.answeredAt))
        }
    }
}

extension FreshetClient.Source {
    /// Puts a value in the place of the source's, or of one item's.
    ///
    /// A write carries an idempotency key and is sent again where the outcome is not known, up to
    /// ``FreshetClient/Configuration/maxWriteAttempts`` times in all: it has its effect once.
    ///
    /// - Parameters:
    ///   - value: What is put there; `JSONValue(_:)` makes one of anything that is `Encodable`.
    ///   - item: The item's key; `nil` for the value as a whole.
    ///   - precondition: What the write is based on.
    ///   - idempotencyKey: Of a write whose outcome is not known from before; by default a new one.
    /// - Returns: Where the write stands, and what the upstream made of it.
    /// - Throws: ``FreshetClientError``.
    @discardableResult
    public func put(
        _ value: FreshetClient.JSONValue,
        item: String? = nil,
        if precondition: FreshetClient.Precondition = .none,
        idempotencyKey: String? = nil
    ) async throws -> FreshetClient.Receipt {
        try await self.write(.put, item, precondition, idempotencyKey, body: value.bytes)
    }

    /// Changes a part of the source's value, or of one item. See ``put(_:item:if:idempotencyKey:)``.
    @discardableResult
    public func patch(
        _ patch: FreshetClient.Patch,
        item: String? = nil,
        if precondition: FreshetClient.Precondition = .none,
        idempotencyKey: String? = nil
    ) async throws -> FreshetClient.Receipt {
        switch patch {
        case .merge(let json):
            let type = "application/merge-patch+json"
            return try await self.write(.patch, item, precondition, idempotencyKey, body: json.bytes, type: type)
        case .operations(let json):
            let type = "application/json-patch+json"
            return try await self.write(.patch, item, precondition, idempotencyKey, body: json.bytes, type: type)
        }
    }

    /// Removes the source's value, or one item. See ``put(_:item:if:idempotencyKey:)``.
    @discardableResult
    public func remove(
        item: String? = nil,
        if precondition: FreshetClient.Precondition = .none,
        idempotencyKey: String? = nil
    ) async throws -> FreshetClient.Receipt {
        try await self.write(.delete, item, precondition, idempotencyKey, body: nil)
    }

    /// Creates an item whose key the upstream chooses; ``FreshetClient/Receipt/key`` is that key.
    ///
    /// Where the outcome of a creation is not known, it is not sent again: a gateway without a durable log that has restarted
    /// would create a second item. See ``FreshetClientError/Code/outcomeUnknown``.
    ///
    /// - Throws: ``FreshetClientError``.
    @discardableResult
    public func create(
        _ value: FreshetClient.JSONValue,
        idempotencyKey: String? = nil
    ) async throws -> FreshetClient.Receipt {
        try await self.write(.post, nil, .none, idempotencyKey, body: value.bytes)
    }

    private func write(
        _ method: FreshetClient.Request.Method,
        _ item: String?,
        _ precondition: FreshetClient.Precondition,
        _ idempotencyKey: String?,
        body: [UInt8]?,
        type: String = "application/json"
    ) async throws -> FreshetClient.Receipt {
        let key = idempotencyKey ?? WriteStateMachine.newKey()
        var headers = [("idempotency-key", key), ("accept", "application/json")]
        if body != nil { headers.append(("content-type", type)) }
        switch precondition {
        case .none: break
        case .matches(let tag): headers.append(("if-match", tag))
        case .cursor(let cursor): headers.append(("if-match", "\"\(cursor)\""))
        case .isAbsent: headers.append(("if-none-match", "*"))
        }
        let place = item.map { "items/\(self.segment)/\(PercentEncoding.encode($0))" } ?? "values/\(self.segment)"
        var machine = WriteStateMachine(method: method, maxAttempts: self.core.configuration.maxWriteAttempts)
        while true {
            let outcome = try await self.send(method, "/v1/\(place)", headers, body)
            switch machine.ended(outcome, maxDelay: self.core.configuration.maxDelay, chance: self.core.timing.chance())
            {
            case .done(let answer): return try self.receipt(answer, key)
            case .retry(let delay): try await self.core.timing.sleep(delay, .backOff)
            case .fail(var error):
                error.idempotencyKey = key
                throw error
            }
        }
    }

    private func send(
        _ method: FreshetClient.Request.Method,
        _ path: String,
        _ headers: [(String, String)],
        _ body: [UInt8]?
    ) async throws -> WriteStateMachine.Outcome {
        do {
            return .answered(try await self.core.exchange(method, path, headers: headers, body: body))
        } catch let error as FreshetTransportError {
            return .broken(error)
        } catch let error where error is FreshetClientError || error is CancellationError {
            throw error
        } catch {
            return .broken(FreshetTransportError("\(type(of: error))", isUnsent: false))
        }
    }

    private func receipt(_ answer: Answer, _ key: String) throws -> FreshetClient.Receipt {
        let created = answer.field("location").flatMap { $0.split(separator: "/").last }
        return FreshetClient.Receipt(
            core: self.core,
            answeredAt: self.core.timing.now(),
            source: self.name,
            status: answer.status,
            cursor: answer.cursor,
            etag: answer.field("etag"),
            value: answer.body.isEmpty ? nil : try FreshetClient.JSONValue(parsing: answer.body),
            key: answer.status == 201 ? created.map { PercentEncoding.decode($0) } : nil,
            idempotencyKey: key
        )
    }
}
