// What a shard's sockets are asked for from elsewhere, and what their subscriptions tell them.

import CLinux
import FreshetCore
import Glibc
import WebSocket

extension WebSocketConnections {
    func carryOut(_ order: WebSocketOrder) {
        switch order {
        case .open(let arrival): self.open(arrival)
        case .answer(let name, let text, let held):
            guard let connection = self.find(name) else { return }
            self.answer(text, held: held, on: connection)
            self.finish(connection)
        case .unsubscribe(let name, let number, let answer):
            guard let connection = self.find(name) else { return }
            self.unsubscribe(number, on: connection, answer)
        case .narrow(let name, let number, let pattern, let answer):
            guard let connection = self.find(name) else { return }
            self.narrow(number, on: connection, to: pattern, answer)
        case .renew(let name, let owner, let answer):
            guard let connection = self.find(name) else { return }
            self.renew(connection, owner, answer)
        case .close(let name, let code, let reason):
            guard let connection = self.find(name) else { return }
            self.fail(connection, code, reason)
        case .review(let decide): self.review(decide)
        case .drain:
            self.isDraining = true
            // Those with subscriptions end when the delivery ends these, spread over the time of the drain.
            for connection in self.connections.all where connection.subscribers.isEmpty {
                self.endSoon(connection, .goingAway, .drain)
            }
        }
    }

    private func subscriber(_ number: UInt64, on connection: WebSocketConnection) -> WebSocketSubscriber? {
        connection.subscribers.lazy.compactMap { self.subscribers[$0] }
            .first { $0.subscription.number == number }
    }

    private func unsubscribe(_ number: UInt64, on connection: WebSocketConnection, _ answer: [UInt8]?) {
        guard let subscriber = self.subscriber(number, on: connection) else {
            guard number <= connection.lastAdopted else {
                return connection.deferred.append(.unsubscribe(connection.exchange.name, number, answer))
            }
            connection.requests.ended(number)
            if let answer { self.answer(answer, on: connection) }
            return
        }
        subscriber.farewell = answer
        self.report(.left, of: subscriber.key)
    }

    private func narrow(
        _ number: UInt64,
        on connection: WebSocketConnection,
        to pattern: SourcePattern,
        _ answer: [UInt8]?
    ) {
        guard let subscriber = self.subscriber(number, on: connection) else {
            guard number <= connection.lastAdopted else {
                return connection.deferred.append(.narrow(connection.exchange.name, number, pattern, answer))
            }
            connection.requests.ended(number)
            if let answer { self.answer(answer, on: connection) }
            return
        }
        let (exchange, requests) = (connection.exchange, connection.requests)
        let done: @Sendable () -> Void = {
            requests.narrowed(number)
            if let answer { exchange.answer(answer) }
        }
        _ = self.delivery.post(.drop(subscriber.key, keeping: pattern, done: done))
    }

    private func renew(_ connection: WebSocketConnection, _ owner: StreamOwner, _ answer: [UInt8]) {
        connection.owner = owner
        connection.isRenewed = true
        connection.mustAuthenticate = false
        let keys = connection.subscribers.compactMap { self.subscribers[$0]?.key }
        guard !keys.isEmpty else { return self.answer(answer, on: connection) }
        let exchange = connection.exchange
        _ = self.delivery.post(.renew(keys, for: owner.principal) { exchange.answer(answer) })
    }

    /// Subscriptions are looked at by the delivery; a socket may have none.
    private func review(_ decide: (StreamOwner) -> OwnerVerdict) {
        for connection in self.connections.all {
            guard let owner = connection.owner, owner.principal.kind != .anonymous,
                case .ends(let reason) = decide(owner)
            else { continue }
            self.endSoon(connection, .policyViolation, reason)
        }
    }

    // MARK: Subscriptions

    /// - Returns: The place of the subscriber; `nil` where its socket is gone, or ends.
    func adopt(_ subscription: WebSocketSubscription, as key: SlotKey) -> Int32? {
        guard let connection = self.find(subscription.exchange.name), connection.closeCode == 0 else { return nil }
        let place = self.subscribers.insert { _ in WebSocketSubscriber(connection, subscription, key: key) }
        connection.subscribers.append(place)
        connection.lastAdopted = subscription.number
        // What came while it was on its way.
        if connection.isRenewed, let owner = connection.owner {
            _ = self.delivery.post(.renew([key], for: owner.principal, done: {}))
        }
        let deferred = connection.deferred
        connection.deferred = []
        for order in deferred { self.carryOut(order) }
        return place
    }

    func awaitsLive(_ place: Int32) -> Bool { self.subscribers[place]?.awaitsLive ?? false }

    func becameLive(_ place: Int32, at cursor: Cursor) {
        guard let subscriber = self.subscribers[place], subscriber.awaitsLive else { return }
        subscriber.awaitsLive = false
        let answer = subscriber.subscription.answer
        self.answer(answer.head + Array(cursor.description.utf8) + answer.tail, on: subscriber.connection)
    }

    func siblings(of place: Int32) -> [SlotKey] {
        guard let connection = self.subscribers[place]?.connection else { return [] }
        return connection.subscribers.filter { $0 != place }.compactMap { self.subscribers[$0]?.key }
    }

