import EventStream
import FreshetTesting
import JSON
import Testing

/// A subscriber that builds up the values from what its stream says, by the rules of its mode.
struct Follower {
    let stream: EventStreamClient
    let mode: String
    /// By source.
    private(set) var values: [String: Document]
    private(set) var lastEventID: String
    /// In mode `items`: the items by their key's text, since created items have no place in the order.
    private var items: [String: Document] = [:]
    private let rule: ItemRule?

    init(stream: EventStreamClient, mode: String, rule: ItemRule?, values: [String: Document], lastEventID: String) {
        self.stream = stream
        self.mode = mode
        self.rule = rule
        self.values = values
        self.lastEventID = lastEventID
    }

    /// The value, where there is one source.
    var value: Document? { self.values.values.first }

    func close() async {
        await self.stream.close()
    }

    /// Takes the next event that changes a value; `status` and `checkpoint` are passed over.
    mutating func takeChange() async throws {
        while true {
            let event = try #require(try await self.stream.next(), "the stream ended")
            guard event.type != "status" else { continue }
            if event.type == "checkpoint" {
                #expect(event.lastEventID != self.lastEventID, "a checkpoint moves the cursor")
                self.lastEventID = event.lastEventID
                continue
            }
            try self.apply(event)
            return
        }
    }

    /// Takes changes until these sources have these values.
    mutating func takeChanges(until goals: [String: [UInt8]]) async throws {
        let documents = try goals.mapValues { try Document(parsing: $0) }
        while !documents.allSatisfy({ self.values[$0.key] == $0.value }) {
            try await self.takeChange()
        }
    }

    /// What the last event before the end said.
    func bye() async throws -> String? {
        while let event = try await self.stream.next() {
            guard event.type == "bye" else { continue }
            return try Document(parsing: event.data).root["reason"]?.string
        }
        return nil
    }

    func holds(_ value: Document) throws -> Bool {
        guard self.mode == "items", let rule = self.rule else { return self.value == value }
        return try Self.items(of: value, by: rule) == self.items
    }

    private mutating func apply(_ event: StreamEvent) throws {
        let data = try Document(parsing: event.data)
        let source = try #require(data.root["source"]?.string)
        // Of the snapshots with which a stream begins only the last does.
        let isBeginning = event.type == "snapshot" && self.values[source] == nil
        #expect(event.lastEventID != self.lastEventID || isBeginning, "each change moves the cursor")
        self.lastEventID = event.lastEventID
        switch event.type {
        case "snapshot":
            let value = try #require(data.extracting(Pointer().appending("value")))
            self.values[source] = value
            if let rule = self.rule { self.items = try Self.items(of: value, by: rule) }
        case "patch":
            let patch = try #require(data.extracting(Pointer().appending("patch")))
            let value = try #require(try self.values[source]?.applying(patch: patch))
            #expect(patch.text.count < value.text.count, "a patch is sent only where it is smaller than the value")
            self.values[source] = value
        case "merge":
            let patch = try #require(data.extracting(Pointer().appending("merge")))
            self.values[source] = self.values[source]?.applying(mergePatch: patch)
        case "items":
            try self.applyItems(try #require(data.root["items"]))
        case let type:
            Issue.record("unexpected event \(type)")
        }
    }

    private mutating func applyItems(_ changes: Value) throws {
        let rule = try #require(self.rule)
        for list in ["created", "updated"] {
            let entries = try #require(changes[list])
            for item in entries.elements {
                let (key, value) = try Self.identify(item, by: rule)
                #expect((self.items[key] == nil) == (list == "created"), "\(list) \(key)")
                self.items[key] = value
            }
        }
        let deleted = try #require(changes["deleted"])
        for key in deleted.elements {
            #expect(self.items.removeValue(forKey: String(decoding: key.text, as: UTF8.self)) != nil)
        }
    }

    /// The identity of an item in an `items` event, and the item.
    private static func identify(_ item: Value, by rule: ItemRule) throws -> (String, Document) {
        guard let pointer = rule.key else {
            let key = try #require(item["key"])
            return (String(decoding: key.text, as: UTF8.self), try #require(item["value"]).document)
        }
        let key = try #require(item.value(at: pointer))
        return (String(decoding: key.text, as: UTF8.self), item.document)
    }

    private static func items(of value: Document, by rule: ItemRule) throws -> [String: Document] {
        let collection = try #require(value.value(at: rule.items))
        var items: [String: Document] = [:]
        if let pointer = rule.key {
            for item in collection.elements {
                let key = try #require(item.value(at: pointer))
                items[String(decoding: key.text, as: UTF8.self)] = item.document
            }
        } else {
            for member in collection.members {
                items[String(decoding: member.key.text, as: UTF8.self)] = member.value.document
            }
        }
        return items
    }
}
