// The HTTP/2 connections of one shard: what comes on them, what goes, and when they end.

import CLinux
import FreshetCore
import Glibc
import HTTP2
import System
import TLS

/// Belongs to its shard's thread, and to its transport.
final class HTTP2Connections {
    private var connections = PlaceTable<HTTP2Connection>()
    private var subscribers = PlaceTable<HTTP2Subscriber>()
    /// For the next look of the delivery.
    private var reports: [TransportReport] = []
    /// For the next look of the WebSockets.
    private var tunnelReports: [HTTP2TunnelReport] = []
    private var dirty: [HTTP2Connection] = []
    /// Connections that have more to read than one turn takes.
    private var unread: [HTTP2Connection] = []
    private var nextNumber: UInt32 = 0
    private var nextSweep: Int64 = 0
    private var isDraining = false

    private let shard: Int
    private let inbox: Inbox<HTTP2Order>
    private let counters: HTTP2Counters
    private let workspace: TLSWorkspace
    private let input: UnsafeMutableRawBufferPointer
    private let epoll: EpollSet

    /// Marks reports of these connections.
    static let mark = UInt64(3) << 62
    /// How often deadlines are looked at.
    private static let sweepNanoseconds: Int64 = 250_000_000
    /// Reads of one connection in one turn.
    private static let readsPerTurn = 4

    init(
        shard: Int,
        inbox: Inbox<HTTP2Order>,
        counters: HTTP2Counters,
        workspace: TLSWorkspace,
        input: UnsafeMutableRawBufferPointer,
        epoll: EpollSet
    ) {
        self.shard = shard
        self.inbox = inbox
        self.counters = counters
        self.workspace = workspace
        self.input = input
        self.epoll = epoll
    }

    // MARK: A turn

    /// How long a wait may take, of the milliseconds that it is asked for.
    func patience(_ milliseconds: Int32, now: Int64) -> Int32 {
        guard self.reports.isEmpty, self.tunnelReports.isEmpty, self.unread.isEmpty else { return 0 }
        guard self.connections.count > 0 else { return milliseconds }
        return min(milliseconds, Int32(clamping: max(0, self.nextSweep &- now) / 1_000_000 + 1))
    }

    /// What happened to subscribers since this was last asked.
    func takeReports() -> [TransportReport] {
        defer { self.reports = [] }
        return self.reports
    }

    /// What happened to tunnels since this was last asked.
    func takeTunnelReports() -> [HTTP2TunnelReport] {
        defer { self.tunnelReports = [] }
        return self.tunnelReports
    }

    private func report(_ events: TransportReport.Events, of place: Int32) {
        switch self.subscribers[place]?.role {
        case .subscriber(let key): self.reports.append(TransportReport(events, of: key))
        case .tunnel(let tunnel): self.tunnelReports.append(HTTP2TunnelReport(tunnel: tunnel, events: events))
        case nil: break
        }
    }

    /// Takes what waits in the inbox, goes on reading, and looks at deadlines.
    func work(now: Int64) {
        for order in self.inbox.take() { self.carryOut(order, now: now) }
        let unread = self.unread
        self.unread = []
        for connection in unread { self.read(connection, now: now) }
        if now >= self.nextSweep {
            self.nextSweep = now &+ Self.sweepNanoseconds
            self.sweep(now: now)
        }
    }

    private func carryOut(_ order: HTTP2Order, now: Int64) {
        switch order {
        case .open(let arrival): self.open(arrival, now: now)
        case .answer(let name, let answer):
            guard let (connection, stream) = self.find(name) else { return }
            connection.held[name.id] = answer.held
            connection.session.answer(
                stream,
                status: answer.status,
                answer.fields,
                body: answer.body,
                now: now
            )
            self.settle(connection, now: now)
        case .begin(let name, let head):
            guard let (connection, stream) = self.find(name),
                connection.session.open(stream, status: head.status, head.fields)
            else { return }
            connection.awaitsPart.insert(name.id)
            self.settle(connection, now: now)
        case .part(let name, let part):
            guard let (connection, stream) = self.find(name) else { return }
            connection.session.add(part.bytes, isLast: part.isLast, to: stream, now: now)
            if !part.isLast { connection.awaitsPart.insert(name.id) }
            self.settle(connection, now: now)
        case .refuse(let name):
            guard let (connection, stream) = self.find(name) else { return }
            connection.session.reset(stream, .refused)
            self.settle(connection, now: now)
        case .drain:
            self.isDraining = true
            for connection in self.connections.all {
                for exchange in connection.exchanges.values { exchange.hurry() }
                self.endSoon(connection)
                self.settle(connection, now: now)
            }
        }
    }

