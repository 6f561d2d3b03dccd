// The way of a large body: from the poll thread to a reader and back, with the source's poll under way all the time.

import FreshetCore
import FreshetUpstream
import Synchronization

/// A poll whose answer is there.
struct AnsweredPoll {
    var end: PollEnd
    var trace: ExchangeTrace?
    /// From its start to its last byte.
    var duration: Duration
    /// The pages of this group are of this version, where the value comes in several.
    var group: PollGroup
    var version: Int
}

/// A poll whose answer is there and whose body is being read. Confined to the poll thread.
final class BodyInHand {
    let poll: AnsweredPoll
    /// Of the job that is waited for.
    var number: UInt64
    /// How often the body was read.
    var readings = 1

    init(poll: AnsweredPoll, number: UInt64) {
        self.poll = poll
        self.number = number
    }
}

extension PollLane {
    /// How often a body is read by others at most, where the value has changed each time meanwhile.
    private static let maxReadings = 3

    /// Gives a large body away to be read.
    ///
    /// - Returns: Whether the poll goes on until it was.
    func readsElsewhere(
        _ source: PolledSource,
        _ poll: AnsweredPoll,
        isCounted: Bool,
        now: MonotonicTime,
        wall: WallTime
    ) -> Bool {
        guard poll.end.bodyBytes >= self.configuration.bodies.largeBytes else { return false }
        var poll = poll
        poll.end = poll.end.joined
        guard let number = self.submit(source, poll, wall: wall) else { return false }
        // The connection is free again, and what the answer says about the host is known.
        if isCounted, let response = self.response(of: poll, to: source) {
            self.hostFinished(source.host, source.machine.host(after: response, wall: wall), now: now)
        }
        source.activity = .readingBody
        for follower in source.followers where follower.leader === source { follower.activity = .readingBody }
        source.bodyInHand = BodyInHand(poll: poll, number: number)
        return true
    }

    /// - Returns: The job's number; `nil` where there is nothing to read, or nobody to read it.
    private func submit(_ source: PolledSource, _ poll: AnsweredPoll, wall: WallTime) -> UInt64? {
        var job = BodyReaders.Job(number: self.nextBody, source: source.id, readings: [], bytes: poll.end.bodyBytes)
        for reader in [source] + source.followers where reader === source || reader.leader === source {
            guard let response = self.response(of: poll, to: reader),
                let reading = reader.machine.reading(of: response, wall: wall)
            else { continue }
            job.readings.append((reader.id, reading))
        }
        guard !job.readings.isEmpty else { return nil }
        self.nextBody += 1
        let isTaken = self.readers.submit(job)
        self.inbox.metrics.withLock { $0.largeBodyCame(isTaken: isTaken) }
        return isTaken ? job.number : nil
    }

    private func response(of poll: AnsweredPoll, to source: PolledSource) -> ExchangeResponse? {
        try? poll.end.result(isConfirmation: source.holdsPages(of: poll)).get()
    }

    /// A body was read.
    func bodyRead(_ delivery: BodyReaders.Delivery, now: MonotonicTime) {
        if let result = delivery.result { self.bodyRead(result, now: now) }
        self.readers.letGo(of: delivery)
    }

    /// The poll ends, unless the value has changed meanwhile and the body is to be read again.
    private func bodyRead(_ result: BodyReaders.Result, now: MonotonicTime) {
        // Its source may have been removed, and be another one now.
        guard let source = self.sources[result.source] else { return }
        guard let body = source.bodyInHand, body.number == result.number else {
            return self.pushRead(result, of: source, now: now)
        }
        let wall = WallTime.now
        let readers = [source] + source.followers.filter { $0.leader === source }
        let isStale = readers.contains { reader in
            result.bodies[reader.id].map { !reader.machine.isCurrent($0) } ?? false
        }
        if isStale, body.readings < Self.maxReadings, let number = self.submit(source, body.poll, wall: wall) {
            body.number = number
            body.readings += 1
            return
        }
        source.bodyInHand = nil
        self.conclude(source, body.poll, isCounted: false, bodies: result.bodies, wall: wall, now: now)
    }

    /// Gives up what is being read for a source: it goes.
    func dropBodies(of source: PolledSource) {
        if let body = source.bodyInHand { self.readers.cancel(body.number) }
        source.bodyInHand = nil
        for push in source.pushes {
            if let number = push.number { self.readers.cancel(number) }
        }
    }
}

extension PolledSource {
    /// Whether the value is that of the very pages which the poll has confirmed.
    func holdsPages(of poll: AnsweredPoll) -> Bool {
        self.group === poll.group && self.pagesVersion == poll.version && self.machine.hasValue
    }
}
