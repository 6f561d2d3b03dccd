// Records with any numbers and texts in them, as whoever may write into the stream can make them.

import FreshetCluster
import FreshetCore
import FreshetTesting
import JSON
import System
import Testing

@Suite("Records that anybody may have written")
struct HostileRecordTests {
    private static let now = MonotonicTime(nanoseconds: 1_000_000_000)
    private static let number = ChangeNumber(incarnation: Incarnation(rawValue: 7), count: 9)

    private static func record(
        _ name: String = "a",
        identity: String = "http://a/\n\n",
        patch: String? = nil,
        merge: String? = nil,
        items: String? = nil,
        at: Int64 = 1_700_000_000_123
    ) -> ChangeRecord {
        var change = ClusterValuesTests.change(#"{"items":[{"id":1}]}"#, patch: patch)
        change.merge = merge.map { Array($0.utf8) }
        change.items = items.map { Array($0.utf8) }
        change.at = WallTime(milliseconds: at)
        return ChangeRecord(name: name, identity: identity, base: .position(77), change: change)
    }

    private static func message(_ record: ChangeRecord) -> [UInt8] {
        ChangePart(number: self.number, index: 0, of: 1, bytes: record.encoded[...]).encoded
    }

    // MARK: The machine

    /// A node that knows the source `a` and the webhook `crm`, and whose broker gives it these messages.
    private static func run(epoch: [UInt8], facts: StreamFacts, messages: [(String, [UInt8])], log: UInt64 = 0) {
        var machine = ClusterMachine(
            ClusterMachine.Settings(node: "n", incarnation: Incarnation(rawValue: 1)),
            log: Cursor(epoch: Epoch(rawValue: 3), sequence: log),
            last: nil,
            seed: 1
        )
        machine.sourcesChanged(["a", ClusterUnit.ofWebhook("crm")], now: self.now)
        machine.connected(now: self.now)
        machine.factsReceived(.success(facts), now: self.now)
        let found = StoredMessage(sequence: facts.last, subject: "fr.epoch", payload: epoch)
        machine.epochReceived(.success(found), now: self.now)
        var sequence = facts.last
        for (subject, payload) in messages {
            sequence += 1
            let message = StoredMessage(sequence: sequence, subject: subject, payload: payload)
            machine.delivered([message], now: self.now)
            for action in machine.takeActions() {
                switch action {
                case .readOwner(let name): machine.ownerReceived(name, .success(message), now: self.now)
                case .readMessage: machine.messageReceived(.success(message), now: self.now)
                case .readEpoch: machine.epochReceived(.success(message), now: self.now)
                case .readFacts: machine.factsReceived(.success(facts), now: self.now)
                case .publish(let id, _, _):
                    machine.published(id, .stored(sequence: sequence, count: 1), now: self.now)
                case .take(let record, let position):
                    #expect(position > 0 && record.change.at.rfc3339.count == 24)
                default: break
                }
            }
        }
        for step in 1..<5 { machine.timePassed(now: self.now + .seconds(step)) }
        machine.disconnected(now: self.now + .seconds(5))
        machine.connected(now: self.now + .seconds(6))
        machine.factsReceived(.success(facts), now: self.now + .seconds(6))
        machine.epochReceived(.success(found), now: self.now + .seconds(6))
    }

    private static let epoch = EpochRecord(epoch: Epoch(rawValue: 3), base: 0, begins: 2)

    @Test("an epoch that begins at any sequence")
    func epochs() {
        let heartbeat = NodeRecord(incarnation: Incarnation(rawValue: 2), isLeaving: false, sources: 1).encoded
        for bytes in HostileValues.variants(ofBinary: Self.epoch.encoded) {
            if let read = EpochRecord(bytes) { #expect(EpochRecord(read.encoded) == read) }
            for (first, last) in [(1, 5), (4, 5), (1 << 62, 1 << 62)] as [(UInt64, UInt64)] {
                for log in [0, 3, 1 << 62, UInt64(Int64.max)] {
                    Self.run(
                        epoch: bytes,
                        facts: StreamFacts(first: first, last: last),
                        messages: [("fr.epoch", bytes), ("fr.node.b", heartbeat)],
                        log: log
                    )
                }
            }
        }
        for begins in [UInt64.max, UInt64.max - 1] {
            let record = EpochRecord(epoch: Epoch(rawValue: 9), base: 0, begins: begins)
            Self.run(epoch: record.encoded, facts: StreamFacts(first: 1, last: 5), messages: [])
        }
    }

    @Test("records of every kind, each with extreme numbers in it, are read by a node that goes on")
    func stream() {
        let owner = OwnerRecord(
            node: "b",
            incarnation: Incarnation(rawValue: 2),
            learned: [1, 2, 3],
            validators: Validators(etag: Array("\"x\"".utf8), url: "http://a/"),
            instance: InstanceRecord(maker: "b", caller: Fingerprint(first: 1, second: 2), content: [1])
        )
        let account = Principal.Account(kind: .key, issuer: "", id: "a")
        let key = KeyRecord(
            incarnation: Incarnation(rawValue: 2),
            scope: IdempotencyScope(account: account, key: "k"),
            record: IdempotencyRecord(fingerprint: [1], madeAt: WallTime(milliseconds: 5))
        )
        let kinds: [(String, [UInt8])] = [
            ("fr.owner.a", owner.encoded),
            ("fr.owner.webhook=3acrm", OwnerRecord(node: "b", incarnation: Incarnation(rawValue: 2)).encoded),
            ("fr.node.b", NodeRecord(incarnation: Incarnation(rawValue: 2), isLeaving: false, sources: 1).encoded),
            ("fr.key.a", key.encoded),
            ("fr.change.a", Self.message(Self.record(patch: "[]"))),
        ]
        for (subject, payload) in kinds {
            let variants = HostileValues.variants(ofBinary: payload) + [[], [UInt8](repeating: 0xFF, count: 1 << 16)]
            // Some at a time, as a node reads them.
            for start in stride(from: 0, to: variants.count, by: 50) {
                let part = variants[start..<min(start + 50, variants.count)].map { (subject, $0) }
                Self.run(epoch: Self.epoch.encoded, facts: StreamFacts(first: 1, last: 5), messages: part)
            }
            for variant in variants {
                if let read = OwnerRecord(variant) { #expect(OwnerRecord(read.encoded) == read) }
                if let read = NodeRecord(variant) { #expect(NodeRecord(read.encoded) == read) }
                if let read = KeyRecord(variant) { #expect(KeyRecord(read.encoded) == read) }
                _ = TicketRecord(variant)
                guard let read = ChangePart(variant).flatMap({ ChangeRecord($0.bytes) }) else { continue }
                #expect(!read.name.utf8.contains(0) && !read.identity.utf8.contains(0))
                #expect(read.change.at.rfc3339.count == 24 && read.change.freshness.milliseconds <= 1 << 40)
                let again = ChangeRecord(read.encoded[...])
                #expect(again.map { ChangeDigest($0) } == ChangeDigest(read))
            }
        }
    }

    @Test("what nodes ask of each other, and their answers")
    func calls() {
        var standing = WebhookStanding(
            state: .active,
            since: WallTime(milliseconds: 5),
            cursor: Cursor(epoch: Epoch(rawValue: 3), sequence: 9)
        )
        standing.nextRetry = WallTime(milliseconds: 7)
        var answer = WriteAnswer(status: 409)
        var problem = WriteProblem(409, "conflict", "No.")
        problem.retryAfter = 5
        problem.add("current", json: Array("1".utf8))
        answer.problem = problem
        let replies: [ClusterReply] = [
            .webhook(standing), .wrote(answer), .subscription(.ended(true)), .pushed(standing.cursor),
            .settled(.ok, standing.cursor, nil),
        ]
        for reply in replies {
            for bytes in HostileValues.variants(ofBinary: reply.encoded) {
                guard let read = ClusterReply(bytes) else { continue }
                #expect(ClusterReply(read.encoded) == read)
                if case .webhook(let standing) = read { #expect(standing.since.rfc3339.count == 24) }
                if case .wrote(let answer) = read { #expect(answer.problem?.retryAfter ?? 0 <= 86_400) }
            }
        }
        var told = ClusterAnnouncement(node: "b", read: ["x"], troubled: ["z": .failing])
        told.extent = .part(round: 1, isLast: true)
        var elsewhere = ReadElsewhere()
        for bytes in HostileValues.variants(ofBinary: told.encoded) {
            guard let read = ClusterAnnouncement(bytes) else { continue }
            #expect(ClusterAnnouncement(read.encoded) == read)
            _ = elsewhere.take(read, now: Self.now)
        }
        for node in 0..<5000 {
            _ = elsewhere.take(ClusterAnnouncement(node: "\(node)", read: ["\(node)"], troubled: [:]), now: Self.now)
        }
        #expect(elsewhere.names(now: Self.now).count <= 1001, "names that nobody has do not pile up")
    }

    // MARK: Texts

    @Test("a change whose name or identity has a zero in it is none, and neither is such a subject")
    func zeros() {
        #expect(ChangeRecord(Self.record(identity: "http://x\0y").encoded[...]) == nil)
        #expect(ChangeRecord(Self.record("a\0").encoded[...]) == nil)
        #expect(ChangeRecord(Self.record().encoded[...]) != nil)
        #expect(OwnerRecord(OwnerRecord(node: "a\0", incarnation: Incarnation(rawValue: 1)).encoded) == nil)
        #expect(ClusterSubjects(prefix: "fr").topic(of: "fr.change.a=00") == nil)
    }

    @Test("validators that no field of HTTP can hold are left out", arguments: ["a\0b", "\"a\r\nx: y\"", "\u{7F}"])
    func validators(text: String) throws {
        var record = Self.record()
        record.change.validators = Validators(etag: Array(text.utf8), lastModified: Array(text.utf8), url: text)
        let read = try #require(ChangeRecord(record.encoded[...]))
        #expect(read.change.validators == Validators())
    }

    @Test(
        "where a patch, a merge patch or a list of items is no such text, the value stands for the change",
        arguments: [
            ("not json\n\nevent: evil\ndata: 1", "{}", "{}"), ("[]", "{", "{}"), ("[]", "{}", "[]"), ("", "{}", "{}"),
            ("5", "5", "{}"), (#"[{"op":"add","value":[}]"#, "{}", "{}"),
        ]
    )
    func patches(patch: String, merge: String, items: String) throws {
        let record = Self.record(patch: patch, merge: merge, items: items)
        let read = try #require(ChangeRecord(record.encoded[...]))
        #expect(read.change.patch == nil && read.change.merge == nil && read.change.items == nil)
        #expect(read.change.document.text == record.change.document.text)
    }

    @Test("white space in a patch ends no line of a stream")
    func space() throws {
        let record = Self.record(patch: "[\n\n]", merge: "{\r\n}", items: " {\n} ")
        let read = try #require(ChangeRecord(record.encoded[...]))
        #expect(read.change.patch == Array("[]".utf8) && read.change.merge == Array("{}".utf8))
        #expect(read.change.items == Array("{}".utf8))
    }

    @Test("what a write came to is JSON, where it is said to be")
    func answers() {
        var answer = WriteAnswer(status: 200)
        answer.value = Array("{}, \"x\":1".utf8)
        #expect(ClusterReply(ClusterReply.wrote(answer).encoded) == nil)
    }
}
