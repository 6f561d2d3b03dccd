// From an answer with a body to a change, or to the reason why there is no change.

import HTTPFields
import JSON
import JSONPath

extension SourceStateMachine {
    /// Compares a representation with the last good one, and takes it where it is good.
    ///
    /// - Returns: The change, or `nil` if there is none to publish; how the two compare; and whether the value that
    ///   the answer holds is the good one from here on.
    mutating func take(
        _ response: ExchangeResponse,
        wall: WallTime,
        freshness: ResponseFreshness,
        isPush: Bool
    ) throws(UpstreamError) -> (change: Change?, comparison: ValidatorTrust.Comparison, isAdopted: Bool) {
        if response.isCloseDelimited, !self.configuration.allowCloseDelimited {
            throw UpstreamError(
                .framing,
                "the body ends with the connection, so a cut one cannot be told from a whole one; "
                    + "set `allow_close_delimited: true` to accept that"
            )
        }
        if self.value.isSame(response.body) {
            self.value.presentReceived(body: nil)
            return (nil, .sameBytes, true)
        }
        let held = isPush ? [] : self.heldKeys
        let new = try self.document(from: response, isPush: isPush).holding(held, of: self.value)
        let body = held.isEmpty ? response.body : new.text
        let hash = self.value.hash(of: new)
        guard let old = self.value.document else {
            var change = self.change(from: nil, to: new, wall: wall, validators: response, freshness: freshness)
            self.value.adopt(new, hash: hash, body: body)
            self.status.collection = self.value.collection
            change?.rule = self.value.collection?.rule
            return (change, .differs, true)
        }
        guard hash != self.value.hash else {
            self.value.presentReceived(body: held.isEmpty ? body : nil)
            return (nil, .sameValue, true)
        }
        if !isPush, !self.value.mayBecome(new, hash: hash) { return (nil, .differs, false) }
        guard var change = self.change(from: old, to: new, wall: wall, validators: response, freshness: freshness)
        else {
            self.value.presentReceived(body: held.isEmpty ? body : nil)
            return (nil, .sameValue, true)
        }
        self.value.adopt(new, hash: hash, body: body)
        self.status.collection = self.value.collection
        change.rule = self.value.collection?.rule
        return (change, .differs, true)
    }

    /// The upstream confirmed the present value without sending it.
    mutating func presentValueReceived() {
        self.value.presentReceived(body: nil)
    }

    /// The upstream says that there is no value, and the source is configured to show that.
    ///
    /// - Returns: The change, or `nil` if there is none to publish.
    mutating func valueMissed(freshness: ResponseFreshness, wall: WallTime) -> Change? {
        guard let null = Self.null else { return nil }
        self.trust.forget()
        guard self.value.document?.root.isNull != true else {
            self.value.presentReceived(body: nil)
            return nil
        }
        var change = self.change(from: self.value.document, to: null, wall: wall, validators: nil, freshness: freshness)
        self.value.adopt(null, hash: self.value.hash(of: null), body: null.text)
        change?.rule = self.value.collection?.rule
        return change
    }

    /// What stands for a value that is not there.
    private static let null = try? Document(parsing: Array("null".utf8))

    // MARK: Documents

    private mutating func document(from response: ExchangeResponse, isPush: Bool) throws(UpstreamError) -> Document {
        if self.configuration.allowEmpty, response.body.allSatisfy(\.isWhitespace), let null = Self.null { return null }
        let type = response.value(of: "content-type")
        if !isPush || type != nil { try self.checkContentType(type) }
        var hints = Representation.Hints(
            contentType: type,
            separator: self.configuration.separator,
            collection: self.configuration.collection
        )
        hints.lists = self.value.lists
        // What `select` takes out has not the shape of the payload.
        if self.configuration.select == nil {
            hints.last = self.value.document
            hints.lastPlace = self.configuration.valueRoot ?? Pointer()
        }
        let document = try self.payload(of: response, hints: &hints)
        if !isPush, let rule = self.configuration.graphQL, let failure = GraphQLAnswer.failure(in: document, rule) {
            throw failure
        }
        for expectation in self.configuration.expect {
            if let violation = expectation.violation(in: document) { throw violation }
        }
        self.value.lists = hints.lists
        let value = try self.value(of: document)
        if let violation = self.configuration.schema?.violation(in: value) { throw violation }
        return value
    }

    private func value(of document: Document) throws(UpstreamError) -> Document {
        var value = document
        if let root = self.configuration.valueRoot {
            guard let inner = document.extracting(root) else {
                throw UpstreamError(.unexpected, "the payload has nothing at `root` \(root)")
            }
            value = inner
        }
        guard let select = self.configuration.select else { return value }
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

    private func checkContentType(_ type: [UInt8]?) throws(UpstreamError) {
        let ranges = self.configuration.contentTypes
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
        hints: inout Representation.Hints
    ) throws(UpstreamError) -> Document {
        func read(_ format: SourceConfiguration.Format) throws(UpstreamError) -> Document {
            try Representation.document(
                from: response.body,
                format: format,
                limits: self.value.limits,
                hints: &hints
            )
        }
        if let format = self.configuration.format { return try read(format) }
        switch Representation.format(ofContentType: response.value(of: "content-type")) {
        case .success(.text):
            return try PlainText(after: self.value.document, root: self.configuration.valueRoot).document(read)
        case .success(let format):
            return try read(format)
        case .failure(let error):
            // A type that the configuration lists is wanted; only JSON has so many of them.
            guard !self.configuration.contentTypes.isEmpty else { throw error }
            return try read(.json)
        }
    }

    // MARK: Changes

    /// - Returns: `nil` where the two are equal after all.
    mutating func change(
        from old: Document?,
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
        guard let old else { return change }
        let patch = old.patch(to: new, items: self.value.collection?.rule)
        guard !patch.isEmpty else { return nil }
        let size = new.text.count
        change.patch = patch.text.count < size ? patch.text : nil
        change.merge = old.mergePatch(to: new).flatMap { $0.count < size ? $0 : nil }
        let items = self.value.itemChanges(to: new)
        change.summary = ChangeSummary(
            from: old,
            to: new,
            operations: patch.operationCount,
            items: items,
            ignored: self.configuration.ignore
        )
        // Another order of the items, or a change around them alone, touches none: short of size, that is worth knowing.
        change.items = items.flatMap { $0.isEmpty || $0.text.count < size ? $0.text : nil }
        return change
    }

    // MARK: Warnings

    /// Brings what is said about the upstream up to date, after an answer that was good.
    mutating func reviewWarnings() {
        self.status.flaps = self.value.flaps.total
        self.status.setWarning(.etagUnreliable, self.trust.isUnreliable)
        self.status.setWarning(.etagReused, self.trust.wasReused)
        self.status.validatorChecks = UInt64(clamping: self.trust.doubt.checks)
        self.status.setWarning(.etagUseless, self.trust.isUseless)
        self.status.setWarning(.conditionRefused, self.trust.isConditionRefused)
        self.status.setWarning(.flapping, self.value.flaps.isFlapping)
        self.status.setWarning(.keyUnusable, self.value.hasUnusableKey)
        self.status.setWarning(.gone, false)
        let volatile = self.value.volatile.found
        self.status.setWarning(
            .volatile,
            !volatile.isEmpty,
            message: "changes with every poll: \(volatile.map(\.description).joined(separator: ", ")); "
                + "`ignore` what is noise"
        )
        let unsettled = self.value.unsettled.message
        self.status.setWarning(.unsettled, unsettled != nil, message: unsettled)
    }
}
