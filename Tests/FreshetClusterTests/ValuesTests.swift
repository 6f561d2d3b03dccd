// What nodes write into the stream, and where every source belongs.

import FreshetCluster
import FreshetCore
import JSON
import System
import Testing

@Suite("Cluster values")
struct ClusterValuesTests {
    @Test("a subject names what it was made of", arguments: ["a", "rates", "a.b", "a..b", "x-1_2", "9.", "user/42"])
    func subjects(name: String) {
        let subjects = ClusterSubjects(prefix: "fr")
        for topic in [ClusterSubjects.Topic.owner(source: name), .change(source: name), .key(source: name), .epoch] {
            let subject = subjects.subject(of: topic)
            #expect(subjects.topic(of: subject) == topic)
            #expect(!subject.contains("..") && !subject.contains("*") && !subject.contains("/"))
        }
    }

    @Test(
        "foreign subjects are none of ours",
        arguments: [
            "", "fr", "fr.", "fr.owner", "fr.owner.", "fr.owner.a.b", "fr.owner.=4", "fr.owner.=zz", "xr.epoch",
            "fr.x.a",
        ]
    )
    func foreign(subject: String) {
        #expect(ClusterSubjects(prefix: "fr").topic(of: subject) == nil)
    }

    static func change(_ text: String, patch: String? = nil) -> Change {
        var change = Change(
            document: testDocument(text),
            patch: patch.map { Array($0.utf8) },
            at: WallTime(milliseconds: 1_700_000_000_123),
            validators: Validators(etag: Array("\"x\"".utf8), lastModified: nil, url: "http://a/"),
            freshness: .milliseconds(1500)
        )
        change.rule = ItemRule(items: Pointer("/items") ?? Pointer(), key: Pointer("/id"))
        change.learned = [1, 2, 3]
        var summary = ChangeSummary()
        summary.added = 3
        change.summary = summary
        return change
    }

