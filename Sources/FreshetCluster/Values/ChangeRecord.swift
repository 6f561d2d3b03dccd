// A change as the stream holds it: whole, so that a node that has nothing but this message has the value.

package import FreshetCore
import JSON

/// The value that the patches of a change begin with. A reader that has another takes the change as a whole value.
package enum ChangeBase: Hashable, Sendable {
    /// None: the value stands for the change.
    case nothing
    /// That at this position.
    case position(UInt64)
    /// That of another change, whose position was not known yet.
    case change(ChangeNumber)
}

/// A change of a source, with its name and what it depends on.
package struct ChangeRecord: Sendable {
    package var name: String
    package var identity: String
    /// What its patches begin with.
    package var base: ChangeBase
    package var change: Change

    package init(name: String, identity: String, base: ChangeBase, change: Change) {
        self.name = name
        self.identity = identity
        self.base = base
        self.change = change
    }

    static let maxText = 256 << 20
    private static let maxIdentity = 64 << 10

    package var encoded: [UInt8] {
        let change = self.change
        let texts = [change.patch, change.merge, change.items].reduce(0) { $0 + ($1?.count ?? 0) }
        var writer = RecordWriter(reserving: texts + change.document.text.count + 512)
        writer.put(RecordFormat.version)
        writer.put(self.name.utf8)
        writer.put(self.identity.utf8)
        switch self.base {
        case .nothing: writer.put(UInt8(0))
        case .position(let position):
            writer.put(UInt8(1))
            writer.put(position)
        case .change(let number):
            writer.put(UInt8(2))
            writer.put(number.incarnation.rawValue)
            writer.put(number.count)
        }
        writer.put(change.at.milliseconds)
        writer.put(change.patch)
        writer.put(change.merge)
        writer.put(change.items)
        writer.put(change.document.text)
        writer.put(change.validators)
        writer.put(change.freshness.milliseconds)
        writer.put(change.learned)
        writer.put(change.rule.map { Array($0.items.description.utf8) })
        writer.put(change.rule?.key.map { Array($0.description.utf8) })
        writer.put(UInt8(change.summary == nil ? 0 : 1))
        if let summary = change.summary {
            for count in [summary.added, summary.removed, summary.updated, summary.values] {
                writer.put(UInt32(clamping: count))
            }
        }
        return writer.bytes
    }

    /// `nil` if the bytes are not such a record, or of another version.
    package init?(_ bytes: ArraySlice<UInt8>) {
        var reader = RecordReader(bytes)
        let limit = Self.maxText
        guard reader.number(UInt8.self) == RecordFormat.version,
            let name = reader.name(), let identity = reader.name(atMost: Self.maxIdentity),
            let base = reader.base(),
            let at = reader.number(Int64.self),
            let patch = reader.optionalText(atMost: limit),
            let merge = reader.optionalText(atMost: limit),
            let items = reader.optionalText(atMost: limit),
            let text = reader.text(atMost: limit),
            let document = try? Document(parsing: Array(text), limits: .widest),
            let validators = reader.validators(),
            let freshness = reader.number(Int64.self),
            let learned = reader.text(atMost: OwnerRecord.maxLearned),
            let rule = reader.rule(), let summary = reader.summary(), reader.isAtEnd
        else { return nil }
        self.name = name
        self.identity = identity
        self.base = base
        self.change = Change(
            document: document,
            patch: patch,
            merge: merge,
            items: items,
            rule: rule,
            at: WallTime(milliseconds: at),
            validators: validators,
            freshness: .milliseconds(min(max(0, freshness), 1 << 40))
        )
        self.change.learned = Array(learned)
        self.change.summary = summary
        self.change.checkTexts()
    }
}

extension Change {
    /// Clients get these texts as they are. Where one is not what it should be the value stands for the change; else each is as
    /// this program writes it, without white space that could end a line of a stream. They are shorter than the value, which
    /// is parsed too.
    fileprivate mutating func checkTexts() {
        do throws(NotUsable) {
            let patch = try self.checked(self.patch, .array)
            let merge = try self.checked(self.merge, nil)
            let items = try self.checked(self.items, .object)
            (self.patch, self.merge, self.items) = (patch, merge, items)
        } catch {
            self.becomeWhole()
        }
    }

    private struct NotUsable: Error {}

    private func checked(_ text: [UInt8]?, _ kind: Value.Kind?) throws(NotUsable) -> [UInt8]? {
        guard let text else { return nil }
        guard let document = try? Document(parsing: text, limits: .widest), kind == nil || document.root.kind == kind
        else { throw NotUsable() }
        return document.text
    }
}

/// Tells one content of a position from another, so that a stream that went back is found out. From the texts that a log on
/// disk keeps, so that a node knows it also after a restart.
package struct ChangeDigest: Hashable, Sendable {
    package let rawValue: UInt64

    package init(name: String, at: WallTime, patch: [UInt8]?, merge: [UInt8]?, items: [UInt8]?, value: [UInt8]?) {
        var writer = RecordWriter()
        writer.put(name.utf8)
        writer.put(at.milliseconds)
        writer.put(patch)
        writer.put(merge)
        writer.put(items)
        // With a patch, a log on disk keeps the value now and then only.
        writer.put(patch == nil ? value : nil)
        self.rawValue = StableHash.of(writer.bytes)
    }

    package init(_ record: ChangeRecord) {
        self.init(record.name, record.change)
    }

    package init(_ name: String, _ change: Change) {
        self.init(
            name: name,
            at: change.at,
            patch: change.patch,
            merge: change.merge,
            items: change.items,
            value: change.document.text
        )
    }

    package init(_ change: StoredChange) {
        self.init(
            name: change.source,
            at: change.at,
            patch: change.patch,
            merge: change.merge,
            items: change.items,
            value: change.value
        )
    }
}

extension RecordReader {
    fileprivate mutating func base() -> ChangeBase? {
        switch self.number(UInt8.self) {
        case 0: return .nothing
        case 1: return self.number(UInt64.self).map { .position($0) }
        case 2:
            guard let incarnation = self.number(UInt64.self), let count = self.number(UInt64.self) else { return nil }
            return .change(ChangeNumber(incarnation: Incarnation(rawValue: incarnation), count: count))
        default: return nil
        }
    }

    /// The outer `nil` is for bytes that are no such field.
    fileprivate mutating func rule() -> ItemRule?? {
        let limit = 16 << 10
        guard let items = self.optionalText(atMost: limit), let key = self.optionalText(atMost: limit) else {
            return nil
        }
        guard let items else { return .some(nil) }
        guard let collection = Pointer(utf8: items) else { return nil }
        guard let key else { return .some(ItemRule(items: collection, key: nil)) }
        return Pointer(utf8: key).map { .some(ItemRule(items: collection, key: $0)) }
    }

    fileprivate mutating func summary() -> ChangeSummary?? {
        guard let flag = self.number(UInt8.self), flag <= 1 else { return nil }
        guard flag == 1 else { return .some(nil) }
        guard let added = self.number(UInt32.self), let removed = self.number(UInt32.self),
            let updated = self.number(UInt32.self), let values = self.number(UInt32.self)
        else { return nil }
        var summary = ChangeSummary()
        summary.added = Int(added)
        summary.removed = Int(removed)
        summary.updated = Int(updated)
        summary.values = Int(values)
        return .some(summary)
    }
}
