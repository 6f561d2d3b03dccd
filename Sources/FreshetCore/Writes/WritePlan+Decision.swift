// Whether a write may go ahead against what is known to be there, and what is sent.

import JSON
import JSONSchema

extension WritePlan {
    /// What is to be there after the write.
    enum Wanted {
        case wanted(Document?)
        case refused(WriteProblem, showsCurrent: Bool)
    }

    /// Holds the write against what is there, and takes the next step towards sending it.
    mutating func decide() -> Step {
        if self.scene.write.request.method == .post { return self.decidePost() }
        if let problem = self.scene.misfit { return self.finish(problem, .settled) }
        switch self.wanted() {
        case .refused(let problem, let showsCurrent):
            return self.refuse(problem, showsCurrent: showsCurrent)
        case .wanted(let result):
            if self.needsRead { return self.read() }
            if let problem = self.objection(to: result) { return self.finish(problem, .settled) }
            if self.isUnguarded { return self.finish(.noStrongValidator, .settled) }
            if self.scene.write.request.isDryRun { return self.finishDryRun(result) }
            guard self.sends < Self.maxSends else { return self.finish(.contended, .forgotten) }
            return self.send(result)
        }
    }

    private mutating func refuse(_ problem: WriteProblem, showsCurrent: Bool) -> Step {
        guard showsCurrent else { return self.finish(problem, .settled) }
        guard self.theirs.isRead, self.theirs.document != self.scene.current else {
            return self.finish(problem, .settled, showing: self.theirs.document, at: self.scene.cursor)
        }
        // What the upstream has is news: it becomes the value first, so that the cursor of the answer is one that has it.
        self.state = .showing(problem)
        return .take(self.scene.edit(self.theirs.document), tag: self.theirs.tag)
    }

    mutating func read() -> Step {
        self.state = .reading
        return .exchange(WriteExchange(.get, self.scene.place))
    }

    // MARK: What is wanted

    private func wanted() -> Wanted {
        let theirs = self.theirs.document
        let request = self.scene.write.request
        switch self.scene.write.condition {
        case .absent:
            return theirs == nil ? .wanted(self.scene.write.body) : .refused(.exists, showsCurrent: true)
        case .any where theirs == nil:
            return .refused(.isGone, showsCurrent: true)
        case .none where theirs == nil:
            return .refused(request.method == .put ? .preconditionRequired : .unknownItem, showsCurrent: false)
        case .any, .none:
            return self.edited(theirs)
        case .cursors:
            guard case .known(let base) = self.scene.base else { return .refused(.baseUnknown, showsCurrent: true) }
            guard let theirs else { return .refused(.isGone, showsCurrent: true) }
            guard let base else { return .refused(.changedSince, showsCurrent: true) }
            if self.isSame(base, theirs) { return self.edited(theirs) }
            guard self.scene.policy.conflict == .merge else { return .refused(.changedSince, showsCurrent: true) }
            return self.merged(base, theirs)
        }
    }

    /// Whether the write may count the two as one version.
    private func isSame(_ base: Document, _ theirs: Document) -> Bool {
        guard self.scene.policy.guard == .field, let version = self.scene.policy.version else { return base == theirs }
        guard let one = base.value(at: version), let other = theirs.value(at: version) else { return base == theirs }
        return one == other
    }

    /// The write on top of what it builds on.
    private func edited(_ start: Document?) -> Wanted {
        let write = self.scene.write
        guard let body = write.body else { return .wanted(nil) }
        guard let patch = write.patch, let start else { return .wanted(body) }
        switch patch {
        case .merge:
            return .wanted(start.applying(mergePatch: body))
        case .jsonPatch:
            do throws(PatchError) {
                return .wanted(try start.applying(patch: body, limits: self.scene.limits))
            } catch {
                return .refused(.patchFailed(error), showsCurrent: false)
            }
        }
    }

    private func merged(_ base: Document, _ theirs: Document) -> Wanted {
        guard case .wanted(let mine) = self.edited(base) else { return self.edited(base) }
        guard let mine else {
            let conflict = MergeConflict(path: Pointer(), base: base.root, theirs: theirs.root, mine: nil)
            return .refused(.conflict([conflict]), showsCurrent: true)
        }
        let rule = self.scene.write.request.key == nil ? self.scene.rule : nil
        switch ThreeWayMerge.merge(base: base, theirs: theirs, mine: mine, items: rule) {
        case .merged(let document): return .wanted(document)
        case .conflicts(let conflicts): return .refused(.conflict(conflicts), showsCurrent: true)
        }
    }

    // MARK: Whether it may be

    /// Why this result must not be sent, whoever else writes.
    private func objection(to result: Document?) -> WriteProblem? {
        let scene = self.scene
        if let result, let key = scene.write.request.key, let identity = scene.rule?.key {
            guard result.value(at: identity)?.isKey(key) == true else { return .keyMismatch }
        }
        guard let schema = scene.schema else { return nil }
        guard let value = scene.edit(result).applied(to: scene.value, rule: scene.rule, limits: .widest) else {
            return nil
        }
        let place = scene.place(in: value)
        let violations = schema.schema.violations(in: value).filter { scene.concerns($0.pointer, place) }
        guard !violations.isEmpty else { return nil }
        return .violations(violations.map { (scene.relative($0.pointer, to: place), $0.reason) })
    }

    /// Whether the upstream has to be read before it is written.
    private var needsRead: Bool {
        guard !self.theirs.isRead else { return false }
        switch self.scene.policy.guard {
        case .none: return false
        case .ifMatch: return self.scene.write.condition != .absent && self.theirs.tag == nil
        case .compare, .field: return true
        }
    }

