// How far all subscriptions are, as the gateway that sends leaves it to the one after it.

import JSON

/// Where a sender stands: how far the log has been pushed, and which subscriptions are behind that. A value; any thread.
package struct PushProgress: Hashable, Sendable {
    /// Everything up to here has been delivered to those that are not in ``behind``.
    package var mark: Cursor
    /// Where the first change is that was not delivered to a subscription.
    package var behind: [PushID: Cursor]

    /// The most subscriptions in ``behind``: where more are, ``mark`` is that of the last of them, and after a crash the others
    /// may get a second time what they got meanwhile.
    package static let maxBehind = 5000

    package init(mark: Cursor, behind: [PushID: Cursor] = [:]) {
        self.mark = mark
        self.behind = behind
        guard behind.count > Self.maxBehind else { return }
        // One of another numbering is before all of this one.
        let foreign = behind.values.first { $0.epoch != mark.epoch }
        self.mark = foreign ?? behind.values.reduce(mark) { $1.sequence < $0.sequence ? $1 : $0 }
        self.behind = [:]
    }

    /// JSON of this program alone.
    package var text: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("mark", self.mark.description)
            json.name("behind")
            json.object { json in
                for (id, cursor) in self.behind.sorted(by: { $0.key < $1.key }) {
                    json.member(id.description, cursor.description)
                }
            }
        }
        return json.text
    }

    /// `nil` for what ``text`` does not write.
    package init?(text: [UInt8]) {
        guard let root = (try? Document(parsing: text, limits: .widest))?.root,
            let mark = root["mark"]?.string.flatMap({ Cursor($0) }), let behind = root["behind"]
        else { return nil }
        self.init(mark: mark)
        for member in behind.members {
            guard let id = PushID(member.name), let cursor = member.value.string.flatMap({ Cursor($0) }),
                self.behind.count < Self.maxBehind
            else { return nil }
            self.behind[id] = cursor
        }
    }
}

extension PushBook {
    /// How far the subscriptions are. `head`: how far the log has been read for all of them.
    package mutating func progress(head: Cursor) -> PushProgress {
        var behind: [PushID: Cursor] = [:]
        for id in self.unsettled {
            guard let entry = self.entries[id], let first = entry.underWay ?? entry.waiting.first else {
                self.unsettled.remove(id)
                continue
            }
            behind[id] = first.since
        }
        return PushProgress(mark: head, behind: behind)
    }
}

extension RestoredPush {
    /// Goes on where another sender was.
    package mutating func resume(from progress: PushProgress) {
        for index in self.subscriptions.indices {
            let subscription = self.subscriptions[index]
            if let behind = progress.behind[subscription.id] {
                self.subscriptions[index].since = behind
                self.behind.insert(subscription.id)
            } else {
                self.subscriptions[index].since = Self.later(progress.mark, subscription.since)
            }
        }
    }
}
