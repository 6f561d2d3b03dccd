// The arithmetic of partial sends, at every byte.

import FreshetCore
import System
import Testing

@testable import FreshetStreaming

@Suite("What waits for a socket")
struct OutgoingTests {
    static let frames = (1...5).map { number in
        let data = Array(String(repeating: "\(number)", count: number * 7).utf8)
        return SequencedFrame(sequence: UInt64(number), frame: Frame(payload: data))
    }

    @Test("is the same bytes wherever the sends are cut", arguments: Framing.allCases, [16, 61, 4096])
    func cuts(framing: Framing, scratchBytes: Int) {
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: scratchBytes, alignment: 16)
        defer { scratch.deallocate() }
        let parts = Self.frames.flatMap { OutgoingPart.parts(of: $0.frame, framing: framing, mark: nil) }
        let whole = parts.flatMap { Array($0.bytes[$0.range]) }
        for cut in 1...whole.count {
            var backlog = Backlog(parts: parts, maySkip: false, statusMark: 0, tick: 0)
            var sent: [UInt8] = []
            while !backlog.isEmpty {
                let taken = backlog.withNextBytes(scratch: scratch) { bytes in
                    let count = min(cut, bytes.count)
                    sent.append(contentsOf: bytes.prefix(count))
                    return count
                }
                backlog.sent(taken ?? 0)
            }
            #expect(sent == whole, "cut every \(cut) bytes")
            #expect(backlog.parts.isEmpty)
        }
    }

    @Test("is the rest of exactly one frame, for every number of bytes that a send took", arguments: Framing.allCases)
    func rests(framing: Framing) {
        let frames = Self.frames[...]
        let sizes = frames.map { $0.frame.range(in: framing).count }
        let whole = frames.flatMap { $0.frame.bytes[$0.frame.range(in: framing)] }
        for sent in 0...whole.count {
            let stop = FrameRun.stop(in: frames, framing: framing, sent: sent)
            var left: [UInt8] = []
            if stop.offsetInLast > 0 {
                let last = frames[frames.startIndex + stop.count - 1].frame
                let parts = OutgoingPart.parts(of: last, framing: framing, mark: nil, skipping: stop.offsetInLast)
                left = parts.flatMap { Array($0.bytes[$0.range]) }
            }
            let end = sizes.prefix(stop.count).reduce(0, +)
            #expect(left == Array(whole[sent..<max(sent, end)]), "\(sent) bytes")
            #expect(end - sent < (sizes.max() ?? 0))
        }
    }

    @Test("has a ticket's suffix in it wherever a send stopped, and shares the rest", arguments: Framing.allCases)
    func marks(framing: Framing) throws {
        let mark = try #require(
            TicketMark(ticket: Fingerprint(first: 1, second: 2), suffix: Array("abcdefghijklmnopqrstuv".utf8))
        )
        let cursor = Cursor(epoch: Epoch(rawValue: 41), sequence: 7)
        let frame = ControlFrame.hello(
            cursor: cursor,
            id: cursor,
            heartbeat: .seconds(15),
            retry: 2000,
            wire: .markedEventStream
        )
        let range = frame.range(in: framing)
        let expected = Array(
            String(decoding: frame.bytes[range], as: UTF8.self)
                .replacing("\(cursor)~" + String(repeating: "-", count: 22), with: "\(cursor)~abcdefghijklmnopqrstuv")
                .utf8
        )
        #expect(expected.count == range.count)
        for offset in 0...range.count {
            let parts = OutgoingPart.parts(of: frame, framing: framing, mark: mark, skipping: offset)
            #expect(parts.flatMap { Array($0.bytes[$0.range]) } == Array(expected[offset...]), "\(offset)")
            #expect(parts.map(\.beginsEvent) == [offset == 0, false, false])
        }
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 16)
        defer { scratch.deallocate() }
        let frames = [
            SequencedFrame(sequence: 1, frame: frame), Self.frames[0], SequencedFrame(sequence: 2, frame: frame),
        ]
        let run = MarkableRun(of: frames[...], framing: framing, scratch: scratch)
        run.put(mark)
        let between = Self.frames[0].frame
        #expect(Array(run.bytes) == expected + between.bytes[between.range(in: framing)] + expected)
    }

    @Test("loses the events that were not begun where a right has ended, and never the rest of one")
    func notBegun() throws {
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 16)
        defer { scratch.deallocate() }
        let head = Array("HTTP/1.1 200 OK\r\n\r\n".utf8)
        let frames = Self.frames.map { Array($0.frame.bytes[$0.frame.chunk]) }
        let whole = head + frames.flatMap { $0 }
        var ends = [head.count]
        for frame in frames { ends.append((ends.last ?? 0) + frame.count) }
        for taken in 0..<whole.count {
            var backlog = Backlog(parts: [OutgoingPart(head)], maySkip: false, statusMark: 0, tick: 0)
            for frame in Self.frames { backlog.append(frame.frame, framing: .chunked, mark: nil) }
            backlog.sent(taken)
            backlog.dropEventsNotBegun()
            var left: [UInt8] = []
            while !backlog.isEmpty {
                let count = backlog.withNextBytes(scratch: scratch) { bytes in
                    left.append(contentsOf: bytes)
                    return bytes.count
                }
                backlog.sent(count ?? 0)
            }
            // To the end of what was begun: of the head in any case.
            let end = taken == 0 ? head.count : ends.first { $0 >= taken } ?? whole.count
            #expect(left == Array(whole[taken..<end]), "\(taken)")
        }
    }

    @Test("goes out in runs that fit, one frame at least")
    func prefixes() {
        let frames = Self.frames[...]
        let sizes = frames.map { $0.frame.range(in: .chunked).count }
        for limit in 0...(sizes.reduce(0, +) + 1) {
            let count = FrameRun.prefixCount(of: frames, framing: .chunked, limit: limit)
            #expect(count >= 1)
            #expect(count == 1 || sizes.prefix(count).reduce(0, +) <= limit)
            #expect(count == frames.count || sizes.prefix(count + 1).reduce(0, +) > limit)
        }
    }
}