    /// The upstream was asked, and gave nothing that guards.
    private var isUnguarded: Bool {
        self.scene.policy.guard == .ifMatch && self.scene.write.condition != .absent && self.theirs.tag == nil
    }

    // MARK: What is sent

    private mutating func send(_ result: Document?) -> Step {
        let isCreation = self.scene.write.condition == .absent
        var exchange = self.exchange(for: result)
        exchange.isCreation = isCreation
        if self.scene.policy.guard == .ifMatch, !isCreation { exchange.ifMatch = self.theirs.tag }
        return self.send(exchange, intended: result, creates: isCreation)
    }

    mutating func send(_ exchange: WriteExchange, intended: Document?, creates: Bool) -> Step {
        var exchange = exchange
        if self.scene.policy.idempotency == .forward {
            exchange.idempotencyKey = self.scene.write.request.idempotencyKey
        }
        self.sends += 1
        self.state = .sent(WriteAttempt(exchange: exchange, intended: intended?.text, creates: creates))
        return .exchange(exchange)
    }

    private func exchange(for result: Document?) -> WriteExchange {
        let write = self.scene.write
        guard let result else { return WriteExchange(.delete, self.scene.place) }
        if let patch = write.patch, let theirs = self.theirs.document {
            switch self.scene.policy.patch {
            case .merge:
                let isVerbatim =
                    patch == .merge && write.body.map { theirs.applying(mergePatch: $0) == result } ?? false
                if let text = isVerbatim ? write.body?.text : theirs.mergePatch(to: result) {
                    return self.exchange(.patch, text, "application/merge-patch+json")
                }
            case .jsonPatch:
                return self.exchange(.patch, theirs.patch(to: result).text, "application/json-patch+json")
            case .none:
                break
            }
        }
        // What no patch can say is sent whole.
        return self.exchange(.put, result.text, "application/json")
    }

    private func exchange(_ method: WriteExchange.Method, _ body: [UInt8], _ type: String) -> WriteExchange {
        var exchange = WriteExchange(method, self.scene.place)
        exchange.body = body
        exchange.contentType = type
        return exchange
    }

    // MARK: POST

    private mutating func decidePost() -> Step {
        guard let body = self.scene.write.body else { return self.finish(.unknownItem, .settled) }
        guard self.scene.rule != nil else { return self.finish(.noCollection, .settled) }
        if let problem = self.scene.objection(toNew: body) { return self.finish(problem, .settled) }
        if self.scene.write.request.isDryRun { return self.finishDryRun(body) }
        var exchange = WriteExchange(.post, .value)
        exchange.body = body.text
        exchange.contentType = "application/json"
        return self.send(exchange, intended: nil, creates: true)
    }
}

extension WriteScene {
    /// Why what is written cannot be found in the value; `nil` where it can, or is not there yet.
    var misfit: WriteProblem? {
        guard let key = self.write.request.key else { return nil }
        guard let rule = self.rule else { return .noCollection }
        switch self.value.item(key, in: rule) {
        case .found, .missing: return nil
        case .ambiguous: return .ambiguousKey
        case .noCollection: return .noCollection
        }
    }

    /// What makes this the value of what is written; `nil` for nothing.
    func edit(_ document: Document?) -> WriteEdit {
        guard let key = self.write.request.key else { return .value(document?.text ?? Array("null".utf8)) }
        return document.map { .item(key, $0.text) } ?? .removal(key)
    }

    /// The pointer to what is written in a value.
    func place(in value: Document) -> Pointer {
        guard let key = self.write.request.key, let rule = self.rule,
            case .found(_, let place) = value.item(key, in: rule)
        else { return Pointer() }
        return place
    }

    /// Whether a pointer is to what is written, into it, or to what it is a part of. What is wrong elsewhere in the value is not
    /// the write's to mend.
    func concerns(_ pointer: String, _ place: Pointer) -> Bool {
        func leads(_ outer: String, to inner: String) -> Bool { inner == outer || inner.hasPrefix(outer + "/") }
        return leads(pointer, to: place.description) || leads(place.description, to: pointer)
    }

    /// A pointer into the value, from what is written on; the empty one for what it is a part of.
    func relative(_ pointer: String, to place: Pointer) -> String {
        let prefix = place.description
        guard pointer.utf8.starts(with: prefix.utf8) else { return "" }
        let rest = pointer.utf8.dropFirst(prefix.utf8.count)
        return rest.isEmpty || rest.first == UInt8(ascii: "/") ? String(decoding: rest, as: UTF8.self) : ""
    }

    /// Why an item that is yet to be created violates the schema. A member that is missing may be the upstream's to add, and so
    /// may its identity.
    func objection(toNew body: Document) -> WriteProblem? {
        guard let schema = self.schema, let rule = self.rule, let array = self.value.value(at: rule.items),
            array.kind == .array, let identity = rule.key
        else { return nil }
        let place = rule.items.appending("\(array.count)")
        // Its key tells it apart from all others; the text is never published.
        let probe = WriteEdit.item("\u{0}", body.text)
        guard let value = probe.applied(to: self.value, rule: rule, limits: .widest) else { return nil }
        let violations = schema.schema.violations(in: value)
            .filter { self.concerns($0.pointer, place) && !$0.schema.hasSuffix("/required") }
            .filter { $0.pointer != place.appending(identity).description }
        guard !violations.isEmpty else { return nil }
        return .violations(violations.map { (self.relative($0.pointer, to: place), $0.reason) })
    }
}
