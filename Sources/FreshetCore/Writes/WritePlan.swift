// One write from its first look at the value to its answer: what is asked of the upstream, in which order, and what each
// answer means.

package import JSON

/// What a plan begins with, looked up right before.
package struct WriteScene: Sendable {
    /// What stood where the client's base was.
    package enum Base: Sendable {
        /// The client named none.
        case none
        /// The text of what was written; `nil` for an item that was not there.
        case known(Document?)
        /// Another epoch, or gone from the log.
        case unknown
    }

    package var write: CheckedWrite
    package var policy: WritePolicy
    /// Where the keyed items stand.
    package var rule: ItemRule?
    package var schema: SourceSchema?
    package var limits: ParseLimits
    /// The value of the source, and its cursor.
    package var value: Document
    package var cursor: Cursor
    package var base: Base
    /// What the upstream said last of what is written.
    package var upstream: UpstreamVersion?
    /// The caller's fields go upstream in the place of the source's own credentials.
    package var isForwarded = false

    package init(
        write: CheckedWrite,
        policy: WritePolicy,
        rule: ItemRule?,
        schema: SourceSchema?,
        limits: ParseLimits,
        value: Document,
        cursor: Cursor,
        base: Base
    ) {
        self.write = write
        self.policy = policy
        self.rule = rule
        self.schema = schema
        self.limits = limits
        self.value = value
        self.cursor = cursor
        self.base = base
    }
}