    func close(_ place: Int32, after end: StreamEnd) {
        guard let subscriber = self.subscribers.remove(place) else { return }
        let connection = subscriber.connection
        let isBetweenFrames = connection.remove(place)
        connection.requests.ended(subscriber.subscription.number)
        guard !connection.isGone else { return }
        guard isBetweenFrames else { return self.lose(connection) }
        switch end {
        case .told(.slow): return self.lose(connection, resets: true)
        case .gone, .failed, .talkative:
            // Unless the socket is closing: then its subscriptions are ended so.
            if connection.closeCode == 0 { return self.lose(connection) }
        case .told(.unsubscribed):
            if subscriber.awaitsLive { self.tellEnd(of: subscriber, .unsubscribed) }
        case .told(.drain): self.endSoon(connection, .goingAway, .drain)
        case .told(.expired): self.endSoon(connection, .policyViolation, .expired)
        case .told(let reason):
            if subscriber.farewell == nil { self.tellEnd(of: subscriber, reason) }
        }
        if let farewell = subscriber.farewell { self.answer(farewell, on: connection) }
        self.wake(connection)
        self.endWithoutSubscribers(connection)
    }

    /// Says that a subscription has ended while its socket goes on.
    private func tellEnd(of subscriber: WebSocketSubscriber, _ reason: CloseReason) {
        let end = subscriber.subscription.end
        let text = end.head + Array(reason.rawValue.utf8) + end.tail
        if subscriber.awaitsLive {
            subscriber.awaitsLive = false
            return self.answer(text, on: subscriber.connection)
        }
        self.say(FrameHeader.frame(.text, text), on: subscriber.connection)
    }

    // MARK: Deadlines

    func sweep(_ connection: WebSocketConnection) {
        let limits = connection.limits.value
        let now = self.now
        func isOver(_ duration: Duration, since: Int64) -> Bool { .nanoseconds(now &- since) > duration }
        if connection.closeCode != 0 || connection.hasPeerClosed {
            if isOver(limits.closeTimeout, since: connection.closedAt) { self.lose(connection, resets: true) }
            return
        }
        if connection.ownCount > 0, isOver(limits.writeTimeout, since: connection.ownProgress) {
            return self.lose(connection, resets: true)
        }
        if connection.mustAuthenticate, isOver(limits.authTimeout, since: connection.openedAt) {
            return self.fail(connection, .policyViolation, "No credential came in time.")
        }
        if let owner = connection.owner, owner.principal.isExpired(at: Self.wall) {
            self.endSoon(connection, .policyViolation, .expired)
        }
        if connection.messageSince != 0, connection.throttle == nil,
            isOver(limits.messageTimeout, since: connection.messageSince)
        {
            return self.fail(connection, .policyViolation, "A message was not sent whole in time.")
        }
        self.beat(connection, isOver)
    }

    private static var wall: WallTime { WallTime(milliseconds: clinux_realtime_ns() / 1_000_000) }

    /// Pings a quiet socket, and gives one up that does not answer: where nothing else waits in front of it.
    private func beat(_ connection: WebSocketConnection, _ isOver: (Duration, Int64) -> Bool) {
        let limits = connection.limits.value
        if connection.pingedAt != 0, connection.lastSent <= connection.pingedAt,
            isOver(limits.pongTimeout, connection.pingedAt)
        {
            return self.lose(connection, resets: true)
        }
        guard connection.pingedAt == 0, isOver(limits.heartbeat, connection.lastSent), connection.isBetweenFrames,
            connection.ownCount == 0
        else { return }
        self.say(FrameHeader.frame(.ping, []), on: connection)
        connection.pingedAt = self.now
    }
}

extension WebSocketConnection {
    /// Tells the peer's system that nothing follows.
    func sayEnd() {
        guard !self.hasSaidEnd else { return }
        self.hasSaidEnd = true
        switch self.pipe {
        case .plain(let descriptor): _ = clinux_shutdown_write(descriptor)
        case .sealed(let socket, let workspace):
            socket.sayEnd(with: workspace)
            _ = clinux_shutdown_write(socket.descriptor)
        case .stream(let tunnel): tunnel.end()
        case .lost: break
        }
    }

    /// Closes the connection. `resets`: it does not read, and the kernel is to forget what it holds.
    func shut(epoll: EpollSet, resets: Bool) {
        switch self.pipe {
        case .plain(let descriptor): Self.shut(descriptor, epoll, resets: resets)
        case .sealed(let socket, let workspace):
            if !resets { socket.sayEnd(with: workspace) }
            Self.shut(socket.descriptor, epoll, resets: resets)
        case .stream(let tunnel): tunnel.close(resets: resets)
        case .lost: break
        }
    }

    private static func shut(_ descriptor: Int32, _ epoll: EpollSet, resets: Bool) {
        _ = clinux_epoll_del(epoll.descriptor, descriptor)
        if resets { _ = clinux_set_reset_on_close(descriptor) } else { _ = clinux_shutdown_write(descriptor) }
        _ = clinux_close(descriptor)
    }
}
