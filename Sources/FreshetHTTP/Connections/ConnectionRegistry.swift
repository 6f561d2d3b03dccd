// Every connection that is not a stream: counted, bounded, and told when the gateway stops.

import FreshetStreaming
import NIOCore
import Synchronization

/// Tells a connection that the server stops: answer what is under way, then close.
struct QuiesceEvent: Sendable {}

/// Counts open connections. Any thread; asked once per connection.
final class ConnectionRegistry: Sendable {
    private struct State: Sendable {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var byNetwork: [PeerAddress: Int] = [:]
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

    /// Counts a connection in, unless there are too many. Each that got in has to ``leave(_:network:)``. `network`: see
    /// ``PeerAddress/countedNetwork``.
    func enter(_ channel: any Channel, network: PeerAddress?) -> ConnectionRefusal? {
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

    /// Counts a connection that is in for another client. Where that client has too many, nothing changes.
    func recount(from old: PeerAddress?, to new: PeerAddress?) -> ConnectionRefusal? {
        guard old != new else { return nil }
        return self.state.withLock { state in
            if let new, self.maxPerNetwork > 0 {
                guard state.byNetwork[new, default: 0] < self.maxPerNetwork else { return .address }
                state.byNetwork[new, default: 0] += 1
            }
            if let old, let count = state.byNetwork[old] { state.byNetwork[old] = count > 1 ? count - 1 : nil }
            return nil
        }
    }

    func leave(_ channel: any Channel, network: PeerAddress?) {
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
