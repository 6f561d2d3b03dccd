// `where` against a model that knows nothing of documents: a table of items, and which of them a filter shows.

import Foundation
import FreshetCore
import JSON
import System
import Testing

/// Orders by their number.
private struct Orders {
    struct Order: Equatable {
        var status: String
        var count: Int
    }

    var rows: [(id: Int, order: Order)] = []
    var clock = 0
    /// The next value cannot tell its items apart, or is none.
    var isBroken = false
    static let states = ["open", "done", "void"]

    /// Does to the orders what upstreams do.
    mutating func change(_ random: inout SplitMix64) {
        self.isBroken = Int.random(in: 0..<40, using: &random) == 0
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            let state = Self.states[Int.random(in: 0..<3, using: &random)]
            switch (Int.random(in: 0..<6, using: &random), self.rows.indices.randomElement(using: &random)) {
            case (0, _), (_, nil):
                let id = Int.random(in: 0..<40, using: &random)
                guard !self.rows.contains(where: { $0.id == id }) else { continue }
                let place = Int.random(in: 0...self.rows.count, using: &random)
                self.rows.insert((id, Order(status: state, count: 0)), at: place)
            case (1, let place?): self.rows.remove(at: place)
            case (2, let place?): self.rows[place].order.status = state
            case (3, let place?): self.rows[place].order.count += 1
            case (4, _): self.rows.shuffle(using: &random)
            case _: self.clock += 1
            }
        }
        if Int.random(in: 0..<60, using: &random) == 0 { self.rows.removeAll() }
    }

    func text(isKeyed: Bool) -> String {
        if self.isBroken { return #"{"clock":\#(self.clock),"orders":null}"# }
        let items = self.rows.map { id, order in
            let members =
                #""status":"\#(order.status)","count":\#(order.count),"pad":"\#(String(repeating: "x", count: 60))""#
            return isKeyed ? #""\#(id)":{\#(members)}"# : #"{"id":\#(id),\#(members)}"#
        }
        let list = items.joined(separator: ",")
        return #"{"clock":\#(self.clock),"orders":\#(isKeyed ? "{\(list)}" : "[\(list)]")}"#
    }

    func shown(_ status: String) -> [Int: Order]? {
        guard !self.isBroken else { return nil }
        return Dictionary(
            uniqueKeysWithValues: self.rows.filter { $0.order.status == status }.map { ($0.id, $0.order) }
        )
    }
}

/// What a client holds that follows the open ones: by number, or nothing where there is no collection.
private struct Followed {
    var orders: [Int: Orders.Order]?
    var isKeyed: Bool

    private func entry(_ item: Value) throws -> (Int, Orders.Order) {
        let value = try #require(self.isKeyed ? item["value"] : item)
        let key = try #require(self.isKeyed ? item["key"]?.string.flatMap { Int($0) } : item["id"]?.int)
        let status = try #require(value["status"]?.string)
        return (key, Orders.Order(status: status, count: try #require(value["count"]?.int)))
    }

    /// Takes an event, and holds it to what its lists promise.
    mutating func apply(_ line: ViewedLine) throws {
        guard line.name == "items" else {
            #expect(line.name == "snapshot")
            let collection = line.data["value"]?["orders"]
            self.orders = nil
            guard let collection else { return }
            var orders: [Int: Orders.Order] = [:]
            for item in collection.elements {
                let (id, order) = try self.entry(item)
                orders[id] = order
            }
            for member in collection.members {
                let count = try #require(member.value["count"]?.int)
                let order = Orders.Order(status: try #require(member.value["status"]?.string), count: count)
                orders[try #require(Int(member.name))] = order
            }
            self.orders = orders
            return
        }
        let lists = try #require(line.data["items"])
        var orders = try #require(self.orders, "item events without a collection")
        for item in try #require(lists["created"]).elements {
            let (id, order) = try self.entry(item)
            #expect(orders.updateValue(order, forKey: id) == nil, "created although it was there")
        }
        for item in try #require(lists["updated"]).elements {
            let (id, order) = try self.entry(item)
            let before = orders.updateValue(order, forKey: id)
            #expect(before != nil, "updated although it was not there")
            #expect(before != order, "updated although it is the same")
        }
        for key in try #require(lists["deleted"]).elements {
            let id = try #require(key.int ?? key.string.flatMap { Int($0) })
            #expect(orders.removeValue(forKey: id) != nil, "deleted although it was not there")
        }
        self.orders = orders
    }
}

@Suite("Filters, against a model")
struct FilterModelTests {
    private static let histories: Int = {
        ProcessInfo.processInfo.environment["FRESHET_VIEW_HISTORIES"].flatMap { Int($0) } ?? 150
    }()

