import CFaultyVFS
import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

@testable import freshet

/// How the disk fails.
enum DiskFault: String, CaseIterable, CustomTestStringConvertible, Sendable {
    case full, readOnly, failedWrites, failedSyncs, everythingFails

    var testDescription: String { self.rawValue }

    /// Whether what the file holds can no longer be trusted.
    var losesTheFile: Bool { self != .full && self != .readOnly }

    /// What the log says of it.
    var kind: String {
        switch self {
        case .full: "full"
        case .readOnly: "read_only"
        case .failedWrites, .failedSyncs, .everythingFails: "io"
        }
    }

    var plan: faulty_plan {
        switch self {
        case .full: Self.plan(FAULTY_WRITE, FAULTY_FULL)
        case .readOnly: Self.plan(FAULTY_WRITE, FAULTY_READ_ONLY)
        case .failedWrites: Self.plan(FAULTY_WRITE, FAULTY_EIO)
        case .failedSyncs: Self.plan(FAULTY_SYNC, FAULTY_EIO)
        case .everythingFails:
            Self.plan(FAULTY_WRITE | FAULTY_SYNC | FAULTY_TRUNCATE | FAULTY_OPEN | FAULTY_DELETE, FAULTY_EIO)
        }
    }

    static let none = plan(FAULTY_WRITE, FAULTY_COUNT)

    /// These operations fail from now on.
    static func plan(_ operations: UInt32, _ mode: faulty_mode) -> faulty_plan {
        faulty_plan(operations: operations, mode: mode, at: 1, is_lasting: 1, lies_about_syncs: 0)
    }
}

/// A gateway whose disk fails while it runs: subscribers go on getting every change, and no number ever names two values.
@Suite("A disk that fails under a running gateway", .serialized)
struct DiskFailureTests {
    private let folder: TemporaryFolder
    private let path: String

    init() throws {
        #expect(faulty_install() == 0)
        self.folder = try TemporaryFolder()
        self.path = self.folder.path("changes.db")
    }

    private var configuration: String {
        """
        cache: { max_bytes: 64KiB }
        shutdown: { drain: 100ms }
        log: { path: "\(self.path)" }
        sources:
          pushed: { url: "http://127.0.0.1:1/", interval: 1h }
        """
    }

    private static func value(_ number: Int) -> String {
        #"{"n":\#(number),"pad":"\#(String(repeating: "x", count: 400))"}"#
    }

    private func push(_ numbers: ClosedRange<Int>, to gateway: EmbeddedGateway) async throws -> [String] {
        var cursors: [String] = []
        for number in numbers {
            cursors.append(try await gateway.push(Self.value(number), to: "pushed"))
        }
        return cursors
    }

    private func follow(_ gateway: EmbeddedGateway) async throws -> Follower {
        let stream = try EventStreamClient(gateway.endpoint, path: "/v1/streams/pushed")
        var follower = Follower(stream: stream, mode: "patch", rule: nil, values: [:], lastEventID: "")
        #expect(try await stream.next()?.type == "hello")
        try await follower.takeChange()
        return follower
    }

    private static func epoch(_ cursor: String) -> Substring { cursor.prefix { $0 != "-" } }

    private var quarantined: [String] {
        let names = try? FileManager.default.contentsOfDirectory(atPath: self.folder.path)
        return (names ?? []).filter { $0.contains(".corrupt-") && !$0.hasSuffix("-wal") }
    }

    @Test(
        "F64, F65, F67: it goes on from memory under a new epoch, stays ready, says so, and mends itself",
        arguments: DiskFault.allCases
    )
    func failure(fault: DiskFault) async throws {
        let plan = faulty_begin(self.path, DiskFault.none)
        defer { faulty_end(plan) }
        let gateway = try await EmbeddedGateway(self.configuration, in: self.folder)
        let before = try await self.push(1...5, to: gateway)
        var follower = try await self.follow(gateway)

        faulty_change(plan, fault.plan)
        let during = try await self.push(6...8, to: gateway)
        #expect(during.allSatisfy { Self.epoch($0) == Self.epoch(during[0]) })
        #expect(
            Self.epoch(during[0]) != Self.epoch(before[0]),
            "numbers that the disk may hold are not given out again"
        )
        // Fails at anything but patches: no gap, no snapshot.
        try await follower.takeChanges(until: ["pushed": Array(Self.value(8).utf8)])
        #expect(follower.lastEventID == during[2])
        try await self.expectDegraded(gateway, fault)
        try await self.expectGap(gateway, after: before[3])