/// Decides one write. Performs no I/O and reads no clock.
///
/// The shell carries out each step and hands its result in, until ``Step/finish(_:_:)``.
package struct WritePlan: Sendable {
    package enum Step: Sendable {
        /// Send this. Where it is no read and the write has an idempotency key, ``attempt`` is to be on the disk before.
        case exchange(WriteExchange)
        /// Make this the value, append the change, and say where it is.
        case take(WriteEdit, tag: [UInt8]?)
        /// Poll, and say where the value is then.
        case poll
        case finish(WriteAnswer, End)
    }

    /// What becomes of the idempotency key.
    package enum End: Hashable, Sendable {
        /// The answer is final: it is given again.
        case settled
        /// Nothing was done: the key may be used again.
        case forgotten
        /// May have been carried out. Asked again, this is sent again, where that can do no harm.
        case unknown(WriteAttempt)
    }

    /// The value or item as a change made it.
    package struct Taken: Sendable {
        package var cursor: Cursor
        /// The whole value of the source.
        package var value: Document

        package init(cursor: Cursor, value: Document) {
            self.cursor = cursor
            self.value = value
        }
    }

    enum State: Sendable {
        case ready
        /// The upstream is asked for what it has. Next: `sent`, `showing`, `done`.
        case reading
        /// Next: `reading` after a 412, `fetching`, `polling`, `taking`, `done`.
        case sent(WriteAttempt)
        /// A write whose outcome is unknown was sent again. Next: as `sent`, and `confirming`.
        case resent(WriteAttempt)
        /// The upstream refused it, and is asked whether it holds what was intended. Next: `taking`, `done`.
        case confirming(WriteAttempt)
        /// It was carried out; the upstream is asked what it became. Next: `taking`, `polling`, `done`.
        case fetching(WriteAttempt, status: Int)
        /// It was carried out, and only a poll can tell what it became. Next: `done`.
        case polling(WriteAttempt)
        /// The result becomes the value. Next: `done`.
        case taking(WriteAttempt)
        /// Refused; what the upstream has now becomes the value, so that the client can see it. Next: `done`.
        case showing(WriteProblem)
        /// Final.
        case done
    }

    /// What is written now, as far as anybody here knows.
    struct Theirs: Sendable {
        /// `nil` where there is nothing.
        var document: Document?
        var tag: [UInt8]?
        /// The upstream said so, in this very write.
        var isRead = false
    }

    package let scene: WriteScene
    var state = State.ready
    var theirs: Theirs
    /// How often the write was sent.
    var sends = 0
    /// The item that was written, once it was.
    package internal(set) var written: (key: String, text: [UInt8])?
    /// Of what a POST created, once the upstream has said.
    var createdKey: String?
    /// What the upstream was last heard to hold, for the next write of the same.
    package internal(set) var upstream: UpstreamVersion?
    private let resumed: WriteAttempt?

    /// How often a write is sent that the upstream refuses because of its condition.
    package static let maxSends = 4

    /// `resumed`: a write with the same key whose outcome is unknown.
    package init(_ scene: WriteScene, resuming resumed: WriteAttempt? = nil) {
        self.scene = scene
        self.resumed = resumed
        self.theirs = Theirs()
        self.upstream = scene.upstream
        self.theirs.document = scene.current
        if let document = self.theirs.document, let known = scene.upstream, known.hash == document.hash {
            self.theirs.tag = known.tag
        }
    }

    /// The request that was sent last and may have been carried out; `nil` before the first.
    package var attempt: WriteAttempt? {
        switch self.state {
        case .sent(let attempt), .resent(let attempt): attempt
        case .ready, .reading, .confirming, .fetching, .polling, .taking, .showing, .done: nil
        }
    }

    // MARK: Inputs

    package mutating func start() -> Step {
        guard let resumed = self.resumed else { return self.decide() }
        guard resumed.exchange.isRepeatable else {
            return self.finish(
                .unknown("The write was cut off; whether the upstream carried it out is not known."),
                .unknown(resumed)
            )
        }
        self.state = .resent(resumed)
        return .exchange(resumed.exchange)
    }

    package mutating func answered(_ result: Result<ExchangeResponse, WriteFailure>) -> Step {
        switch self.state {
        case .reading: return self.readAnswered(result)
        case .sent(let attempt): return self.writeAnswered(result, attempt)
        case .resent(let attempt): return self.repetitionAnswered(result, attempt)
        case .confirming(let attempt): return self.confirmationAnswered(result, attempt)
        case .fetching(let attempt, let status): return self.fetchAnswered(result, attempt, status: status)
        case .ready, .polling, .taking, .showing, .done: return self.finish(Self.outOfStep, .forgotten)
        }
    }

    /// The result of ``Step/take(_:tag:)`` and ``Step/poll``.
    package mutating func taken(_ result: Result<Taken, UpstreamError>) -> Step {
        switch self.state {
        case .taking(let attempt), .polling(let attempt):
            do {
                return self.succeed(try result.get(), attempt)
            } catch {
                return self.finish(.resultRefused(error), .settled)
            }
        case .showing(let problem):
            let now = try? result.get()
            return self.finish(
                problem,
                .settled,
                showing: now.map { self.scene.target(in: $0.value) } ?? self.theirs.document,
                at: now?.cursor ?? self.scene.cursor
            )
        case .ready, .reading, .sent, .resent, .confirming, .fetching, .done:
            return self.finish(Self.outOfStep, .forgotten)
        }
    }

    private static let outOfStep = WriteProblem(
        500,
        "internal_error",
        "A write took a step that it was not asked to take."
    )

    mutating func finish(_ problem: WriteProblem, _ end: End) -> Step {
        self.state = .done
        return .finish(WriteAnswer(problem), end)
    }

    /// With what stands there now, `null` for nothing, and the cursor that has it.
    mutating func finish(_ problem: WriteProblem, _ end: End, showing current: Document?, at cursor: Cursor) -> Step {
        self.state = .done
        var problem = problem
        problem.add("current", json: current?.text ?? Array("null".utf8))
        problem.add("cursor", text: cursor.description)
        var answer = WriteAnswer(problem)
        answer.cursor = cursor
        return .finish(answer, end)
    }
}

extension WriteScene {
    /// What the write is about in a value of the source; `nil` where it is not there.
    package func target(in value: Document) -> Document? {
        guard let key = self.write.request.key else { return value }
        guard let rule = self.rule, case .found(let item, _) = value.item(key, in: rule) else { return nil }
        return item.document
    }

    /// What is written, as the gateway has it.
    var current: Document? { self.write.request.method == .post ? nil : self.target(in: self.value) }

    /// Where the upstream keeps what is written.
    var place: WriteExchange.Target { self.write.request.key.map(WriteExchange.Target.item) ?? .value }
}
