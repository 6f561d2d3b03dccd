// From the body of a response to a value, and to the change that it makes: all that costs time where a body is large. It
// looks at nothing but the value and the configuration, so that it can be done on any thread.

import HTTPFields
import JSON
import JSONPath

extension SourceValue {
    /// What a representation came to.
    struct Taken: Sendable {
        /// To be published; `nil` where nothing is.
        var change: Change?
        /// How the representation and the value before it compare.
        var comparison: ValidatorTrust.Comparison
        /// The value that the answer holds is the good one from here on.
        var isAdopted: Bool
    }

    /// Compares a representation with the last good one, and takes it where it is good. Items whose keys are `held` stay as
    /// they are.
    mutating func take(
        _ response: ExchangeResponse,
        configuration: SourceConfiguration,
        held: Set<String>,
        wall: WallTime,
        freshness: ResponseFreshness,
        isPush: Bool
    ) throws(UpstreamError) -> Taken {
        self.version &+= 1
        if response.isCloseDelimited, !configuration.allowCloseDelimited {
            throw UpstreamError(
                .framing,
                "the body ends with the connection, so a cut one cannot be told from a whole one; "
                    + "set `allow_close_delimited: true` to accept that"
            )
        }
        if self.isSame(response.body) {
            self.presentReceived(body: nil)
            return Taken(change: nil, comparison: .sameBytes, isAdopted: true)
        }
        let new = try self.document(from: response, configuration, isPush: isPush).holding(held, of: self)
        let body = held.isEmpty ? response.body : new.text
        let hash = self.hash(of: new)
        if self.document != nil {
            if hash == self.hash {
                self.presentReceived(body: held.isEmpty ? body : nil)
                return Taken(change: nil, comparison: .sameValue, isAdopted: true)
            }
            if !isPush, !self.mayBecome(new, hash: hash) {
                return Taken(change: nil, comparison: .differs, isAdopted: false)
            }
        }
        guard var change = self.change(to: new, wall: wall, validators: response, freshness: freshness) else {
            self.presentReceived(body: held.isEmpty ? body : nil)
            return Taken(change: nil, comparison: .sameValue, isAdopted: true)
        }
        self.adopt(new, hash: hash, body: body)
        change.rule = self.collection?.rule
        return Taken(change: change, comparison: .differs, isAdopted: true)
    }

    // MARK: Documents

    private mutating func document(
        from response: ExchangeResponse,
        _ configuration: SourceConfiguration,
        isPush: Bool
    ) throws(UpstreamError) -> Document {
        if configuration.allowEmpty, response.body.allSatisfy(\.isWhitespace), let null = SourceStateMachine.null {
            return null
        }
        let type = response.value(of: "content-type")
        if !isPush || type != nil { try Self.checkContentType(type, configuration) }
        var hints = Representation.Hints(
            contentType: type,
            separator: configuration.separator,
            collection: configuration.collection
        )
        hints.lists = self.lists
        // What `select` takes out has not the shape of the payload.
        if configuration.select == nil {
            hints.last = self.document
            hints.lastPlace = configuration.valueRoot ?? Pointer()
        }
        let document = try self.payload(of: response, configuration, hints: &hints)
        if !isPush, let rule = configuration.graphQL, let failure = GraphQLAnswer.failure(in: document, rule) {
            throw failure
        }
        for expectation in configuration.expect {
            if let violation = expectation.violation(in: document) { throw violation }
        }
        self.lists = hints.lists
        let value = try Self.value(of: consume document, configuration)
        if let violation = configuration.schema?.violation(in: value) { throw violation }
        return value
    }

    private static func value(
        of document: consuming Document,
        _ configuration: SourceConfiguration
    ) throws(UpstreamError) -> Document {
        var value = consume document
        if let root = configuration.valueRoot {
            guard let inner = (consume value).narrowed(to: root) else {
                throw UpstreamError(.unexpected, "the payload has nothing at `root` \(root)")
            }
            value = inner
        }
        guard let select = configuration.select else { return value }
        let selected: Document?
        do throws(PathLimitError) {
            selected = try select.value(in: value)
        } catch {
            throw UpstreamError(.unexpected, "`select` takes more work on this payload than a poll may cost")
        }
        guard let selected else {
            throw UpstreamError(.unexpected, "the payload has nothing at `select` \(select.text)")
        }
        return selected
    }

    private static func checkContentType(
        _ type: [UInt8]?,
        _ configuration: SourceConfiguration
    ) throws(UpstreamError) {
        let ranges = configuration.contentTypes
        guard !ranges.isEmpty else { return }
        guard let type else { throw UpstreamError(.contentType, "the upstream sent no Content-Type") }
        let essence = Representation.essence(of: type)
        guard ranges.contains(where: { $0.contains(essence) }) else {
            throw UpstreamError(
                .contentType,
                "the upstream answered with \(essence), which `content_type` does not list"
            )
        }
    }

    private func payload(
        of response: ExchangeResponse,
        _ configuration: SourceConfiguration,
        hints: inout Representation.Hints
    ) throws(UpstreamError) -> Document {
        func read(_ format: SourceConfiguration.Format) throws(UpstreamError) -> Document {
            try Representation.document(
                from: response.body,
                format: format,
                limits: self.limits,
                hints: &hints
            )
        }
        if let format = configuration.format { return try read(format) }
        switch Representation.format(ofContentType: response.value(of: "content-type")) {
        case .success(.text):
            return try PlainText(after: self.document, root: configuration.valueRoot).document(read)
        case .success(let format):
            return try read(format)
        case .failure(let error):
            // A type that the configuration lists is wanted; only JSON has so many of them.
            guard !configuration.contentTypes.isEmpty else { throw error }
            return try read(.json)
        }
    }

    // MARK: Changes

    /// What leads from the present value to another.
    ///
    /// - Returns: `nil` where the two are equal after all.
    mutating func change(
        to new: Document,
        wall: WallTime,
        validators response: ExchangeResponse?,
        freshness: ResponseFreshness?
    ) -> Change? {
        var change = Change(
            document: new,
            at: wall,
            validators: response?.validators ?? Validators(),
            freshness: freshness?.freshFor ?? .zero
        )
        guard let old = self.document else { return change }
        let patch = old.patch(to: new, items: self.collection?.rule)
        guard !patch.isEmpty else { return nil }
        let size = new.text.count
        change.patch = patch.text.count < size ? patch.text : nil
        change.merge = old.mergePatch(to: new, shorterThan: size)
        let step = self.itemStep(to: new)
        let items = step.map { ItemChanges($0, shorterThan: size) }
        change.step = step
        change.summary = ChangeSummary(
            from: old,
            to: new,
            operations: patch.operationCount,
            items: items,
            ignored: self.ignore
        )
        // Another order of the items, or a change around them alone, touches none: short of size, that is worth knowing.
        change.items = items?.text
        return change
    }
}
