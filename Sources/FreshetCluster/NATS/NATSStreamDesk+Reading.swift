// How readings go on, on the connection's thread.

import NATS

extension NATSStreamDesk {
    func begin(_ loop: NATSLoop, _ reading: NATSReading) {
        guard !reading.isCancelled else { return reading.finish(StreamFailure(.other, "cancelled")) }
        guard self.isReady else {
            return reading.finish(StreamFailure(loop.isConnected ? .noStream : .disconnected, "there is no stream yet"))
        }
        self.readingCount += 1
        reading.address = "\(loop.address).r\(self.readingCount)"
        // Consumers of all nodes are in one list.
        reading.consumer = "\(loop.address.split(separator: ".").last ?? "")-\(self.readingCount)"
        reading.lastHeard = loop.now
        self.readings[ObjectIdentifier(reading)] = reading
        reading.subscription = loop.subscribe("\(reading.address).*") { [weak reading] loop, messages in
            guard let reading else { return }
            self.received(loop, reading, messages)
        }
        let question = self.requests.consumer(reading.consumer, from: reading.next)
        loop.request([question], timeout: self.settings.questionTimeout) { loop, result in
            guard !reading.hasEnded else { return }
            switch result {
            case .failure(let failure): self.end(loop, reading, StreamFailure(failure))
            case .success(let message):
                if let error = JetStream.error(message.payload) {
                    return self.end(loop, reading, StreamFailure(error))
                }
                reading.isOpen = true
                self.settle(loop, reading)
                self.watch(loop, reading)
            }
        }
    }

    /// Asks for what the window has room for.
    func settle(_ loop: NATSLoop, _ reading: NATSReading) {
        guard !reading.hasEnded else { return }
        guard !reading.isCancelled else { return self.end(loop, reading, StreamFailure(.other, "cancelled")) }
        reading.held = max(0, reading.held - reading.takeConsumed())
        let room = reading.window - reading.held - reading.asked
        guard reading.isOpen, room >= reading.threshold else { return }
        reading.pulls += 1
        if reading.asked == 0 { reading.lastHeard = loop.now }
        let maxBytes = max(self.settings.maxReadBytes, 2 * loop.maxPayload)
        let pull = self.requests.next(of: reading.consumer, count: room, maxBytes: maxBytes)
        reading.asked += room
        // Messages, and what the broker says about this request, come to this address.
        if !loop.send([pull], reply: "\(reading.address).\(reading.pulls)") {
            self.end(loop, reading, StreamFailure(.disconnected, "there is no connection to the broker"))
        }
    }

    /// Ends a reading of which nothing is heard although something was asked for.
    private func watch(_ loop: NATSLoop, _ reading: NATSReading) {
        let heartbeat = self.settings.readingHeartbeat
        loop.after(heartbeat) { [weak reading] loop in
            guard let reading, !reading.hasEnded else { return }
            if reading.asked > 0, loop.hasPassed(heartbeat * 3, since: reading.lastHeard) {
                self.check(loop)
                return self.end(loop, reading, StreamFailure(.timedOut, "the reading is not served any more"))
            }
            self.watch(loop, reading)
        }
    }

    private func received(_ loop: NATSLoop, _ reading: NATSReading, _ messages: [NATSMessage]) {
        reading.lastHeard = loop.now
        var stored: [StoredMessage] = []
        var failure: StreamFailure?
        for message in messages where failure == nil {
            guard let reply = message.reply, let position = DeliveredPosition(reply) else {
                failure = self.heard(reading, message)
                continue
            }
            guard position.stream == self.settings.stream, position.consumer == reading.consumer,
                position.delivery == reading.delivered + 1, position.sequence >= reading.next
            else {
                failure = StreamFailure(.other, "messages came out of order, or were lost on the way")
                continue
            }
            (reading.delivered, reading.next) = (position.delivery, position.sequence + 1)
            reading.asked = max(0, reading.asked - 1)
            reading.held += 1
            stored.append(
                StoredMessage(
                    sequence: position.sequence,
                    subject: message.subject,
                    headers: StoredMessage.headers(message.headers),
                    payload: message.payload
                )
            )
        }
        reading.hand(stored)
        if let failure {
            if failure.reason != .other { self.check(loop) }
            self.end(loop, reading, failure)
        } else {
            self.settle(loop, reading)
        }
    }

    /// What the broker says about what it was asked for.
    private func heard(_ reading: NATSReading, _ message: NATSMessage) -> StreamFailure? {
        let text = message.header("Description") ?? ""
        switch message.status {
        case 100:
            guard let last = message.header("Nats-Last-Consumer").flatMap({ UInt64($0) }), last != reading.delivered
            else { return nil }
            return StreamFailure(.other, "messages were lost on the way")
        case 404, 408:
            reading.asked = max(0, reading.asked - (message.count("Nats-Pending-Messages") ?? 0))
            return nil
        case 409 where message.header("Nats-Pending-Messages") != nil && !text.contains("Leadership"):
            reading.asked = max(0, reading.asked - (message.count("Nats-Pending-Messages") ?? 0))
            return nil
        case 409: return StreamFailure(.noStream, text.isEmpty ? "the reading ended" : text)
        case 503: return StreamFailure(.noResponder, "the reading is gone")
        case _: return nil
        }
    }

    func end(_ loop: NATSLoop, _ reading: NATSReading, _ failure: StreamFailure) {
        guard !reading.hasEnded else { return }
        self.readings[ObjectIdentifier(reading)] = nil
        if let subscription = reading.subscription { loop.unsubscribe(subscription) }
        reading.subscription = nil
        if loop.isConnected { _ = loop.send([self.requests.deletion(ofConsumer: reading.consumer)]) }
        reading.finish(failure)
    }
}
