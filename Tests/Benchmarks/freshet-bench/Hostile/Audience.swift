// Subscribers that behave: they read at once, and come back with their cursor after a cut.

import CLinux
import EventStream
import Foundation
import FreshetTesting
import Synchronization

/// Subscribers of one source each, on one thread, whose every event is checked.
///
/// One in fifty leaves every two seconds, stays away for one, and resumes. Each has an address of its own, as a proxy would
/// name it.
final class Audience: Sendable {
    /// What the thread reports.
    struct Report: Sendable {
        var audit: DeliveryAudit
        /// Nanoseconds from the origin's answer to the event, for changes made while the subscriber was connected.
        var delays: [Int64] = []
        /// Nanoseconds from a reconnect to the first event that was missed.
        var resumes: [Int64] = []
        /// The last version of each subscriber; without versions, how many changes it has received.
        var versions: [Int]
        /// The numbers of each subscriber's ids, where values have no versions.
        var sequences: [[Int]] = []
        /// Streams that were answered with 200.
        var opened = 0
        /// How many streams ended, by the reason.
        var ends: [String: Int] = [:]
        /// The id that was received last, by whichever subscriber.
        var lastID = ""
        var isMeasuring = false
        var isEnding = false
    }

    let report: Watched<Report>
    /// The source of each subscriber.
    let sources: [String]
    private let port: Int
    private let comesAndGoes: Bool
    private let hasVersions: Bool
    private let network: Int

    /// - Parameters:
    ///   - sources: The source of each subscriber.
    ///   - port: The gateway's.
    ///   - comesAndGoes: Whether one in fifty leaves and resumes.
    ///   - hasVersions: Whether a value says `"n":VERSION`. Without it ids are checked and ``Report/sequences`` is filled.
    ///   - network: Addresses begin at `127.0.network.1`.
    init(of sources: [String], port: Int, comesAndGoes: Bool, hasVersions: Bool = true, network: Int = 64) {
        var report = Report(
            audit: DeliveryAudit(subscribers: sources.count),
            versions: Array(repeating: 0, count: sources.count)
        )
        if !hasVersions { report.sequences = Array(repeating: [], count: sources.count) }
        self.report = Watched(report)
        self.sources = sources
        self.port = port
        self.comesAndGoes = comesAndGoes
        self.hasVersions = hasVersions
        self.network = network
    }

    /// Connects all. Returns once each has its snapshot.
    ///
    /// - Throws: `BenchmarkFailure` where that takes more than a minute.
    func start() throws {
        Thread.detachNewThread { self.run() }
        let count = self.sources.count
        let isComplete = self.report.wait(timeout: .seconds(60)) { report in
            report.versions.allSatisfy { $0 > 0 } ? true : nil
        }
        guard isComplete == true else {
            let connected = self.report.value.versions.count { $0 > 0 }
            throw BenchmarkFailure("only \(connected) of \(count) subscribers have their snapshot after a minute")
        }
    }

    func measure(_ isMeasuring: Bool) { self.report.update { $0.isMeasuring = isMeasuring } }

    /// The id that was received last; empty where there is none.
    var lastID: String { self.report.value.lastID }

    /// Waits until every subscriber has the last version of its source, at most `timeout`, and counts what is missing as
    /// lost.
    func awaitEnd(at versions: [String: Int], timeout: Duration) {
        let last = self.sources.map { versions[$0] ?? 0 }
        _ = self.report.wait(timeout: timeout) { report in report.versions == last ? true : nil }
        self.report.update { report in
            for (subscriber, version) in last.enumerated() {
                report.audit.historyEnded(at: version, for: subscriber)
            }
        }
    }

    func end() { self.report.update { $0.isEnding = true } }

    private func run() {
        guard let set = try? SocketSet() else { return }
        var thread = AudienceThread(port: self.port, set: set, network: self.network)
        for (index, source) in self.sources.enumerated() {
            thread.members.append(AudienceMember(source: source, comesAndGoes: self.comesAndGoes && index % 50 == 7))
        }
        var isEnding = false
        while !isEnding {
            thread.step()
            let found = thread.take()
            isEnding = self.report.update { report in
                for event in found { self.note(event, in: &report) }
                return report.isEnding
            }
        }
        thread.close()
    }

