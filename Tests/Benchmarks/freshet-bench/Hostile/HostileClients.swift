// A hundred clients that mean no good, from ten addresses, on one thread.

import CLinux
import Foundation
import FreshetTesting
import Synchronization
import System

/// What the clients of one kind did and were told.
struct AttackCounts: Codable, Sendable {
    /// Requests sent, whole or, for half requests, begun.
    var made = 0
    /// Answers with a status under 400 of which at least the first line was read.
    var answered = 0
    /// Answers with a status of 400 or more.
    var refused = 0
    /// Connections that the gateway ended before a word of an answer.
    var cut = 0
    /// Connections that could not be made.
    var unmade = 0
}

/// Runs the attacks until it is told to stop. Clients take the kinds in turn, and the addresses 127.0.0.2 to 127.0.0.11, each
/// of them a proxy that names 203.0.113.2 to 203.0.113.11.
final class HostileClients: Sendable {
    private struct State: Sendable {
        var counts: [Attack: AttackCounts] = [:]
        var isAttacking = true
        var isEnding = false
        var cpuNanoseconds: Int64 = 0
    }

    /// What takes a core from the gateway is not what an attack from elsewhere would be.
    private static let niceness: Int32 = 10

    private let state = Mutex(State())
    private let done = DispatchSemaphore(value: 0)

    /// Begins at once.
    ///
    /// - Parameters:
    ///   - count: A hundred are ten of each kind.
    ///   - paceMilliseconds: Between two steps of a client; see ``Attack/Shape``.
    ///   - requests: Where requests come from.
    init(count: Int, paceMilliseconds: Int, requests: AttackRequests) {
        Thread.detachNewThread {
            // Of this thread alone, on Linux.
            _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.niceness)
            self.run(count, paceMilliseconds, requests)
            self.done.signal()
        }
    }

    /// Opens and asks no more; connections stay as they are.
    func pause() { self.state.withLock { $0.isAttacking = false } }

    /// Closes everything. Returns when it is done.
    func end() {
        self.state.withLock { $0.isEnding = true }
        self.done.wait()
    }

    var counts: [Attack: AttackCounts] { self.state.withLock { $0.counts } }

    /// CPU time of the attacks themselves, in nanoseconds: it is taken from the same cores.
    var cpuNanoseconds: Int64 { self.state.withLock { $0.cpuNanoseconds } }

    private func run(_ count: Int, _ pace: Int, _ requests: AttackRequests) {
        guard let set = try? SocketSet() else { return }
        var thread = HostileThread(set: set, requests: requests, count: count, paceMilliseconds: pace)
        while true {
            let (isAttacking, isEnding) = self.state.withLock { ($0.isAttacking, $0.isEnding) }
            if isEnding { break }
            if isAttacking { thread.attack() }
            thread.listen()
            let counts = thread.counts
            let cpu = clinux_thread_cpu_ns()
            self.state.withLock { state in
                state.counts = counts
                if isAttacking { state.cpuNanoseconds = cpu }
            }
        }
        thread.close()
    }
}

/// What the thread of the hostile clients owns.
private struct HostileThread {
    private struct Client {
        var attack: Attack
        var address: LoopbackAddress
        var nextStep: Int64
        /// Oldest first.
        var sockets: [Int32] = []
        /// Answered ones of a loop, which may ask again.
        var idle: [Int32] = []
    }

    private struct Link {
        var client: Int
        /// What the connection asks as soon as it is made.
        var request: [UInt8]
        var isConnected = false
        /// Whether the first line of an answer to the last request was read.
        var hasStatus = false
        var receivedBytes = 0
        var reader = ResponseReader()
    }

    /// How much of an answer is read by a client that reads a little.
    private static let sip = 256 << 10

