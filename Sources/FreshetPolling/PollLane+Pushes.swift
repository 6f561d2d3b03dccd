// Values that are pushed: one after the other for each source, whoever reads their bodies.

import FreshetCore
import FreshetUpstream
import Synchronization

/// A value that is pushed and not yet taken.
struct PushInHand {
    var body: [UInt8]
    var contentType: [UInt8]?
    var reply: LaneCommand.PushReply
    /// Of the job that reads it; `nil` while another push is first.
    var number: UInt64?
    /// How often it was read.
    var readings = 0
}

extension PollLane {
    /// Pushes to one source that wait for a large one. The poll thread reads those beyond itself.
    private static let maxPushes = 16
    private static let maxReadings = 3

    func push(
        _ id: SourceID,
        body: [UInt8],
        contentType: [UInt8]?,
        reply: @escaping LaneCommand.PushReply,
        now: MonotonicTime
    ) {
        guard let source = self.sources[id] else {
            return reply(.failure(UpstreamError(.internal, "the source is not polled")))
        }
        let push = PushInHand(body: body, contentType: contentType, reply: reply)
        guard body.count >= self.configuration.bodies.largeBytes || !source.pushes.isEmpty else {
            return self.take(push, nil, of: source, now: now)
        }
        source.pushes.append(push)
        if source.pushes.count > Self.maxPushes {
            for push in source.takePushes() {
                if let number = push.number { self.readers.cancel(number) }
                self.take(push, nil, of: source, now: now)
            }
        }
        self.takePushes(of: source, now: now)
    }

    /// Takes what was pushed until something has to be read first.
    private func takePushes(of source: PolledSource, now: MonotonicTime) {
        while let push = source.pushes.first, push.number == nil {
            if self.submitPush(of: source, now: now) { return }
            source.pushes.removeFirst()
            self.take(push, nil, of: source, now: now)
        }
    }

    /// Gives the first push away to be read where it is large.
    private func submitPush(of source: PolledSource, now: MonotonicTime) -> Bool {
        guard let push = source.pushes.first, push.body.count >= self.configuration.bodies.largeBytes,
            push.readings < Self.maxReadings
        else { return false }
        let reading = source.machine.reading(ofPushed: push.body, contentType: push.contentType, wall: .now)
        let job = BodyReaders.Job(
            number: self.nextBody,
            source: source.id,
            readings: [(source.id, reading)],
            bytes: push.body.count
        )
        self.nextBody += 1
        let isTaken = self.readers.submit(job)
        self.inbox.metrics.withLock { $0.largeBodyCame(isTaken: isTaken) }
        guard isTaken else { return false }
        source.pushes[0].number = job.number
        source.pushes[0].readings += 1
        return true
    }

    /// The body of the first push was read: it is taken, unless the value has changed meanwhile and it is to be read again.
    func pushRead(_ result: BodyReaders.Result, of source: PolledSource, now: MonotonicTime) {
        guard let push = source.pushes.first, push.number == result.number, let body = result.bodies[source.id] else {
            return
        }
        source.pushes[0].number = nil
        if source.machine.isCurrent(body) || push.readings >= Self.maxReadings {
            source.pushes.removeFirst()
            self.take(push, body, of: source, now: now)
        }
        self.takePushes(of: source, now: now)
    }

    private func take(_ push: PushInHand, _ body: ReadBody?, of source: PolledSource, now: MonotonicTime) {
        let reply = push.reply
        let verdict = source.machine.valuePushed(
            body: push.body,
            contentType: push.contentType,
            read: body,
            now: now,
            wall: .now
        )
        if verdict.change != nil { source.pagesVersion = nil }
        self.report(source, transition: verdict.transition)
        self.watchStaleness(source)
        if let error = verdict.error { return reply(.failure(error)) }
        if let change = verdict.change {
            self.publish(change, of: source) { cursor in
                reply(cursor.map { .success($0) } ?? .failure(UpstreamError(.internal, "the source was removed")))
            }
        } else if let version = self.hub.version(of: source.id) {
            reply(.success(version.cursor))
        } else {
            reply(.failure(UpstreamError(.internal, "the source has no value")))
        }
    }
}