    private func find(_ name: HTTP2StreamName) -> (HTTP2Connection, HTTP2Stream)? {
        guard let connection = self.connections[name.place], connection.number == name.connection,
            let stream = connection.session.streams[name.id]
        else { return nil }
        return (connection, stream)
    }

    private func open(_ arrival: HTTP2Arrival, now: Int64) {
        var limits = HTTP2Limits()
        // Two of the longest at once.
        let (twice, overflow) = arrival.maxBodyBytes.multipliedReportingOverflow(by: 2)
        limits.maxBodyBytes = overflow ? .max : max(limits.maxBodyBytes, twice)
        guard !self.isDraining, let session = HTTP2Session(limits: limits, now: now) else {
            _ = clinux_close(arrival.descriptor)
            return
        }
        self.nextNumber = (self.nextNumber &+ 1) & 0x3FFF_FFFF
        let place = self.connections.insert {
            HTTP2Connection(arrival, session, place: $0, number: self.nextNumber, now: now)
        }
        guard let connection = self.connections[place] else { return }
        self.counters.opened()
        session.limitBody = { arrival.requests.bodyLimit(of: $0, from: arrival.client) }
        let mark = Self.mark | UInt64(connection.number) << 32 | UInt64(UInt32(bitPattern: connection.place))
        guard self.epoll.add(arrival.descriptor, as: mark) else { return self.close(connection) }
        arrival.received.withUnsafeBytes { self.take($0, on: connection, now: now) }
        self.settle(connection, now: now)
    }

    // MARK: What comes

    /// Something happened on the connection of this mark.
    func happened(_ mark: UInt64, _ events: TransportReport.Events, now: Int64) {
        let place = Int32(truncatingIfNeeded: mark & 0x7FFF_FFFF)
        guard let connection = self.connections[place],
            UInt64(connection.number) == (mark >> 32) & 0x3FFF_FFFF
        else { return }
        if events.contains(.readable) { self.read(connection, now: now) }
        guard !connection.isClosed else { return }
        if events.contains(.broken) { return self.close(connection) }
        if events.contains(.writable) { self.settle(connection, now: now) }
    }

    private func read(_ connection: HTTP2Connection, now: Int64) {
        for _ in 0..<Self.readsPerTurn {
            guard !connection.isClosed else { return }
            let received = clinux_recv(connection.socket.descriptor, self.input.baseAddress, self.input.count)
            if received == -Int(EAGAIN) { return self.settle(connection, now: now) }
            guard received > 0 else { return self.close(connection) }
            let sealed = UnsafeRawBufferPointer(rebasing: self.input[..<min(received, self.input.count)])
            let state = connection.socket.session.receive(sealed, with: self.workspace) { bytes in
                self.take(bytes, on: connection, now: now)
            }
            guard !connection.isClosed else { return }
            guard state == .open, connection.socket.sendSealed(with: self.workspace) else {
                return self.close(connection)
            }
            if received < self.input.count { return self.settle(connection, now: now) }
        }
        self.unread.append(connection)
        self.settle(connection, now: now)
    }

    /// Takes frames, or parts of them.
    private func take(_ bytes: UnsafeRawBufferPointer, on connection: HTTP2Connection, now: Int64) {
        guard !connection.isLost, !connection.isEnding || !connection.session.streams.isEmpty else { return }
        guard let events = connection.session.receive(bytes, now: now) else {
            connection.isLost = true
            if let overrun = connection.session.overrun { self.counters.overran(overrun) }
            self.loseStreams(of: connection)
            connection.isEnding = true
            return
        }
        for event in events {
            switch event {
            case .complete(let stream): self.request(stream, on: connection, now: now)
            case .received(let stream): self.received(stream)
            case .closed(let stream): self.closed(stream, of: connection)
            }
        }
    }

    private func received(_ stream: HTTP2Stream) {
        self.report(stream.hasRemoteEnded ? [.readable, .broken] : .readable, of: stream.subscriber)
    }