    let set: SocketSet
    let pace: Int64
    var requests: AttackRequests
    private(set) var counts: [Attack: AttackCounts] = [:]
    private var clients: [Client]
    private var links: [Int32: Link] = [:]
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    init(set: SocketSet, requests: AttackRequests, count: Int, paceMilliseconds: Int) {
        self.set = set
        self.requests = requests
        self.pace = Int64(paceMilliseconds) * 1_000_000
        let now = clinux_monotonic_ns()
        let kinds = Attack.allCases
        self.clients = (0..<count).map { index in
            Client(
                attack: kinds[index % kinds.count],
                address: LoopbackAddress(host: 2 + index / kinds.count % 10),
                nextStep: now + Int64(paceMilliseconds) * 1_000_000 * Int64(index) / Int64(max(1, count))
            )
        }
        for kind in kinds { self.counts[kind] = AttackCounts() }
    }

    /// Lets every client whose time has come make a step.
    mutating func attack() {
        let now = clinux_monotonic_ns()
        for index in self.clients.indices where self.clients[index].nextStep <= now {
            self.step(index)
            // Steps that were missed are not made up for.
            self.clients[index].nextStep = max(now, self.clients[index].nextStep + self.pace)
        }
    }

    private mutating func step(_ index: Int) {
        let attack = self.clients[index].attack
        let shape = attack.shape
        switch shape.conduct {
        case .abandon, .sip:
            for descriptor in self.clients[index].sockets { self.drop(descriptor) }
        case .stall:
            let excess = self.clients[index].sockets.count + shape.opens - shape.hold
            for descriptor in self.clients[index].sockets.prefix(max(0, excess)) { self.drop(descriptor) }
        case .crowd:
            if self.clients[index].sockets.count >= shape.hold {
                for descriptor in self.clients[index].sockets { self.drop(descriptor) }
            }
        case .loop:
            for descriptor in self.clients[index].idle.prefix(shape.asks) { self.ask(descriptor, index) }
            self.clients[index].idle.removeFirst(min(shape.asks, self.clients[index].idle.count))
        case .drip:
            for descriptor in self.clients[index].sockets.shuffled(using: &self.clientRandom).prefix(shape.asks) {
                if self.links[descriptor]?.isConnected == true { _ = clinux_send(descriptor, "x", 1) }
            }
        }
        let room = shape.hold - self.clients[index].sockets.count
        for _ in 0..<max(0, min(shape.opens, room)) { self.open(index, shape) }
    }

    private var clientRandom = SplitMix64(seed: 7)

    private mutating func open(_ index: Int, _ shape: Attack.Shape) {
        let client = self.clients[index]
        let port = self.requests.port
        guard
            let descriptor = LoopbackSocket.connecting(
                to: port,
                from: client.address,
                receiveBufferBytes: shape.receiveBufferBytes
            )
        else {
            self.counts[client.attack, default: AttackCounts()].unmade += 1
            return
        }
        self.links[descriptor] = Link(client: index, request: self.requests.next(client.attack, from: client.address))
        self.clients[index].sockets.append(descriptor)
        self.set.add(descriptor, for: CLINUX_EPOLLIN | CLINUX_EPOLLOUT)
    }

    /// Asks again on a connection that was answered.
    private mutating func ask(_ descriptor: Int32, _ index: Int) {
        guard self.links[descriptor] != nil else { return }
        let client = self.clients[index]
        let request = self.requests.next(client.attack, from: client.address)
        self.links[descriptor]?.request = request
        self.send(descriptor)
    }

    private mutating func send(_ descriptor: Int32) {
        guard let link = self.links[descriptor] else { return }
        self.links[descriptor]?.hasStatus = false
        self.links[descriptor]?.reader.requestSent(
            method: link.request.starts(with: Array("HEAD".utf8)) ? "HEAD" : "GET"
        )
        // What the socket does not take of a pipeline is left out: a hostile client need not finish.
        _ = clinux_send(descriptor, link.request, link.request.count)
        self.counts[self.clients[link.client].attack, default: AttackCounts()].made += 1
        self.links[descriptor]?.request = []
    }

    /// Receives what has come.
    mutating func listen() {
        var ready: [(Int32, UInt32)] = []
        self.set.wait(milliseconds: 5) { ready.append(($0, $1)) }
        for (descriptor, events) in ready {
            guard let link = self.links[descriptor] else { continue }
            if !link.isConnected {
                self.connected(descriptor, events)
            } else {
                self.receive(descriptor)
            }
        }
    }