    private func note(_ event: AudienceEvent, in report: inout Report) {
        switch event.kind {
        case .change(let version, let id, let delay, let resume):
            if self.hasVersions {
                report.audit.received(version: version, id: id, by: event.subscriber)
                report.versions[event.subscriber] = version ?? report.versions[event.subscriber]
            } else {
                report.audit.received(id: id, by: event.subscriber)
                report.versions[event.subscriber] += 1
            }
            report.lastID = id.isEmpty ? report.lastID : id
            if report.isMeasuring, let delay { report.delays.append(delay) }
            if report.isMeasuring, let resume { report.resumes.append(resume) }
            if !self.hasVersions, let sequence = id.split(separator: "-").last.flatMap({ Int($0) }) {
                report.sequences[event.subscriber].append(sequence)
            }
        case .opened: report.opened += 1
        case .gap: report.audit.gapAnnounced(to: event.subscriber)
        case .ended(let reason):
            report.audit.streamEnded(of: event.subscriber)
            report.ends[reason, default: 0] += 1
        }
    }
}

/// What happened to a subscriber.
struct AudienceEvent {
    enum Kind {
        /// A snapshot or a patch. `delay` and `resume` in nanoseconds, where they can be told.
        case change(version: Int?, id: String, delay: Int64?, resume: Int64?)
        /// The request was answered with 200.
        case opened
        case gap
        /// The server ended the stream, or refused it. `reason` is what its `bye` said, or the status.
        case ended(reason: String)
    }

    var subscriber: Int
    var kind: Kind
}

/// One subscriber.
struct AudienceMember {
    let source: String
    let comesAndGoes: Bool
    var descriptor: Int32 = -1
    var isConnected = false
    var reader = ResponseReader()
    var decoder = EventStreamDecoder()
    /// Empty before the first event with an id.
    var lastID = ""
    /// On the monotonic clock.
    var connectedAt: Int64 = 0
    var reconnectAt: Int64 = 0
    /// Whether nothing has come since a reconnect with a cursor.
    var isResuming = false
    /// What the last `bye` of the stream said, or why it was refused.
    var reason = "without a word"

    init(source: String, comesAndGoes: Bool) {
        self.source = source
        self.comesAndGoes = comesAndGoes
    }
}

/// What the audience's thread owns.
struct AudienceThread {
    private static let stay: Int64 = 2_000_000_000
    private static let absence: Int64 = 1_000_000_000
    /// Connections begun in one step.
    private static let batch = 100

