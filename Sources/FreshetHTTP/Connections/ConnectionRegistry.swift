// Every connection that is not a stream: counted, bounded, and told when the gateway stops.

import FreshetStreaming
import Glibc
import NIOCore
import Synchronization

/// Tells a connection that the server stops: answer what is under way, then close.
struct QuiesceEvent: Sendable {}

/// What one client is counted by: the IPv4 address, or the IPv6 /64, within which addresses are free to choose.
struct ClientNetwork: Hashable, Sendable {
    private var bytes: [UInt8]

    /// `nil` for those that are never bounded: loopback and unix sockets, behind which is a proxy. The address is as
    /// `inet_ntop` writes it.
    init?(_ address: String?, peer: PeerAddress) {
        guard !peer.isLoopback, let address else { return nil }
        let bare = String(address.prefix { $0 != "%" })
        var bytes = [UInt8](repeating: 0, count: 16)
        guard inet_pton(AF_INET6, bare, &bytes) == 1 else {
            self.bytes = Array(bare.utf8)
            return
        }
        // An IPv4 client over an IPv6 socket (RFC 4291 §2.5.5.2) is itself, and not one with all the others.
        let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
        self.bytes =
            isMapped ? Array(bytes.suffix(4).map { "\($0)" }.joined(separator: ".").utf8) : Array(bytes.prefix(8))
    }
}

/// Counts open connections. Any thread; asked once per connection.
final class ConnectionRegistry: Sendable {
    private struct State: Sendable {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var byNetwork: [ClientNetwork: Int] = [:]
        var isQuiescing = false
    }

    private let state = Mutex(State())
    private let maxConnections: Int?
    private let maxPerNetwork: Int
    private let streams: StreamServer

    init(settings: HTTPSettings, streams: StreamServer) {
        self.maxConnections = settings.maxConnections
        self.maxPerNetwork = settings.maxConnectionsPerAddress
        self.streams = streams
    }

    /// Counts a connection in, unless there are too many. Each that got in has to ``leave(_:network:)``.
    func enter(_ channel: any Channel, network: ClientNetwork?) -> ConnectionRefusal? {
        let limit = self.limit
        return self.state.withLock { state in
            guard state.channels.count < limit else { return .full }
            if let network, self.maxPerNetwork > 0 {
                guard state.byNetwork[network, default: 0] < self.maxPerNetwork else { return .address }
                state.byNetwork[network, default: 0] += 1
            }
            state.channels[ObjectIdentifier(channel)] = channel
            return nil
        }
    }

    func leave(_ channel: any Channel, network: ClientNetwork?) {
        self.state.withLock { state in
            state.channels[ObjectIdentifier(channel)] = nil
            guard let network, let count = state.byNetwork[network] else { return }
            state.byNetwork[network] = count > 1 ? count - 1 : nil
        }
    }

    /// The most connections at this moment. Half of the descriptors that streams leave are for connections at any
    /// time; beyond them the streams that exist are counted, which costs more.
    private var limit: Int {
        if let maxConnections { return maxConnections }
        let files = SystemLimits.openFiles
        let own = StreamSettings.descriptorReserve(below: files) / 2
        guard self.count >= own else { return own }
        return max(own, files - own - self.streams.statistics.subscribers)
    }

    var count: Int {
        self.state.withLock { $0.channels.count }
    }

    var isQuiescing: Bool {
        self.state.withLock { $0.isQuiescing }
    }

    /// Tells every connection to end after what it is doing, those to come as well.
    func quiesce() {
        let channels = self.state.withLock { state in
            state.isQuiescing = true
            return Array(state.channels.values)
        }
        for channel in channels {
            channel.pipeline.fireUserInboundEventTriggered(QuiesceEvent())
        }
    }

    /// Closes what is left.
    func closeAll() {
        for channel in self.state.withLock({ Array($0.channels.values) }) {
            channel.close(promise: nil)
        }
    }
}
