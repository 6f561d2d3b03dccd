import System
import Testing

@testable import FreshetCore

@Suite("Source index")
struct SourceIndexTests {
    private func sources(_ numbers: some Sequence<Int>) -> [SourceID] {
        numbers.sorted().map { SourceID(index: $0) }
    }

    @Test("A08: members come and go at random, and each source lists those that hold it", arguments: 1...5)
    func model(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var index = SourceIndex()
        var model: [Int32: Set<Int>] = [:]
        for _ in 0..<400 {
            switch Int.random(in: 0..<4, using: &generator) {
            case 0:
                let held = Set((0..<12).filter { _ in Bool.random(using: &generator) })
                let member = index.insert(self.sources(held))
                #expect(model.updateValue(held, forKey: member) == nil)
            case 1:
                guard let member = model.keys.sorted().randomElement(using: &generator) else { continue }
                let source = Int.random(in: 0..<14, using: &generator)
                #expect(index.holds(member, SourceID(index: source)) == model[member]?.contains(source))
                index.add(SourceID(index: source), to: member)
                model[member]?.insert(source)
            case 2:
                guard let member = model.keys.sorted().randomElement(using: &generator) else { continue }
                let source = Int.random(in: 0..<14, using: &generator)
                index.remove(SourceID(index: source), from: member)
                model[member]?.remove(source)
            case _:
                guard let member = model.keys.sorted().randomElement(using: &generator) else { continue }
                index.remove(member)
                model[member] = nil
            }
            for source in 0..<14 {
                let holders = index.members(of: SourceID(index: source))
                #expect(holders.sorted() == model.filter { $0.value.contains(source) }.keys.sorted())
            }
        }
        #expect(index.end <= 400)
    }

    @Test("A08: leaving takes no longer per member where there are eight times as many")
    func linear() {
        /// The least CPU time of three runs in which so many members hold all but one of 64 sources, and leave.
        func cost(_ members: Int) -> Duration {
            (0..<3).map { _ in
                var index = SourceIndex()
                let numbers = (0..<members).map { number in
                    index.insert(self.sources((0..<64).filter { $0 != number % 64 }))
                }
                return ContinuousClock().measure { for number in numbers { index.remove(number) } }
            }.min() ?? .zero
        }
        // 8 where it is linear, 64 where it is quadratic.
        #expect(cost(4000) < cost(500) * 24)
    }
}

@Suite("Source pattern")
struct SourcePatternTests {
    @Test(
        "A08: selectors that name the same are one pattern",
        arguments: [
            ("a,a,b", "b,a"), ("b,a", "a,b"), ("a*,ab,ab*,abc", "a*"), ("*,a,b*", "*"), ("a,a*", "a*"),
            ("b,ab*,a*", "a*,b"),
            ("a-b,a*,a.b,b", "b,a*"), ("c,b,a,c,b", "a,b,c"),
        ]
    )
    func equal(left: String, right: String) throws {
        let (left, right) = (try #require(SourceSelector(left)), try #require(SourceSelector(right)))
        #expect(SourcePattern(left) == SourcePattern(right))
        #expect(SourcePattern(left).hashValue == SourcePattern(right).hashValue)
    }

    @Test(
        "A08: selectors that name something else are not",
        arguments: [("a", "a*"), ("a,b", "a,c"), ("ab*", "a*"), ("a-,a", "a-*,a")]
    )
    func different(left: String, right: String) throws {
        let (left, right) = (try #require(SourceSelector(left)), try #require(SourceSelector(right)))
        #expect(SourcePattern(left) != SourcePattern(right))
    }

    @Test("A08: a pattern matches what its selector matches", arguments: 1...20)
    func matches(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        func name() -> String {
            let letters = (0..<Int.random(in: 1...4, using: &generator)).map { _ in
                "ab-.".randomElement(using: &generator)
            }
            return "a" + String(letters.compactMap { $0 })
        }
        let terms = (0..<Int.random(in: 1...8, using: &generator)).map { _ in
            name() + (Bool.random(using: &generator) ? "*" : "")
        }
        let selector = try #require(SourceSelector(terms.joined(separator: ",")))
        let pattern = SourcePattern(selector)
        for _ in 0..<200 {
            let name = name()
            #expect(pattern.matches(name) == selector.matches(name), "\(terms) \(name)")
        }
    }

    @Test("A08: one subscription serves all orders of the same sources")
    func resolved() throws {
        let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 7)))
        for name in ["b", "ab", "a"] {
            let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
            _ = try #require(hub.addSource(name, status: status))
        }
        func subscription(_ text: String) throws -> Subscription {
            let pattern = SourcePattern(try #require(SourceSelector(text)))
            return hub.subscribe(to: hub.sources(matching: pattern), format: StreamFormat())
        }
        let first = try subscription("a,b,a")
        #expect(try subscription("b,a") === first)
        #expect(try subscription("a*,b") !== first)
        #expect(try subscription("*,b") === subscription("ab,b*,a*"))
        let source = try #require(hub.source(named: "a"))
        #expect(hub.subscriberCount(of: source) == 5)
        hub.unsubscribe(first, count: 2)
        #expect(hub.subscriberCount(of: source) == 3 && hub.isListenedTo(source))
        #expect(hub.report(of: source)?.subscribers == 3)
    }
}
