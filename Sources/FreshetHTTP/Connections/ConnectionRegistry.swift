// Every connection that is not a stream: counted, bounded, and notified when the gateway stops.

import FreshetStreaming
import NIOCore
import Synchronization
import System

/// Tells a connection that the server stops: answer what is under way, then close.
struct QuiesceEvent: Sendable {}

/// Tells a connection that its place is another's now: close, or if an answer is under way, close after it.
struct EvictionEvent: Sendable {}

/// Counts open connections. Any thread.
final class ConnectionRegistry: Sendable {
    typealias Table = ConnectionTable<ObjectIdentifier>

    private struct State: Sendable {
        var table: Table
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isQuiescing = false
    }

    private let state: Mutex<State>
    private let maxConnections: Int?
    private let probePlaces: Int
    private let streams: StreamServer

    init(settings: HTTPSettings, streams: StreamServer) {
        self.maxConnections = settings.maxConnections
        self.probePlaces = settings.probePlaces
        self.streams = streams
        let table = Table(maxPerNetwork: settings.maxConnectionsPerAddress, probePlaces: settings.probePlaces)
        self.state = Mutex(State(table: table))
    }

    /// Counts a connection in; where all places are taken the one that goes first has to go. Each has to
    /// ``leave(_:)``. `network`: see ``PeerAddress/countedNetwork``.
    func enter(_ channel: any Channel, network: PeerAddress?) -> Table.Place {
        let limit = self.limit
        let (place, evicted) = self.state.withLock { state in
            let id = ObjectIdentifier(channel)
            state.channels[id] = channel
            let (place, evicted) = state.table.enter(id, network: network, limit: limit)
            // It stays known until it has closed, so that a shutdown finds it.
            return (place, evicted.flatMap { state.channels[$0] })
        }
        evicted?.pipeline.fireUserInboundEventTriggered(EvictionEvent())
        return place
    }

    /// Counts a connection that is in for another client. Where that client has too many, nothing changes.
    func recount(_ channel: any Channel, as network: PeerAddress?) -> ConnectionRefusal? {
        self.state.withLock { $0.table.recount(ObjectIdentifier(channel), as: network) }
    }

    /// Closes up to `count` connections of those that go first, since the process is out of descriptors.
    func makeRoom(for count: Int) {
        let evicted = self.state.withLock { state in
            (0..<count).compactMap { _ in state.table.evictOldest().flatMap { state.channels[$0] } }
        }
        for channel in evicted { channel.pipeline.fireUserInboundEventTriggered(EvictionEvent()) }
    }

    func activityChanged(of channel: any Channel, to activity: Table.Activity) {
        self.state.withLock { $0.table.activityChanged(of: ObjectIdentifier(channel), to: activity) }
    }

    func leave(_ channel: any Channel) {
        self.state.withLock { state in
            state.channels[ObjectIdentifier(channel)] = nil
            state.table.leave(ObjectIdentifier(channel))
        }
    }

    /// The most ordinary connections at this moment: what streams, probes and the process's own files leave, and at
    /// any time half of what is kept from streams.
    private var limit: Int {
        if let maxConnections { return maxConnections }
        let files = SystemLimits.openFiles
        let reserve = StreamSettings.descriptorReserve(below: files)
        guard self.count >= reserve / 2 else { return reserve / 2 }
        // To count the streams costs more.
        return max(reserve / 2, files - reserve - self.probePlaces - self.streams.statistics.subscribers)
    }

    /// Connections that are open.
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