    private func request(_ stream: HTTP2Stream, on connection: HTTP2Connection, now: Int64) {
        connection.lastStream = now
        let name = HTTP2StreamName(
            shard: self.shard,
            place: connection.place,
            connection: connection.number,
            id: stream.id
        )
        let exchange = HTTP2Exchange(name, inbox: self.inbox)
        connection.exchanges[stream.id] = exchange
        self.counters.requested()
        connection.arrival.requests.take(
            HTTP2Request(
                head: connection.session.takeHead(of: stream),
                body: connection.session.takeBody(of: stream),
                isBodyTooLong: stream.isBodyTooLong,
                client: connection.arrival.client,
                exchange: exchange
            )
        )
    }

    private func closed(_ stream: HTTP2Stream, of connection: HTTP2Connection) {
        connection.held[stream.id] = nil
        connection.awaitsPart.remove(stream.id)
        connection.exchanges.removeValue(forKey: stream.id)?.close()
        self.report(.broken, of: stream.subscriber)
    }

    // MARK: What goes

    /// After anything that may have made frames or room: writes, and tells subscribers what has changed for them.
    private func settle(_ connection: HTTP2Connection, now: Int64) {
        guard !connection.isClosed else { return }
        guard connection.write(now: now, with: self.workspace) else { return self.close(connection) }
        // It has more to say, and the others have their turn first.
        if connection.socket.hasWritten, !connection.session.output.isEmpty { self.unread.append(connection) }
        for event in connection.session.takeEvents() {
            switch event {
            case .closed(let stream): self.closed(stream, of: connection)
            case .received(let stream): self.received(stream)
            case .complete: break
            }
        }
        if connection.hasWritten {
            for place in connection.awaitsWrite { self.reportWritable(place) }
            connection.awaitsWrite = []
            self.reportParts(of: connection)
        }
        if connection.socket.hasWritten {
            for stream in connection.session.takeUnblocked() where stream.subscriber >= 0 {
                self.reportWritable(stream.subscriber)
            }
        }
        let isDone = connection.session.streams.isEmpty || !connection.session.isAlive
        if connection.isEnding, isDone, connection.hasWritten { self.close(connection) }
    }

    /// Has the next part made where the one before has left.
    private func reportParts(of connection: HTTP2Connection) {
        for id in connection.awaitsPart where connection.session.streams[id]?.unsentCount == 0 {
            connection.awaitsPart.remove(id)
            connection.exchanges[id]?.sent()
        }
    }

    private func reportWritable(_ place: Int32) { self.report(.writable, of: place) }

    /// Writes what streams were given in this turn, each connection once.
    func flush(now: Int64) {
        guard !self.dirty.isEmpty else { return }
        let dirty = self.dirty
        self.dirty.removeAll(keepingCapacity: true)
        for connection in dirty {
            connection.isDirty = false
            self.settle(connection, now: now)
        }
    }

    private func touch(_ connection: HTTP2Connection) {
        guard !connection.isDirty else { return }
        connection.isDirty = true
        self.dirty.append(connection)
    }

    // MARK: Subscribers

    /// - Returns: The place of the subscriber; `nil` where its stream is gone.
    func adopt(_ exchange: HTTP2Exchange, _ fields: [HTTP2Field], as key: SlotKey) -> Int32? {
        self.adopt(exchange, fields) { _ in .subscriber(key) }
    }

    /// - Returns: What carries the socket of this place; `nil` where its stream is gone.
    func openTunnel(_ exchange: HTTP2Exchange, _ fields: [HTTP2Field], for socket: Int32) -> HTTP2Tunnel? {
        let place = self.adopt(exchange, fields) { .tunnel(HTTP2Tunnel(self, place: $0, socket: socket)) }
        guard let place, case .tunnel(let tunnel) = self.subscribers[place]?.role else { return nil }
        return tunnel
    }

    /// What has come of a tunnel.
    func takeBytes(of place: Int32) -> [UInt8] {
        guard let subscriber = self.subscribers[place] else { return [] }
        defer { self.touch(subscriber.connection) }
        return subscriber.connection.session.takeBytes(of: subscriber.stream)
    }

    /// Ends our side of a tunnel.
    func endTunnel(_ place: Int32) {
        guard let subscriber = self.subscribers[place] else { return }
        subscriber.connection.session.end(subscriber.stream)
        self.touch(subscriber.connection)
    }

