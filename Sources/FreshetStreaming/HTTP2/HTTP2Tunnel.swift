// A stream of HTTP/2 that carries a WebSocket (RFC 8441).

import FreshetCore

/// Bytes both ways on one stream. Belongs to its shard's thread.
final class HTTP2Tunnel {
    private weak var connections: HTTP2Connections?
    /// Its place among the subscribers of the shard's connections.
    private let place: Int32
    /// The socket that it carries, by its place.
    let socket: Int32

    init(_ connections: HTTP2Connections, place: Int32, socket: Int32) {
        self.connections = connections
        self.place = place
        self.socket = socket
    }

    /// - Returns: How much was taken; negative where the stream is gone.
    func send(_ bytes: UnsafeRawBufferPointer) -> Int { self.connections?.send(bytes, on: self.place) ?? -1 }

    /// What has come.
    func takeBytes() -> [UInt8] { self.connections?.takeBytes(of: self.place) ?? [] }

    /// Ends our side.
    func end() { self.connections?.endTunnel(self.place) }

    /// Gives the stream up.
    func close(resets: Bool) {
        self.connections?.close(self.place, after: .told(resets ? .slow : .unsubscribed))
    }
}

/// What happened on a tunnel.
struct HTTP2TunnelReport {
    var tunnel: HTTP2Tunnel
    var events: TransportReport.Events
}