    private mutating func connected(_ descriptor: Int32, _ events: UInt32) {
        guard let link = self.links[descriptor] else { return }
        guard events & (CLINUX_EPOLLERR | CLINUX_EPOLLHUP) == 0 else {
            self.counts[self.clients[link.client].attack, default: AttackCounts()].unmade += 1
            return self.forget(descriptor)
        }
        self.links[descriptor]?.isConnected = true
        self.set.change(descriptor, to: CLINUX_EPOLLIN)
        self.send(descriptor)
        // Whoever abandons a request looks at nothing before it goes.
        if self.clients[link.client].attack.shape.conduct == .abandon { self.set.change(descriptor, to: 0) }
    }

    private mutating func receive(_ descriptor: Int32) {
        guard let link = self.links[descriptor] else { return }
        let shape = self.clients[link.client].attack.shape
        let limit = shape.conduct == .stall ? 512 : self.buffer.count
        let count = clinux_recv(descriptor, &self.buffer, limit)
        if count == -Int(EAGAIN) { return }
        guard count > 0 else { return self.ended(descriptor) }
        self.note(descriptor, count)
        switch shape.conduct {
        case .stall: self.set.change(descriptor, to: 0)
        case .sip where link.receivedBytes + count > Self.sip: self.drop(descriptor)
        case .loop: self.read(descriptor, count)
        case .abandon, .sip, .crowd, .drip: break
        }
    }

    /// Notes the status of an answer whose first bytes are in the buffer.
    private mutating func note(_ descriptor: Int32, _ count: Int) {
        guard let link = self.links[descriptor] else { return }
        self.links[descriptor]?.receivedBytes += count
        guard !link.hasStatus, count >= 12, self.buffer.starts(with: Array("HTTP/1.".utf8)) else { return }
        self.links[descriptor]?.hasStatus = true
        let isRefusal = self.buffer[9] >= UInt8(ascii: "4")
        let attack = self.clients[link.client].attack
        if isRefusal {
            self.counts[attack, default: AttackCounts()].refused += 1
        } else {
            self.counts[attack, default: AttackCounts()].answered += 1
        }
    }

    /// Reads on; once the answer is whole the connection may ask again, at once and whatever `Retry-After` says.
    private mutating func read(_ descriptor: Int32, _ count: Int) {
        guard let client = self.links[descriptor]?.client else { return }
        do {
            let parts = try self.links[descriptor]?.reader.push(Array(self.buffer[..<count])) ?? []
            if parts.contains(.end) { self.clients[client].idle.append(descriptor) }
        } catch {
            self.drop(descriptor)
        }
    }

    private mutating func ended(_ descriptor: Int32) {
        guard let link = self.links[descriptor] else { return }
        if link.receivedBytes == 0 { self.counts[self.clients[link.client].attack, default: AttackCounts()].cut += 1 }
        self.forget(descriptor)
    }

    /// Closes a connection: every second one with a reset. What has come by then is looked at, for the counts only.
    private mutating func drop(_ descriptor: Int32) {
        guard let link = self.links[descriptor] else { return }
        if link.isConnected, !link.hasStatus, self.clients[link.client].attack.shape.conduct == .abandon {
            let count = clinux_recv(descriptor, &self.buffer, 64)
            if count > 0 { self.note(descriptor, count) }
            if count == 0 { self.counts[self.clients[link.client].attack, default: AttackCounts()].cut += 1 }
        }
        if descriptor.isMultiple(of: 2) { _ = clinux_set_reset_on_close(descriptor) }
        self.forget(descriptor)
    }

    private mutating func forget(_ descriptor: Int32) {
        guard let link = self.links.removeValue(forKey: descriptor) else { return }
        _ = clinux_close(descriptor)
        self.clients[link.client].sockets.removeAll { $0 == descriptor }
        self.clients[link.client].idle.removeAll { $0 == descriptor }
    }

    mutating func close() {
        for descriptor in Array(self.links.keys) { self.forget(descriptor) }
    }
}