    private func adopt(
        _ exchange: HTTP2Exchange,
        _ fields: [HTTP2Field],
        _ role: (Int32) -> HTTP2Subscriber.Role
    ) -> Int32? {
        guard let (connection, stream) = self.find(exchange.name),
            connection.session.open(stream, status: 200, fields)
        else { return nil }
        stream.subscriber = self.subscribers.insert { place in
            HTTP2Subscriber(connection: connection, stream: stream, role: role(place))
        }
        connection.subscribers.insert(stream.subscriber)
        // Its request is done; whoever handled it is let go.
        connection.exchanges.removeValue(forKey: stream.id)?.close()
        self.touch(connection)
        return stream.subscriber
    }

    func send(_ bytes: UnsafeRawBufferPointer, on place: Int32) -> Int {
        guard let subscriber = self.subscribers[place] else { return -1 }
        let connection = subscriber.connection
        guard connection.socket.hasWritten else { return connection.session.block(subscriber.stream, for: bytes.count) }
        let taken = connection.session.send(bytes, on: subscriber.stream)
        if taken > 0 { self.touch(connection) }
        return taken
    }

    func hasWritten(_ place: Int32) -> Bool {
        guard let connection = self.subscribers[place]?.connection, !connection.isClosed else { return true }
        if connection.hasWritten { return true }
        connection.awaitsWrite.append(place)
        return false
    }

    func close(_ place: Int32, after end: StreamEnd) {
        guard let subscriber = self.subscribers.remove(place) else { return }
        let (connection, stream) = (subscriber.connection, subscriber.stream)
        stream.subscriber = -1
        connection.subscribers.remove(place)
        guard !connection.isClosed else { return }
        switch end {
        case .told(.slow): connection.session.reset(stream, .cancel)
        case .talkative: connection.session.reset(stream, .enhanceYourCalm)
        case .told(let reason):
            if reason == .drain { self.endSoon(connection) }
            connection.session.end(stream)
        case .gone, .failed: connection.session.reset(stream, .cancel)
        }
        self.touch(connection)
    }

    // MARK: Ends

    /// Says GOAWAY; the streams that are there go on to their end.
    private func endSoon(_ connection: HTTP2Connection) {
        connection.session.goAway()
        connection.isEnding = true
    }

    private func sweep(now: Int64) {
        for connection in self.connections.all {
            let timeouts = connection.arrival.timeouts
            if !connection.hasWritten, .nanoseconds(now &- connection.lastWrite) > timeouts.write {
                self.close(connection)
                continue
            }
            let quiet = Duration.nanoseconds(now &- connection.lastStream)
            if !connection.session.streams.isEmpty {
                connection.lastStream = now
            } else if quiet > timeouts.idle {
                self.endSoon(connection)
            }
            for stream in Array(connection.session.streams.values) {
                let age = Duration.nanoseconds(now &- stream.progress)
                let isReceiving = !stream.isComplete || stream.isEnding && !stream.hasRemoteEnded
                if isReceiving && age > timeouts.request || stream.unsentCount > 0 && age > timeouts.write {
                    connection.session.reset(stream, .cancel)
                }
            }
            self.settle(connection, now: now)
            connection.releaseMemory()
        }
    }

    private func loseStreams(of connection: HTTP2Connection) {
        for place in connection.subscribers { self.report(.broken, of: place) }
        for exchange in connection.exchanges.values { exchange.close() }
        connection.exchanges = [:]
        connection.held = [:]
    }

    private func close(_ connection: HTTP2Connection) {
        guard !connection.isClosed else { return }
        connection.isClosed = true
        self.connections.remove(connection.place)
        self.loseStreams(of: connection)
        connection.socket.sayEnd(with: self.workspace)
        _ = clinux_epoll_del(self.epoll.descriptor, connection.socket.descriptor)
        _ = clinux_shutdown_write(connection.socket.descriptor)
        _ = clinux_close(connection.socket.descriptor)
        self.counters.closed()
    }

    /// Closes everything, as the last act of the thread.
    func stop() {
        self.isDraining = true
        let now = clinux_monotonic_ns()
        for order in self.inbox.close() { self.carryOut(order, now: now) }
        for connection in self.connections.all {
            _ = connection.write(now: now, with: self.workspace)
            self.close(connection)
        }
    }
}