    @Test("a change comes out as it went in")
    func changes() throws {
        let number = ChangeNumber(incarnation: Incarnation(rawValue: 7), count: 9)
        for base in [ChangeBase.nothing, .position(77), .change(number)] {
            let change = Self.change(#"{"items":[{"id":1}]}"#, patch: #"[{"op":"add"}]"#)
            let record = ChangeRecord(name: "a.b", identity: "i", base: base, change: change)
            let read = try #require(ChangeRecord(record.encoded[...]))
            #expect(read.name == "a.b" && read.identity == "i" && read.base == base)
            #expect(read.change.document.text == change.document.text)
            #expect(read.change.patch == change.patch && read.change.merge == nil && read.change.items == nil)
            #expect(read.change.rule == change.rule && read.change.at == change.at)
            #expect(read.change.validators == change.validators && read.change.freshness == change.freshness)
            #expect(read.change.learned == [1, 2, 3] && read.change.summary == change.summary)
            #expect(ChangeDigest(read) == ChangeDigest(record))
        }
    }

    @Test("bytes that are cut, changed or added to never trap, and a cut record is none")
    func hostile() {
        var generator = SplitMix64(seed: 30)
        let owner = OwnerRecord(node: "a", incarnation: Incarnation(rawValue: 1), learned: [9, 9])
        let record = ChangeRecord(name: "a", identity: "i", base: .nothing, change: Self.change("[1]"))
        let part = ChangePart(
            number: ChangeNumber(incarnation: Incarnation(rawValue: 1), count: 1),
            index: 0,
            of: 1,
            bytes: record.encoded[...]
        )
        for bytes in [owner.encoded, record.encoded, part.encoded] {
            for count in 0..<bytes.count {
                let cut = Array(bytes.prefix(count))
                if bytes == owner.encoded { #expect(OwnerRecord(cut) == nil) }
                if bytes == record.encoded { #expect(ChangeRecord(cut[...]) == nil) }
                _ = ChangePart(cut)
            }
            for _ in 0..<2000 {
                var other = bytes
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    other[Int.random(in: 0..<other.count, using: &generator)] = UInt8.random(
                        in: 0...255,
                        using: &generator
                    )
                }
                _ = OwnerRecord(other)
                _ = NodeRecord(other)
                _ = EpochRecord(other)
                _ = ChangeRecord(other[...])
                _ = ChangePart(other)
            }
        }
    }

    @Test(
        "a long change is put together from its parts, and only from all of them",
        arguments: [1, 25, 26, 27, 100, 4096]
    )
    func parts(payload: Int) throws {
        let bytes = (0..<500).map { UInt8(truncatingIfNeeded: $0) }
        let number = ChangeNumber(incarnation: Incarnation(rawValue: 1), count: 2)
        let parts = try #require(ChangePart.parts(of: bytes, number, maxPayload: payload))
        var assembly = ChangeAssembly()
        for part in parts.dropLast() {
            let read = try #require(ChangePart(part.encoded))
            #expect(assembly.take(read) == .more)
        }
        let last = try #require(parts.last.flatMap { ChangePart($0.encoded) })
        #expect(assembly.take(last) == .whole(bytes[...]))
        guard parts.count > 2 else { return }
        for part in parts where part.index != 1 { _ = assembly.take(part) }
        #expect(assembly.take(last) == .broken)
    }

    @Test("a change that no batch holds has no parts")
    func tooLong() {
        let number = ChangeNumber(incarnation: Incarnation(rawValue: 1), count: 2)
        let bytes = [UInt8](repeating: 0, count: 2000)
        #expect(ChangePart.parts(of: bytes, number, maxPayload: 26) == nil)
        #expect(ChangePart.parts(of: Array(bytes.prefix(1000)), number, maxPayload: 26)?.count == 1000)
    }

    @Test("sources are spread within 15 percent, and a node that joins or leaves moves few", arguments: 2...9)
    func placement(count: Int) {
        let sources = (0..<1000).map { "source-\($0)" }
        let nodes = (0..<count).map { "gateway-\($0)" }
        let before = Placement(sources: sources, nodes: nodes)
        let after = Placement(sources: sources, nodes: nodes + ["gateway-x"])
        func shares(_ placement: Placement) -> [String: Int] {
            Dictionary(sources.compactMap { placement.owner(of: $0).map { ($0, 1) } }, uniquingKeysWith: +)
        }
        for share in shares(before).values {
            #expect(abs(Double(share) * Double(count) / 1000 - 1) <= 0.15)
        }
        let moved = sources.filter { before.owner(of: $0) != after.owner(of: $0) }
        let ideal = 1000 / (count + 1)
        #expect(moved.count <= ideal * 13 / 10, "\(moved.count) of an ideal of \(ideal)")
        let left = Placement(sources: sources, nodes: nodes.dropFirst())
        let lost = sources.filter { before.owner(of: $0) != left.owner(of: $0) }
        #expect(lost.count <= (shares(before)[nodes[0]] ?? 0) * 13 / 10, "\(lost.count)")
        #expect(sources.allSatisfy { left.owner(of: $0) != nodes[0] })
    }

    @Test("without nodes nobody owns anything")
    func noNodes() {
        #expect(Placement(sources: ["a"], nodes: []).owner(of: "a") == nil)
    }

    @Test("a host is polled by no more nodes than it may be asked requests, and its sources are spread over them")
    func fewNodesOfAHost() {
        let nodes = (0..<5).map { "gateway-\($0)" }
        var rules: [String: PlacementRule] = [:]
        for number in 0..<600 {
            let (name, host) = ("source-\(number)", number / 200)
            rules[name] = PlacementRule(key: name, host: "http://h\(host):80", maxNodes: [1, 2, 6][host])
        }
        let placement = Placement(sources: rules.keys, nodes: nodes, rules: rules)
        for (host, expected) in [1, 2, 5].enumerated() {
            let owners = (0..<200).compactMap { placement.owner(of: "source-\(host * 200 + $0)") }
            let counts = Dictionary(owners.map { ($0, 1) }, uniquingKeysWith: +)
            #expect(owners.count == 200 && counts.count <= expected, "\(counts)")
            if host == 1 { #expect((counts.values.min() ?? 0) >= 80, "\(counts)") }
        }
        // Others make room for those that have no choice.
        let all = Dictionary(rules.keys.compactMap { placement.owner(of: $0).map { ($0, 1) } }, uniquingKeysWith: +)
        #expect((all.values.min() ?? 0) > 0, "\(all)")
        for name in ["user/1", "user/2", "user/3"] {
            let rule = PlacementRule(key: "user", host: "http://h0:80", maxNodes: 1)
            #expect(placement.first(of: name, rule) == placement.owner(of: "source-0"))
        }
    }

    @Test("sources that one poll serves go together, even more than a node has room for")
    func bundles() {
        var rules: [String: PlacementRule] = [:]
        for number in 0..<90 {
            let key = number < 60 ? "large" : "small-\(number / 3)"
            rules["s\(number)"] = PlacementRule(key: key, host: "http://h:80", maxNodes: 6)
        }
        let placement = Placement(sources: rules.keys, nodes: ["a", "b", "c"], rules: rules)
        let owners = Dictionary(grouping: rules.keys) { rules[$0]?.key ?? "" }
            .mapValues { Set($0.compactMap(placement.owner(of:))) }
        #expect(owners.count == 11 && owners.values.allSatisfy { $0.count == 1 })
        #expect(Set(rules.keys.compactMap(placement.owner(of:))).count == 3)
    }
}

@Suite("A node's part of the limits of polling")
struct PollShareTests {
    @Test("parts add up to the limit, at least one each, and are the same at every node")
    func split() {
        for (number, counts) in [
            (6, ["a": 10, "b": 10, "c": 1]), (7, ["a": 1, "b": 1, "c": 1]), (3, ["a": 5, "b": 1]),
            (1000, ["a": 3, "b": 4]),
        ] {
            let parts = PollShare.split(number, by: counts)
            #expect(parts.values.reduce(0, +) == number && parts.values.allSatisfy { $0 > 0 }, "\(parts)")
        }
        #expect(PollShare.split(6, by: ["a": 10, "b": 10, "c": 1]) == ["a": 3, "b": 2, "c": 1])
        // A host that nodes poll by other names than the configuration's.
        #expect(PollShare.split(1, by: ["a": 1, "b": 9]) == ["a": 1, "b": 1])
    }

    @Test("a node has as much of an hour and of a host as it owns of the sources there")
    func parts() {
        let rules = ["http://x:80", "http://y:80"].map { PlacementRule(key: "", host: $0, maxNodes: 4) }
        let sources: [(rule: PlacementRule?, owner: String?)] = [
            (rules[0], "a"), (rules[0], "a"), (rules[0], "b"), (rules[0], nil), (rules[1], "b"), (nil, "a"),
        ]
        let share = PollShare(of: "a", nodes: 3, sources: sources)
        #expect(share.rate == 0.5 && share.ofOtherHosts == 1.0 / 3)
        #expect(share.hosts == ["http://x:80": PollShare.Host(concurrency: 2, rate: 0.5)])
        let other = PollShare(of: "b", nodes: 3, sources: sources)
        #expect(other.hosts["http://x:80"] == PollShare.Host(concurrency: 2, rate: 0.25))
        #expect(other.hosts["http://y:80"] == PollShare.Host(concurrency: 4, rate: 1))
        #expect(PollShare(of: "c", nodes: 3, sources: sources).rate == 0)
        #expect(PollShare(of: "c", nodes: 1, sources: []).rate == 1)
    }
}

/// A document of a test.
func testDocument(_ text: String) -> Document {
    do {
        return try Document(parsing: Array(text.utf8))
    } catch {
        preconditionFailure("testDocument(\(text)): \(error)")
    }
}

@Suite("Cluster calls")
struct ClusterCallTests {
    @Test("what a node asks of another comes out as it went in")
    func calls() throws {
        for call in [ClusterCall.poll, .pause, .resume, .hook, .push(body: [1, 2], contentType: nil), .report, .test] {
            let read = try #require(ClusterCall.decoded(call.encoded(for: "a.b")))
            #expect(read.source == "a.b" && read.call == call)
            for count in 0..<call.encoded(for: "a.b").count {
                #expect(ClusterCall.decoded(Array(call.encoded(for: "a.b").prefix(count))) == nil)
            }
        }
        let epoch = Epoch(rawValue: 7)
        let replies: [ClusterReply] = [
            .done, .polled(.changed), .pushed(Cursor(epoch: epoch, sequence: 3)), .failed(.timeout, "late"), .notOwner,
        ]
        for reply in replies { #expect(ClusterReply(reply.encoded) == reply) }
        let told = ClusterAnnouncement(node: "a", read: ["x", "y"], troubled: ["z": .failing])
        #expect(ClusterAnnouncement(told.encoded) == told)
        #expect(ClusterAnnouncement(Array(told.encoded.dropLast())) == nil)
    }
}
