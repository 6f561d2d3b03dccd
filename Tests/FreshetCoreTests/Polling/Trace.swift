// A source's state machine as a test drives it: an answer in, what it asks for and decides out.

import FreshetCore
import HTTPFields
import JSON
import System
import Testing

/// What the scripted upstream of a trace answers.
enum Answer: Sendable {
    case response(status: Int, body: [UInt8], fields: [String: String], isCloseDelimited: Bool)
    case failure(UpstreamError)

    static func body(
        _ text: String,
        etag: String? = nil,
        contentType: String = "application/json",
        fields: [String: String] = [:],
        isCloseDelimited: Bool = false,
        status: Int = 200
    ) -> Answer {
        var fields = fields
        fields["content-type"] = contentType
        fields["etag"] = etag
        return .response(status: status, body: Array(text.utf8), fields: fields, isCloseDelimited: isCloseDelimited)
    }

    static func bytes(_ bytes: [UInt8]) -> Answer {
        .response(status: 200, body: bytes, fields: ["content-type": "application/json"], isCloseDelimited: false)
    }

    static let noContent = Answer.response(status: 204, body: [], fields: [:], isCloseDelimited: false)

    static func notModified(etag: String? = nil, fields: [String: String] = [:]) -> Answer {
        var fields = fields
        fields["etag"] = etag
        return .response(status: 304, body: [], fields: fields, isCloseDelimited: false)
    }

    static func status(_ status: Int, fields: [String: String] = [:]) -> Answer {
        .response(status: status, body: Array("x".utf8), fields: fields, isCloseDelimited: false)
    }
}

/// A state machine under a clock that is moved by hand, with what it asked for.
struct Trace {
    var machine: SourceStateMachine
    var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    /// By how many milliseconds the wall clock was stepped.
    var wallOffset: Int64 = 0
    private var generator = SplitMix64(seed: 7)
    private(set) var requests: [PollRequest] = []

    init(phase: Double = 0.5, _ configure: (inout SourceConfiguration) -> Void = { _ in }) {
        var configuration = SourceConfiguration(name: "test", url: "http://upstream.test/")
        configure(&configuration)
        self.machine = SourceStateMachine(
            configuration: configuration,
            phase: phase,
            now: MonotonicTime(nanoseconds: 1_000_000_000_000),
            wall: WallTime(milliseconds: 1_763_877_600_000)
        )
    }

    var wall: WallTime {
        let start = 1_763_877_600_000 + self.wallOffset
        return WallTime(milliseconds: start + (self.now.nanoseconds - 1_000_000_000_000) / 1_000_000)
    }

    /// Waits until the next poll is due, polls, and hands the answer in. `meanwhile`: what happens while the poll is under
    /// way.
    mutating func poll(
        _ answer: Answer,
        waiting: Bool = true,
        taking latency: Duration = .zero,
        meanwhile: (inout SourceStateMachine, MonotonicTime, WallTime) -> SourceStateMachine.Verdict? = { _, _, _ in nil
        }
    ) -> SourceStateMachine.Verdict {
        switch answer {
        case .failure(let error):
            self.begin(waiting: waiting)
            return self.machine.pollFailed(error, now: self.now, wall: self.wall, using: &self.generator)
        case .response(let status, let body, let fields, let isCloseDelimited):
            let response = ExchangeResponse(
                status: status,
                fields: fields.map { HeaderField(name: Array($0.key.utf8), value: Array($0.value.utf8)) },
                body: body,
                wireBytes: body.count,
                isCloseDelimited: isCloseDelimited
            )
            return self.answer(response, waiting: waiting, taking: latency, meanwhile: meanwhile)
        }
    }

    /// As `poll`, with an answer that is whole.
    mutating func answer(
        _ response: ExchangeResponse,
        waiting: Bool = true,
        taking latency: Duration = .zero,
        meanwhile: (inout SourceStateMachine, MonotonicTime, WallTime) -> SourceStateMachine.Verdict? = { _, _, _ in nil
        }
    ) -> SourceStateMachine.Verdict {
        self.begin(waiting: waiting)
        self.now = self.now + latency
        _ = meanwhile(&self.machine, self.now, self.wall)
        return self.machine.responseReceived(response, now: self.now, wall: self.wall, using: &self.generator)
    }

    private mutating func begin(waiting: Bool) {
        if waiting { self.now = max(self.now, self.machine.nextPoll) }
        self.requests.append(self.machine.pollStarted(now: self.now, wall: self.wall))
    }
}