    let port: Int
    let set: SocketSet
    let network: Int
    var members: [AudienceMember] = []
    private var owners: [Int32: Int] = [:]
    private var found: [AudienceEvent] = []
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)

    init(port: Int, set: SocketSet, network: Int) {
        (self.port, self.set, self.network) = (port, set, network)
    }

    mutating func take() -> [AudienceEvent] {
        defer { self.found = [] }
        return self.found
    }

    mutating func step() {
        self.comeAndGo()
        var ready: [(Int32, UInt32)] = []
        self.set.wait(milliseconds: 20) { ready.append(($0, $1)) }
        for (descriptor, events) in ready {
            guard let index = self.owners[descriptor] else { continue }
            if !self.members[index].isConnected {
                self.connected(index, events)
            } else {
                self.readable(index)
            }
        }
    }

    mutating func close() {
        for index in self.members.indices { self.drop(index, until: .max) }
    }

    private mutating func comeAndGo() {
        let now = clinux_monotonic_ns()
        var begun = 0
        for index in self.members.indices where self.members[index].descriptor < 0 || self.members[index].comesAndGoes {
            let member = self.members[index]
            if member.descriptor < 0 {
                guard now >= member.reconnectAt, begun < Self.batch else { continue }
                begun += 1
                self.connect(index, now)
            } else if member.comesAndGoes, member.isConnected, !member.isResuming, !member.lastID.isEmpty,
                now - member.connectedAt > Self.stay
            {
                self.drop(index, until: now + Self.absence)
            }
        }
    }

    private mutating func connect(_ index: Int, _ now: Int64) {
        guard let descriptor = LoopbackSocket.connecting(to: self.port, from: self.address(index)) else {
            self.members[index].reconnectAt = now + Self.absence
            return
        }
        self.members[index].descriptor = descriptor
        self.members[index].isConnected = false
        self.members[index].connectedAt = now
        self.owners[descriptor] = index
        self.set.add(descriptor, for: CLINUX_EPOLLIN | CLINUX_EPOLLOUT)
    }

    private func address(_ index: Int) -> LoopbackAddress {
        LoopbackAddress(network: self.network + index / 250, host: 1 + index % 250)
    }

    private mutating func drop(_ index: Int, until moment: Int64) {
        let descriptor = self.members[index].descriptor
        guard descriptor >= 0 else { return }
        self.owners[descriptor] = nil
        _ = clinux_close(descriptor)
        self.members[index].descriptor = -1
        self.members[index].reconnectAt = moment
    }

    private mutating func connected(_ index: Int, _ events: UInt32) {
        var member = self.members[index]
        guard events & (CLINUX_EPOLLERR | CLINUX_EPOLLHUP) == 0 else {
            return self.drop(index, until: clinux_monotonic_ns() + Self.absence)
        }
        let mode = index.isMultiple(of: 2) ? "patch" : "merge"
        let id = member.lastID.isEmpty ? "" : "Last-Event-ID: \(member.lastID)\r\n"
        let request =
            "GET /v1/streams/\(member.source)?mode=\(mode) HTTP/1.1\r\nHost: 127.0.0.1:\(self.port)\r\n"
            + "X-Forwarded-For: \(self.address(index).forwarded(in: "198.18.\(self.network + index / 250)"))\r\n"
            + "Accept: text/event-stream\r\n\(id)\r\n"
        // A new connection takes a request of 300 bytes whole.
        _ = clinux_send(member.descriptor, request, request.utf8.count)
        self.set.change(member.descriptor, to: CLINUX_EPOLLIN)
        member.isConnected = true
        member.reason = "without a word"
        member.isResuming = !member.lastID.isEmpty
        member.reader = ResponseReader()
        member.reader.requestSent(method: "GET")
        member.decoder = EventStreamDecoder(lastEventID: member.lastID)
        self.members[index] = member
    }

    private mutating func readable(_ index: Int) {
        let count = clinux_recv(self.members[index].descriptor, &self.buffer, self.buffer.count)
        if count == -Int(EAGAIN) { return }
        var isOver = count <= 0
        if count > 0 {
            do {
                for part in try self.members[index].reader.push(Array(self.buffer[..<count])) {
                    switch part {
                    case .interim: break
                    case .head(let head):
                        isOver = isOver || head.status != 200
                        if head.status != 200 { self.members[index].reason = "status \(head.status)" }
                        if head.status == 200 {
                            self.found.append(AudienceEvent(subscriber: index, kind: .opened))
                        }
                    case .body(let bytes):
                        if isOver, self.members[index].reason.hasPrefix("status") {
                            self.members[index].reason += " " + Self.code(in: bytes)
                            continue
                        }
                        for event in try self.members[index].decoder.push(bytes) { self.received(event, index) }
                    case .end: isOver = true
                    }
                }
            } catch {
                isOver = true
            }
        }
        if isOver {
            let reason = self.members[index].reason
            self.found.append(AudienceEvent(subscriber: index, kind: .ended(reason: reason)))
            self.drop(index, until: clinux_monotonic_ns() + Self.absence)
        }
    }

    private mutating func received(_ event: StreamEvent, _ index: Int) {
        switch event.type {
        case "bye":
            self.members[index].reason = "bye \(String(decoding: event.data.prefix(100), as: UTF8.self))"
        case "gap":
            self.found.append(AudienceEvent(subscriber: index, kind: .gap))
        case "snapshot", "patch", "merge":
            let now = clinux_monotonic_ns()
            let member = self.members[index]
            let stamp = Self.number("t", in: event.data)
            // A change made before the connection is replayed, or part of the snapshot: its age tells nothing.
            let delay = stamp.flatMap { $0 > member.connectedAt ? now - Int64($0) : nil }
            let resume = member.isResuming ? now - member.connectedAt : nil
            // An event without an id of its own shows the one before it.
            let id = event.lastEventID == member.lastID ? "" : event.lastEventID
            self.members[index].isResuming = false
            self.members[index].lastID = event.lastEventID
            let kind = AudienceEvent.Kind.change(
                version: Self.number("n", in: event.data),
                id: id,
                delay: delay,
                resume: resume
            )
            self.found.append(AudienceEvent(subscriber: index, kind: kind))
        case _:
            break
        }
    }

    /// The code of a problem document, by its `type`; empty where there is none.
    static func code(in problem: [UInt8]) -> String {
        let text = String(decoding: problem.prefix(1000), as: UTF8.self)
        return text.split(separator: "\"").first { $0.contains(":freshet:") || $0.contains("problem") }.map {
            String($0)
        } ?? ""
    }

    /// The number of the member `name` in a snapshot or a merge patch, or of the operation on it in a patch.
    static func number(_ name: String, in data: [UInt8]) -> Int? {
        for pattern in [#""\#(name)":"#, #"/\#(name)","value":"#] {
            guard let found = data.firstRange(of: Array(pattern.utf8)) else { continue }
            let digits = data[found.upperBound...].prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
            if let number = Int(String(decoding: digits, as: UTF8.self)) { return number }
        }
        return nil
    }
}
