// The snapshot: the latest document of a source with its validator and cursor, and its frames.

package import JSON
import Synchronization

/// The value of a source between two changes. Immutable; its frames are encoded once, when first asked for, and
/// shared by every subscriber that joins.
package final class SourceVersion: Sendable {
    package let cursor: Cursor
    package let sourceName: String
    package let document: Document
    /// See ``Change/rule``.
    package let rule: ItemRule?
    /// When the gateway had this value.
    package let at: WallTime
    package let validators: Validators
    /// How long the response may be called fresh, from ``at`` on.
    package let freshness: Duration
    /// How it differs from the value before it; `nil` for the first, and for one of an earlier process.
    package let summary: ChangeSummary?

    private struct Encoded: Sendable {
        /// Those that were requested, which happens for few versions. A list: hardly ever there are more than two.
        private var frames: [(slot: Int, frame: Frame)] = []
        /// What views show of the value; `nil` where that is nothing.
        var views: [View: SourceVersion?] = [:]
        /// Made when a view first needs it, which happens for few versions.
        var value: KeyedValue?

        func frame(in slot: Int) -> Frame? { self.frames.first { $0.slot == slot }?.frame }

        /// - Returns: The frame to use: that of another thread, where that was first.
        mutating func keep(_ frame: Frame, in slot: Int) -> Frame {
            if let first = self.frame(in: slot) { return first }
            self.frames.append((slot, frame))
            return frame
        }
    }

    private let encoded = Mutex(Encoded())
    private let ownTag: String?

    package init(_ change: Change, cursor: Cursor, sourceName: String) {
        self.cursor = cursor
        self.sourceName = sourceName
        self.document = change.document
        self.rule = change.rule
        self.at = change.at
        self.validators = change.validators
        self.freshness = change.freshness
        self.ownTag = nil
        self.summary = change.summary
    }

    /// What was the value of `version`, with another value in its place.
    private init(_ version: SourceVersion, showing document: Document, rule: ItemRule?, etag: String?) {
        self.cursor = version.cursor
        self.sourceName = version.sourceName
        self.document = document
        self.rule = rule
        self.at = version.at
        self.validators = version.validators
        self.freshness = version.freshness
        self.summary = version.summary
        self.ownTag = etag
    }

    /// The same value at another position, where the log goes on after that.
    func moved(to cursor: Cursor) -> SourceVersion {
        var change = Change(
            document: self.document,
            rule: self.rule,
            at: self.at,
            validators: self.validators,
            freshness: self.freshness
        )
        change.summary = self.summary
        return SourceVersion(change, cursor: cursor, sourceName: self.sourceName)
    }

    /// The value with its items, for views.
    package var value: KeyedValue {
        self.encoded.withLock { encoded in
            if let known = encoded.value { return known }
            let value = KeyedValue(self.document, rule: self.rule)
            encoded.value = value
            return value
        }
    }

    /// The strong entity tag of the value (RFC 9110 §8.8.3): its cursor, since no cursor ever names two values. Of what a view
    /// shows it is of the bytes, so that it stays while they do; not beyond this process.
    package var etag: String { self.ownTag ?? "\"\(self.cursor)\"" }

    /// As ``value``, where its items are known already.
    func value(with items: ItemIndex) -> KeyedValue {
        self.encoded.withLock { encoded in
            if let known = encoded.value { return known }
            let value = KeyedValue(self.document, rule: self.rule, items: items)
            encoded.value = value
            return value
        }
    }

    /// The same, where what tells its items apart has become known since.
    func ruled(by rule: ItemRule) -> SourceVersion {
        SourceVersion(self, showing: self.document, rule: rule, etag: nil)
    }

    /// What a view shows of it, as a version of its own, the same for all who ask; `nil` where that is nothing.
    package func viewed(by view: View) -> SourceVersion? {
        guard !view.isWhole else { return self }
        if let known = self.encoded.withLock({ $0.views[view] }) { return known }
        let viewed = view.document(of: self.value).map { document in
            let tag = "\"v\(String(documentHash(ofName: document.text), radix: 36))\""
            return SourceVersion(self, showing: document, rule: view.rule(within: self.rule), etag: tag)
        }
        return self.encoded.withLock { encoded in
            if let first = encoded.views[view] { return first }
            if encoded.views.count >= Self.maxViews { encoded.views = [:] }
            encoded.views[view] = .some(viewed)
            return viewed
        }
    }

    /// As ``viewed(by:)``, with `null` for nothing.
    func shown(in view: View) -> SourceVersion {
        guard let viewed = self.viewed(by: view) else {
            return Self.null.map { SourceVersion(self, showing: $0, rule: nil, etag: nil) } ?? self
        }
        return viewed
    }

    private static let null = try? Document(parsing: Array("null".utf8))
    /// The most views whose documents one version keeps to be shared.
    private static let maxViews = 256

    /// What a snapshot does to the cursor of a subscriber. One that gets snapshots of several sources has all of them
    /// only after the last: cut off before, it must not resume as if it had.
    package enum Step: Int, CaseIterable, Sendable {
        /// The only one, or the last of several: brings the subscriber to this value's cursor.
        case arrive
        /// The first of several that replace what a subscriber with a cursor had: takes that cursor from it. Sequence 0
        /// means "nothing yet", and begins anew when it comes back.
        case forget
        /// Leaves the cursor as it is.
        case stay
    }

    /// The `snapshot` event of this value.
    ///
    /// Two threads that ask for the first time at once may both encode it; one of the two is kept and shared from then
    /// on. Neither waits for the other.
    package func frame(wire: StreamWire, step: Step) -> Frame {
        let slot = step.rawValue + wire.index * Step.allCases.count
        if let known = self.encoded.withLock({ $0.frame(in: slot) }) { return known }
        let frame = self.envelope.frame(.snapshot, self.document.text, id: self.id(of: step), wire: wire)
        return self.encoded.withLock { $0.keep(frame, in: slot) }
    }

    /// What a frame says besides this value.
    var envelope: EventEnvelope { EventEnvelope(source: self.sourceName, at: self.at, cursor: self.cursor) }

    func id(of step: Step) -> Cursor? {
        switch step {
        case .arrive: self.cursor
        case .forget: Cursor(epoch: self.cursor.epoch, sequence: 0)
        case .stay: nil
        }
    }
}