        faulty_change(plan, DiskFault.none)
        #expect(await gateway.log.line(containing: "notice the change log is durable again") != nil)
        #expect(try await gateway.metric("freshet_log_degraded", is: 0))
        #expect(try await gateway.client.get("/readyz?verbose").text.contains("log: ok"))
        let after = try await self.push(9...10, to: gateway)
        try await follower.takeChanges(until: ["pushed": Array(Self.value(10).utf8)])
        #expect(self.quarantined.isEmpty == !fault.losesTheFile)
        try await gateway.end()
        #expect(Set(before + during + after).count == 10, "no number twice")
        try await self.expectResumed(after)
    }

    private func expectDegraded(_ gateway: EmbeddedGateway, _ fault: DiskFault) async throws {
        let line = try #require(await gateway.log.line(containing: "error the change log failed"))
        #expect(line.contains("kind=\(fault.kind)") && line.contains(self.path), "\(line)")
        let brief = try await gateway.client.get("/readyz")
        #expect(brief.status == 200 && brief.text == "ok\n")
        let verbose = try await gateway.client.get("/readyz?verbose")
        #expect(verbose.status == 200 && verbose.text.contains("log: degraded"))
        #expect(!verbose.text.contains(self.folder.path), "S25: where files lie is nobody's business")
        #expect(try await gateway.metric("freshet_log_degraded", is: 1))
    }

    private func expectGap(_ gateway: EmbeddedGateway, after cursor: String) async throws {
        let stream = try gateway.resume("pushed", after: cursor)
        let opening = try await stream.nextButStatus(3)
        #expect(opening.map(\.type) == ["hello", "gap", "snapshot"])
        #expect(opening[1].text == #"{"reason":"epoch"}"#)
    }

    /// The next process goes on in the numbering of the last, and gives exactly what came after.
    private func expectResumed(_ cursors: [String]) async throws {
        let gateway = try await EmbeddedGateway(self.configuration, in: self.folder)
        #expect(gateway.log.count(of: "numbering of changes restarts") == 0, "\(gateway.log.text)")
        let stream = try gateway.resume("pushed", after: cursors[0])
        let events = try await stream.nextButStatus(2)
        #expect(events.map(\.type) == ["hello", "patch"])
        #expect(events[1].lastEventID == cursors[1])
        let value = try await gateway.client.get("/v1/values/pushed")
        #expect(value.text == Self.value(10))
        try await gateway.end()
    }

    @Test("F64: a disk that is full at the start does not keep it from starting, and is used once there is room")
    func fullAtStart() async throws {
        let plan = faulty_begin(self.path, DiskFault.full.plan)
        defer { faulty_end(plan) }
        let gateway = try await EmbeddedGateway(self.configuration, in: self.folder)
        _ = try await self.push(1...3, to: gateway)
        try await self.expectDegraded(gateway, .full)
        faulty_change(plan, DiskFault.none)
        #expect(await gateway.log.line(containing: "notice the change log is durable again") != nil)
        let cursors = try await self.push(9...10, to: gateway)
        try await gateway.end()
        try await self.expectResumed(cursors)
    }

    @Test("a value of the past that the disk does not give is 503, log_unreadable, and not one that is gone")
    func unreadableValue() async throws {
        let plan = faulty_begin(self.path, DiskFault.none)
        defer { faulty_end(plan) }
        let gateway = try await EmbeddedGateway(self.configuration, in: self.folder)
        let before = try await self.push(1...250, to: gateway)
        faulty_change(plan, DiskFault.plan(FAULTY_READ, FAULTY_EIO))
        let reply = try await gateway.client.get("/v1/values/pushed?at=\(before[1])")
        #expect(reply.status == 503 && reply.text.contains(#""code":"log_unreadable""#), "\(reply.text)")
        #expect(reply.headers["Retry-After"] == "5")
        faulty_change(plan, DiskFault.none)
        #expect(try await gateway.client.get("/v1/values/pushed").status == 200)
        try await gateway.end()
    }

    @Test("F65, F69: what cannot be read back is a gap, and the log is begun anew although nothing was published since")
    func failedRead() async throws {
        let plan = faulty_begin(self.path, DiskFault.none)
        defer { faulty_end(plan) }
        let gateway = try await EmbeddedGateway(self.configuration, in: self.folder)
        let before = try await self.push(1...250, to: gateway)
        faulty_change(plan, DiskFault.plan(FAULTY_READ, FAULTY_EIO))
        let stream = try gateway.resume("pushed", after: before[1])
        let opening = try await stream.nextButStatus(3)
        #expect(opening.map(\.type) == ["hello", "gap", "snapshot"])
        #expect(opening[1].text == #"{"reason":"evicted"}"#)
        #expect(await gateway.log.line(containing: "error the change log failed") != nil)
        faulty_change(plan, DiskFault.none)
        #expect(await gateway.log.line(containing: "notice the change log is durable again") != nil)
        let after = try await self.push(9...10, to: gateway)
        #expect(Self.epoch(after[0]) != Self.epoch(before[0]))
        #expect(try await stream.nextButStatus(2).map(\.lastEventID) == after)
        #expect(self.quarantined.count == 1)
        try await gateway.end()
        try await self.expectResumed(after)
    }
}