@Suite("The slots of a shard")
struct SubscriberTableTests {
    @Test("are reused with a new generation, so that a late report names nobody")
    func generations() throws {
        var table = SubscriberTable<SocketName>()
        func slot(_ descriptor: Int32) -> SubscriberSlot<SocketName> {
            SubscriberSlot(
                machine: SubscriberStateMachine(after: 0),
                connection: SocketName(descriptor: descriptor),
                lastSend: 0,
                group: 0,
                generation: 0
            )
        }
        var indices: [Int32] = []
        for descriptor in 0..<Int32(1000) {
            let index = table.allocate(slot(descriptor), record: SubscriberRecord())
            indices.append(try #require(index))
        }
        #expect(Set(indices).count == 1000)
        let count = table.count
        #expect(count == 1000)
        let generation = table.slot(indices[500]).pointee.generation
        table.release(indices[500])
        let isUsed = [0, -1, 1000, indices[500]].map { table.isUsed($0) }
        #expect(isUsed == [true, false, false, false])
        let again = table.allocate(slot(7), record: SubscriberRecord())
        #expect(again == indices[500])
        let (reused, neighbour) = (table.slot(indices[500]).pointee, table.slot(indices[499]).pointee)
        #expect(reused.generation == generation + 1)
        #expect(neighbour.connection.descriptor == 499)
    }

    @Test("take 32 bytes each, two to a cache line")
    func size() {
        #expect(MemoryLayout<SubscriberSlot<SocketName>>.stride == 32)
        #expect(MemoryLayout<SubscriberRecord>.stride <= 32)
    }
}

@Suite("A peer's address")
struct PeerAddressTests {
    @Test(
        "is counted by what its owner cannot choose",
        arguments: [
            ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true), ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false), ("", "nonsense", true), ("", "::", false),
        ]
    )
    func networks(left: String, right: String, areSame: Bool) {
        #expect((PeerAddress(left, port: 1).network == PeerAddress(right, port: 2).network) == areSame)
    }

    @Test(
        "is written as people know it",
        arguments: [("192.0.2.1", "192.0.2.1:80"), ("2001:db8::1", "[2001:db8::1]:80"), ("what", "unknown")]
    )
    func text(address: String, text: String) {
        #expect(PeerAddress(address, port: 80).description == text)
    }

    @Test(
        "is known as this machine",
        arguments: [
            ("127.9.9.9", true), ("::1", true), ("::ffff:127.0.0.1", true), ("10.0.0.1", false), ("::2", false),
            ("::", false), ("", false), ("unix", false),
        ]
    )
    func loopback(address: String, isLoopback: Bool) {
        #expect(PeerAddress(address).isLoopback == isLoopback)
    }
}

@Suite("Admission")
struct AdmissionTests {
    @Test("refuses past the bound in all, with a jittered Retry-After, until a place is free (F43, S13)")
    func total() {
        let desk = AdmissionDesk(maxTotal: 3, maxPerAddress: 0)
        var tickets: [AdmissionTicket] = []
        for _ in 0..<3 {
            if case .admitted(let ticket) = desk.admit(.local) { tickets.append(ticket) }
        }
        #expect(tickets.count == 3)
        var delays: Set<Int64> = []
        for _ in 0..<20 {
            guard case .refused(.full, let delay) = desk.admit(.local) else {
                Issue.record("admitted past the bound")
                continue
            }
            delays.insert(delay.milliseconds)
        }
        #expect(delays.allSatisfy { (1000...10_000).contains($0) })
        #expect(delays.count > 5)
        #expect(desk.refusals == [.full: 20])
        tickets.removeLast()
        guard case .admitted = desk.admit(.local) else {
            Issue.record("no place although one is free")
            return
        }
    }

