// One source: its values and changes, read and followed.

extension FreshetClient {
    /// One source of a gateway.
    public struct Source: Sendable {
        let core: ClientCore
        /// As the gateway has it.
        public let name: String

        /// The current value, and each newer one.
        ///
        /// For consumers that want the newest value and not each step on the way: while the consumer is busy, older values are
        /// replaced by newer ones, so that at most one waits. Each value has the cursor up to which it is current.
        ///
        /// `mode` is the form in which the gateway sends changes; the values are the same in each.
        /// ``View/itemsWhere(pointer:equals:)`` is for changes alone.
        public func values(mode: ValueMode = .patch, view: View = .whole) -> Values {
            let query = StreamQuery(names: [self.name], mode: mode.mode, start: .snapshot, view: view)
            return Values(core: self.core, query: query)
        }

        /// As ``values(mode:view:)``, decoded. A value that cannot be decoded ends the iteration with a `DecodingError`.
        public func values<T: Decodable & Sendable>(
            as type: T.Type,
            mode: ValueMode = .patch,
            view: View = .whole
        ) -> some AsyncSequence<T, any Error> & Sendable {
            self.values(mode: mode, view: view).map { try $0.json.decode(T.self) }
        }

        /// All changes, in order, each once.
        ///
        /// The client keeps what the consumer has not taken yet, up to ``Configuration/maxBufferedChanges``. A consumer that
        /// lags further gets ``GapReason/lagging`` and a snapshot in place of what it missed; see
        /// ``Configuration/whenLagging``.
        public func changes(mode: Mode = .patch, since start: Start = .snapshot, view: View = .whole) -> Changes {
            Changes(core: self.core, query: StreamQuery(names: [self.name], mode: mode, start: start, view: view))
        }

        /// The current value, by one request.
        ///
        /// - Throws: ``FreshetClientError``.
        public func value(view: View = .whole) async throws -> Value {
            let query = view.parameters.isEmpty ? "" : "?" + view.parameters.joined(separator: "&")
            return try await self.read("/v1/values/\(self.segment)\(query)")
        }

        /// One item of a source with `key`, by one request. An identity that is an integer is named by its digits.
        ///
        /// - Throws: ``FreshetClientError``.
        public func item(_ key: String) async throws -> Value {
            try await self.read("/v1/items/\(self.segment)/\(PercentEncoding.encode(key))")
        }

        /// The name as one segment of a path.
        var segment: String { PercentEncoding.encode(self.name) }

        private func read(_ path: String) async throws -> Value {
            let answer = try await self.core.ask(.get, path)
            guard answer.status == 200 else { throw FreshetClientError(status: answer.status, body: answer.body) }
            return Value(
                source: self.name,
                json: try JSONValue(parsing: answer.body),
                cursor: answer.cursor,
                etag: answer.field("etag")
            )
        }
    }

    /// The value of a source at one time.
    public struct Value: Sendable {
        /// The name of the source.
        public var source: String
        public var json: JSONValue
        /// Up to where in the log the value is current; `nil` for the first values of a sequence over several sources.
        public var cursor: Cursor?
        /// The value's strong entity tag with its quotes, for ``Precondition/matches(_:)``; `nil` in sequences.
        public var etag: String?
    }
}
