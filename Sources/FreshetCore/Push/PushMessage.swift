// What a change is as messages: one for each item that it touches, small enough for every push service, or a cursor.

package import JSON

/// What a message is about. A newer message of a topic replaces an older one that was not delivered.
package struct PushTopic: Hashable, Sendable {
    /// Empty for all sources of a subscription together.
    package var source: String
    /// The identity of an item as JSON text; empty for the source as a whole.
    package var item: [UInt8] = []

    static let everything = PushTopic(source: "")

    /// One text for each topic.
    package var text: [UInt8] { Array(self.source.utf8) + [0] + self.item }
}

/// One message that waits to be sent. A value; subscriptions that get the same share its content.
package struct PushMessage: Hashable, Sendable {
    package var topic: PushTopic
    /// The change that it brings the subscriber to.
    package var cursor: Cursor
    /// What a client that fetches has to ask for the changes after.
    package var since: Cursor
    package var at: WallTime
    /// The event as a line of a JSON-lines stream; `nil` where it did not fit, or is not known: then a cursor is sent.
    package var content: [UInt8]?

    /// What is sent of an event at most: 3.5 KB leave room for the encryption within the 4,096 bytes that every push service
    /// takes.
    package static let maxContentBytes = 3584

    /// The plain text of the message for one subscription: the event, or what to fetch.
    package func text(for subscription: PushSubscription) -> [UInt8] {
        if let content = self.content { return content }
        let text = self.cursorText(for: subscription, withItem: true)
        return text.count <= Self.maxContentBytes ? text : self.cursorText(for: subscription, withItem: false)
    }

    /// `{"event":"changes","data":{…}}`: the changes are at `/v1/changes/{sources}?since={since}`.
    private func cursorText(for subscription: PushSubscription, withItem: Bool) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("event", "changes")
            json.name("data")
            json.object { json in
                json.member("sources", self.topic == .everything ? subscription.sources : self.topic.source)
                json.member("since", self.since.description)
                json.member("cursor", self.cursor.description)
                json.member("at", self.at.description)
                if let pointer = subscription.pointer {
                    json.member("pointer", pointer.description)
                } else if withItem, !self.topic.item.isEmpty {
                    json.member("item", raw: self.topic.item)
                }
            }
        }
        return json.text
    }
}

/// A change of the log as its messages. Empty where it says nothing to a subscriber.
package struct PushEvent: Sendable {
    package var cursor: Cursor
    package var messages: [PushMessage]

    /// A change of a whole value. `rule`: what tells the items of the source apart, where it has some.
    package init(_ event: ChangeEvent, source: String, rule: ItemRule?) {
        self.cursor = event.cursor
        self.messages = []
        guard !event.isCheckpoint(in: .items) else { return }
        self.messages = Self.messages(event.line(in: .items), source, event.cursor, event.at, rule)
    }

    /// A change in a view.
    package init(_ event: ViewedEvent, source: String, rule: ItemRule?) {
        self.cursor = event.cursor
        self.messages = []
        guard !event.isCheckpoint else { return }
        self.messages = Self.messages(event.line, source, event.cursor, event.envelope.at, rule)
    }

    /// Changes that can no longer be told one by one: the subscriber fetches what there is.
    package init(gapOf source: String, since: Cursor, cursor: Cursor, at: WallTime) {
        self.cursor = cursor
        self.messages = [
            PushMessage(topic: PushTopic(source: source), cursor: cursor, since: since, at: at, content: nil)
        ]
    }

    /// An item event of more bytes is not taken apart.
    private static let maxSplitBytes = 64 << 10

    private static func messages(
        _ line: EventLine?,
        _ source: String,
        _ cursor: Cursor,
        _ at: WallTime,
        _ rule: ItemRule?
    ) -> [PushMessage] {
        let before = Cursor(epoch: cursor.epoch, sequence: cursor.sequence == 0 ? 0 : cursor.sequence - 1)
        var whole = PushMessage(
            topic: PushTopic(source: source),
            cursor: cursor,
            since: before,
            at: at,
            content: nil
        )
        guard let line, line.count <= self.maxSplitBytes else { return [whole] }
        let text = line.head + line.shared + line.tail
        if text.count <= PushMessage.maxContentBytes { whole.content = text }
        guard let rule, let root = (try? Document(parsing: text, limits: .widest))?.root,
            root["event"]?.string == StreamMode.items.rawValue, let items = root["data"]?["items"]
        else { return [whole] }
        return self.split(items, whole, rule) ?? [whole]
    }

    /// A message for each item; `nil` where an item has no identity or there are too many.
    private static func split(_ items: Value, _ whole: PushMessage, _ rule: ItemRule) -> [PushMessage]? {
        var messages: [PushMessage] = []
        let lists = ["created", "updated", "deleted"]
        for list in lists {
            guard let elements = items[list] else { return nil }
            for element in elements.elements {
                let identity =
                    list == "deleted" ? element : rule.key.map { element.value(at: $0) } ?? element["key"]
                guard let identity, messages.count < Defaults.Push.maxItemsPerChange else { return nil }
                var message = whole
                message.topic.item = Array(identity.text)
                message.content = self.line(of: element, in: list, of: lists, whole)
                messages.append(message)
            }
        }
        return messages
    }

    private static func line(
        of element: Value,
        in list: String,
        of lists: [String],
        _ whole: PushMessage
    ) -> [UInt8]? {
        guard element.text.count <= PushMessage.maxContentBytes else { return nil }
        var json = JSONWriter()
        json.object { json in
            json.member("id", whole.cursor.description)
            json.member("event", StreamMode.items.rawValue)
            json.name("data")
            json.object { json in
                json.member("source", whole.topic.source)
                json.member("at", whole.at.description)
                json.name("items")
                json.object { json in
                    for name in lists {
                        json.name(name)
                        json.array { if name == list { $0.value(element) } }
                    }
                }
            }
        }
        return json.text.count <= PushMessage.maxContentBytes ? json.text : nil
    }
}