    /// One history: a live reader all along, readers that come back in mid-way, and pages of the log.
    private static func run(_ seed: UInt64) async throws {
        var random = SplitMix64(seed: seed)
        let isKeyed = Bool.random(using: &random)
        // Small enough in some histories that values are dropped and rebuilt, and that events are.
        let cacheBytes = [64 << 20, 40_000, 12_000][Int.random(in: 0..<3, using: &random)]
        let source = try ViewedSource(key: isKeyed ? nil : "/id", cacheBytes: cacheBytes)
        let view = View.filter(ItemFilter(member: try #require(Pointer("/status")), value: ScalarText("open")))
        var model = Orders()
        source.push(model.text(isKeyed: isKeyed))
        let reader = source.reader(view, .items)
        defer { reader.end() }
        var live = Followed(isKeyed: isKeyed)
        for line in try reader.opening() { try live.apply(line) }
        #expect(live.orders == model.shown("open"))

        var states: [(sequence: UInt64, orders: [Int: Orders.Order]?)] = [(source.hub.cursor.sequence, live.orders)]
        for _ in 0..<Int.random(in: 5...40, using: &random) {
            model.change(&random)
            source.push(model.text(isKeyed: isKeyed))
            let before = live.orders
            for (_, line) in try reader.live() {
                if let line { try live.apply(line) } else { #expect(before == model.shown("open"), "seed \(seed)") }
            }
            try #require(live.orders == model.shown("open"), "live, seed \(seed)")
            states.append((source.hub.cursor.sequence, live.orders))
        }
        let end = model.shown("open")
        for state in states {
            var back = Followed(orders: state.orders, isKeyed: isKeyed)
            let lines = try reader.resumed(after: state.sequence, limit: Int.random(in: 1...20, using: &random))
            if let lines {
                for line in lines { try back.apply(line) }
                try #require(back.orders == end, "resumed after \(state.sequence), seed \(seed)")
            } else {
                #expect(cacheBytes < 64 << 20, "a gap, seed \(seed)")
            }
            var paged = Followed(orders: state.orders, isKeyed: isKeyed)
            var cursor = Cursor(epoch: source.hub.cursor.epoch, sequence: state.sequence)
            paging: while true {
                switch try await source.hub.changes(
                    of: [source.id],
                    in: view,
                    after: cursor,
                    mode: .items,
                    limit: Int.random(in: 1...7, using: &random)
                ) {
                case .gap:
                    #expect(lines == nil, "a page has a gap and the stream has none")
                    break paging
                case .events(let events, let through, _, let isComplete):
                    for event in events { try paged.apply(try ViewedLine(event.frame(wire: .jsonLines))) }
                    cursor.sequence = max(cursor.sequence, through)
                    guard isComplete else { continue }
                    try #require(paged.orders == end, "pages after \(state.sequence), seed \(seed)")
                    break paging
                }
            }
        }
    }

    /// About 5 s in a debug build.
    @Test("entering and leaving are created and deleted, live, resumed in mid-way and in pages, over random histories")
    func histories() async throws {
        for seed in 1...UInt64(Self.histories) { try await Self.run(seed) }
    }
}
