// The last good value of a source, and what a new one has to be measured by.

import JSON
import XML

/// A source's value with what was learned about its shape.
struct SourceValue: Sendable {
    /// The last good value.
    private(set) var document: Document?
    /// Differs from that of every earlier state of this value: what was found out about one of them may not hold for it.
    var version: UInt64 = 0
    /// Of ``document``, without what the source ignores.
    private(set) var hash: UInt64 = 0
    /// The body that ``document`` came from, where it is not the document's own text.
    private var body: [UInt8]?
    /// Where documents of XML held lists, which keep their shape when they shrink to one.
    var lists = XMLLists()
    /// Where the keyed items stand, and who said so.
    private(set) var collection: SourceCollection?
    /// Items cannot be distinguished.
    private(set) var hasUnusableKey = false
    let limits: ParseLimits

    private var guardian: ChangeGuard
    private(set) var flaps = FlapDetector()
    private(set) var volatile = VolatileMembers()
    private(set) var unsettled: UnsettledValue
    /// The value was not held against the present schema.
    private var isUnchecked = false
    let ignore: [PointerPattern]
    private let isSettling: Bool

    init(configuration: SourceConfiguration) {
        self.collection = configuration.itemRule.map { SourceCollection(rule: $0, isGuessed: false) }
        self.limits = ParseLimits(maxBytes: configuration.maxValueBytes)
        self.guardian = ChangeGuard(maxDeleteRatio: configuration.maxDeleteRatio, settle: configuration.settle)
        self.unsettled = UnsettledValue(settle: configuration.settle, ignore: configuration.ignore)
        self.ignore = configuration.ignore
        self.isSettling = configuration.settle > 1
    }

    /// The same value by another configuration of its source. One that waits to be seen again has to begin anew.
    func reconfigured(_ configuration: SourceConfiguration) -> SourceValue {
        var value = SourceValue(configuration: configuration)
        guard let document = self.document else { return value }
        // A guess stays, whatever the present value looks like.
        if configuration.itemRule == nil { value.collection = self.collection.flatMap { $0.isGuessed ? $0 : nil } }
        value.restored(document)
        value.body = self.body
        value.lists = self.lists
        value.flaps = self.flaps
        value.volatile = self.volatile
        return value
    }

    /// Takes over what an earlier process found out. Where the configuration names the key, no guess counts.
    mutating func learned(lists: XMLLists, guess: ItemRule?) {
        self.lists = lists
        if self.collection == nil { self.collection = guess.map { SourceCollection(rule: $0, isGuessed: true) } }
    }

    /// The collection and key as guessed; `nil` where they are configured or unknown.
    var guess: ItemRule? { self.collection.flatMap { $0.isGuessed ? $0.rule : nil } }

    /// Why a new value waits to be seen again; `nil` where none does.
    var wait: ChangeGuard.Wait? { self.guardian.wait }

    /// Takes over a value of an earlier process.
    mutating func restored(_ document: Document) {
        self.adopt(document, hash: document.hash(ignoring: self.ignore), body: document.text, isRestored: true)
    }

    /// Whether a body is the very one that the value came from.
    func isSame(_ body: [UInt8]) -> Bool {
        !self.isUnchecked && self.document.map { textsAreEqual(body, self.body ?? $0.text) } ?? false
    }

    /// The schema is another one: the same bytes say nothing until they were checked.
    mutating func schemaReplaced() {
        self.isUnchecked = self.document != nil
    }

    func hash(of document: Document) -> UInt64 { document.hash(ignoring: self.ignore) }

    /// The upstream answered with the value that is there, and `body` is how it writes it now. The document stays as
    /// it is: its text is what subscribers have.
    mutating func presentReceived(body: [UInt8]?) {
        self.version &+= 1
        self.isUnchecked = false
        if let body, let document = self.document { self.body = textsAreEqual(body, document.text) ? nil : body }
        // A value that is published and then retracted is what `settle` prevents.
        if self.guardian.presentValueReceived(), self.isSettling { self.flaps.returned() }
        self.unsettled.valueSettled()
        self.flaps.nothingChanged()
        self.volatile.nothingChanged()
    }

    /// Asks whether `new` may take the present value's place now, or must be seen again.
    mutating func mayBecome(_ new: Document, hash: UInt64) -> Bool {
        guard let document = self.document else { return true }
        guard !self.guardian.mayReplace(document, by: new, hash: hash, items: self.collection?.rule) else {
            return true
        }
        self.unsettled.valueWaits(new, hash: hash)
        return false
    }

    /// Takes a new value. An earlier process' guess stays where the value is that process' too.
    mutating func adopt(_ new: Document, hash: UInt64, body: [UInt8], isRestored: Bool = false) {
        self.version &+= 1
        if let old = self.document {
            self.flaps.valueReplaced(self.hash, by: hash)
            self.volatile.valueReplaced(old, by: new)
        } else if let collection = self.collection {
            self.hasUnusableKey = !Self.holds(collection.rule, in: new)
            let isFound = isRestored && new.value(at: collection.rule.items)?.isContainer == true
            if collection.isGuessed, self.hasUnusableKey, !isFound {
                self.collection = nil
                self.hasUnusableKey = false
            }
        }
        self.guardian.presentValueReceived()
        self.unsettled.valueSettled()
        self.isUnchecked = false
        self.document = new
        self.hash = hash
        self.body = textsAreEqual(body, new.text) ? nil : body
        if self.collection == nil { self.guessCollection(of: new) }
    }

    /// What happened to the items from the present value to `new`; nil where the whole value must be sent.
    ///
    /// A key that no longer tells the items apart stays, guessed or not, since the next value may be well again: another
    /// key would name the same items otherwise from then on. A guess is made again only where its collection is gone.
    mutating func itemStep(to new: Document) -> ItemStep? {
        guard let old = self.document, let collection = self.collection else { return nil }
        if let step = old.itemStep(to: new, items: collection.rule) {
            self.hasUnusableKey = false
            return step
        }
        if collection.isGuessed, new.value(at: collection.rule.items)?.isContainer != true {
            if let rule = ItemKeyGuess.rule(for: new) {
                self.collection = SourceCollection(rule: rule, isGuessed: true)
            }
            self.hasUnusableKey = false
        } else {
            self.hasUnusableKey = !Self.holds(collection.rule, in: new)
        }
        return nil
    }

    private mutating func guessCollection(of document: Document) {
        self.collection = ItemKeyGuess.rule(for: document).map { SourceCollection(rule: $0, isGuessed: true) }
    }

    private static func holds(_ rule: ItemRule, in document: Document) -> Bool {
        document.itemChanges(to: document, items: rule) != nil
    }
}
