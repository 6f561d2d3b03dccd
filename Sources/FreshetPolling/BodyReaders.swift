// Large bodies are read beside the poll thread: a table of 8 MiB would hold every other poll for a good part of a second.

import FreshetCore
import FreshetUpstream
import Synchronization
import System

/// Reads bodies on a few threads, the one that came first at first, and posts what came of them to the poll thread. Any
/// thread may call.
///
/// A thread begins when there is something to read and ends when there is not. It holds values only, so that nobody has to
/// wait for it: a source may be removed, and the gateway stop, while a body is read. It gives way to all other threads:
/// a large body may take longer, and nothing else does.
final class BodyReaders: Sendable {
    /// The body of one answer, for each source that it is the answer for.
    struct Job: Sendable {
        /// Tells jobs apart.
        var number: UInt64
        /// The source that asked.
        var source: SourceID
        var readings: [(source: SourceID, reading: BodyReading)]
        var bytes: Int
    }

    /// What came of a job.
    struct Result: Sendable {
        var number: UInt64
        var source: SourceID
        var bodies: SourceMap<ReadBody>
    }

    /// A result on its way to the poll thread, with the job that it came of: the answer, and the value before it.
    ///
    /// Whoever lets go of those last gives their memory back to the system, which takes milliseconds. So that it is not
    /// the poll thread, it hands the delivery to ``BodyReaders/letGo(of:)`` when it is done.
    final class Delivery: Sendable {
        private let contents: Mutex<(job: Job, result: Result)?>

        init(_ job: Job, _ result: Result) {
            self.contents = Mutex((job, result))
        }

        /// `nil` once it was emptied. To be held on to no longer than the delivery.
        var result: Result? { self.contents.withLock { $0?.result } }

        /// Lets go of all that it holds, whoever still holds the delivery.
        func empty() {
            let contents = self.contents.withLock { $0.take() }
            withExtendedLifetime(contents) {}
        }
    }

    /// Something to do for a reader.
    private enum Work {
        case read(Job)
        case empty([Delivery])
    }

    private struct State: Sendable {
        var waiting: [Job] = []
        /// What the poll thread is done with.
        var done: [Delivery] = []
        /// Of the bodies that wait or are read.
        var bytes = 0
        var threads = 0
        var isClosed = false
    }

    private let inbox: LaneInbox
    private let limits: PollerConfiguration.Bodies
    private let state = Mutex(State())

    init(inbox: LaneInbox, limits: PollerConfiguration.Bodies) {
        self.inbox = inbox
        self.limits = limits
    }

    /// Takes a job; its result is posted unless the job is cancelled before it begins.
    ///
    /// - Returns: `false` where no more bodies may wait, or the system has no thread to give. A body that is alone is taken,
    ///   however large it is.
    func submit(_ job: Job) -> Bool {
        enum Step { case refused, waits, begins }
        let step = self.update { state -> Step in
            let fits = state.bytes == 0 || job.bytes <= self.limits.maxBytes - state.bytes
            guard !state.isClosed, fits, state.waiting.count < self.limits.maxWaiting else { return .refused }
            state.waiting.append(job)
            state.bytes += job.bytes
            guard state.threads < self.limits.maxThreads else { return .waits }
            state.threads += 1
            return .begins
        }
        guard step == .begins else { return step == .waits }
        do throws(SystemError) {
            try self.beginThread()
            return true
        } catch {
            return self.update { state in
                state.threads -= 1
                // Another thread reads it in its turn, or has begun.
                guard state.threads == 0, let index = state.waiting.firstIndex(where: { $0.number == job.number })
                else {
                    return true
                }
                state.bytes -= state.waiting.remove(at: index).bytes
                return false
            }
        }
    }

    /// Drops a job that has not begun.
    func cancel(_ number: UInt64) {
        self.update { state in
            guard let index = state.waiting.firstIndex(where: { $0.number == number }) else { return }
            state.bytes -= state.waiting.remove(at: index).bytes
        }
    }

    /// Has a reader let go of a delivery that the poll thread is done with.
    func letGo(of delivery: Delivery) {
        enum Step { case waits, begins, atOnce }
        let step = self.update { state -> Step in
            guard !state.isClosed else { return .atOnce }
            state.done.append(delivery)
            guard state.threads < self.limits.maxThreads else { return .waits }
            state.threads += 1
            return .begins
        }
        switch step {
        case .waits: return
        case .atOnce: delivery.empty()
        case .begins:
            do throws(SystemError) {
                try self.beginThread()
            } catch {
                let rest = self.update { state -> [Delivery] in
                    state.threads -= 1
                    defer { state.done = [] }
                    return state.done
                }
                for delivery in rest { delivery.empty() }
            }
        }
    }

    /// Begins no further job. Final.
    func close() {
        self.update { state in
            state.isClosed = true
            state.bytes -= state.waiting.reduce(0) { $0 + $1.bytes }
            state.waiting = []
        }
    }

    private func beginThread() throws(SystemError) {
        try SystemThread.detach(name: "freshet-body", givesWay: true) { self.work() }
    }

    private func work() {
        while let work = self.next() {
            switch work {
            case .read(let job): self.inbox.post(.bodyRead(self.read(job)))
            case .empty(let deliveries):
                for delivery in deliveries { delivery.empty() }
            }
        }
    }

    private func read(_ job: Job) -> Delivery {
        var bodies = SourceMap<ReadBody>()
        for (source, reading) in job.readings { bodies[source] = reading.read() }
        self.update { $0.bytes -= job.bytes }
        return Delivery(job, Result(number: job.number, source: job.source, bodies: bodies))
    }

    private func next() -> Work? {
        self.state.withLock { state in
            if !state.done.isEmpty {
                defer { state.done = [] }
                return .empty(state.done)
            }
            guard !state.waiting.isEmpty else {
                state.threads -= 1
                return nil
            }
            return .read(state.waiting.removeFirst())
        }
    }

    /// Changes the state, and the gauge with it.
    private func update<Answer: Sendable>(_ change: (inout sending State) -> Answer) -> Answer {
        self.state.withLock { state in
            let answer = change(&state)
            let bytes = state.bytes
            self.inbox.metrics.withLock { $0.waitingBodyBytes = bytes }
            return answer
        }
    }
}