    @Test("bounds one address, not loopback and not another (S13)")
    func perAddress() {
        let desk = AdmissionDesk(maxTotal: 100, maxPerAddress: 2)
        var tickets: [AdmissionTicket] = []
        func isAdmitted(_ address: String) -> Bool {
            guard case .admitted(let ticket) = desk.admit(PeerAddress(address)) else { return false }
            tickets.append(ticket)
            return true
        }
        #expect(isAdmitted("192.0.2.1") && isAdmitted("192.0.2.1") && !isAdmitted("192.0.2.1"))
        #expect(isAdmitted("2001:db8::1") && isAdmitted("2001:db8::2") && !isAdmitted("2001:db8::3"))
        #expect(isAdmitted("192.0.2.2"))
        for _ in 0..<10 {
            #expect(isAdmitted("127.0.0.1"))
        }
        tickets.removeAll()
        #expect(isAdmitted("192.0.2.1"))
    }

    @Test("A08: bounds the different source sets of one address, not the streams of one set, not loopback")
    func sourceSets() {
        let desk = AdmissionDesk(maxTotal: 100, maxPerAddress: 10, maxSourceSetsPerAddress: 2)
        var tickets: [String: AdmissionTicket] = [:]
        func refusal(_ address: String, _ set: Int) -> RefusalReason? {
            switch desk.admit(PeerAddress(address), sourceSet: set) {
            case .admitted(let ticket):
                tickets["\(address) \(set) \(tickets.count)"] = ticket
                return nil
            case .refused(let reason, let delay):
                #expect((1000...10_000).contains(delay.milliseconds))
                return reason
            }
        }
        #expect(refusal("192.0.2.1", 1) == nil && refusal("192.0.2.1", 1) == nil && refusal("192.0.2.1", 2) == nil)
        #expect(refusal("192.0.2.1", 3) == .sourceSets)
        #expect(refusal("192.0.2.1", 2) == nil && refusal("192.0.2.2", 3) == nil)
        for set in 0..<10 {
            #expect(refusal("127.0.0.1", set) == nil)
        }
        #expect(desk.refusals == [.sourceSets: 1])
        tickets = tickets.filter { !$0.key.hasPrefix("192.0.2.1 1 ") }
        #expect(refusal("192.0.2.1", 3) == nil && refusal("192.0.2.1", 1) == .sourceSets)
        for _ in 0..<7 { _ = refusal("192.0.2.1", 3) }
        #expect(refusal("192.0.2.1", 3) == .address)
        tickets = [:]
        #expect(refusal("192.0.2.1", 4) == nil)
    }

    @Test(
        "A08: one address has a tenth of all places unless it is said otherwise, from 100 to 1,000",
        arguments: [(960, nil, 100), (5000, nil, 500), (100_000, nil, 1000), (5000, 7, 7), (5000, 0, 0)]
    )
    func defaultShare(subscribers: Int, configured: Int?, share: Int) {
        var settings = StreamSettings(shards: 1)
        settings.maxSubscribers = subscribers
        settings.maxSubscribersPerAddress = configured
        #expect(settings.effectiveMaxSubscribersPerAddress == share)
    }

    @Test("short of memory, an address keeps one stream, and whoever fills the memory locks nobody out (F77)")
    func shortOfMemory() {
        let desk = AdmissionDesk(maxTotal: 100, maxPerAddress: 50)
        var tickets: [AdmissionTicket] = []
        func refusal(_ address: String) -> RefusalReason? {
            switch desk.admit(PeerAddress(address)) {
            case .admitted(let ticket):
                tickets.append(ticket)
                return nil
            case .refused(let reason, _): return reason
            }
        }
        #expect(refusal("192.0.2.1") == nil)
        desk.setMemoryPressure(.elevated)
        #expect(refusal("192.0.2.1") == .memory)
        #expect(refusal("192.0.2.2") == nil && refusal("192.0.2.2") == .memory)
        // Not counted by address, so that one might be all.
        #expect(refusal("127.0.0.1") == .memory)
        for pressure in [MemoryPressure.high, .critical] {
            desk.setMemoryPressure(pressure)
            #expect(refusal("192.0.2.3") == .memory)
        }
        desk.setMemoryPressure(.none)
        #expect(refusal("192.0.2.1") == nil && refusal("127.0.0.1") == nil)
    }

    @Test("refuses everybody while the gateway drains")
    func draining() {
        let desk = AdmissionDesk(maxTotal: 3, maxPerAddress: 0)
        desk.close()
        guard case .refused(.draining, _) = desk.admit(.local) else {
            Issue.record("admitted while draining")
            return
        }
    }
}
