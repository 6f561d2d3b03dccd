// The requests of one connection of HTTP/2, on their way from its shard to the routes.

import FreshetCore
import FreshetStreaming
import HTTP2
import NIOCore
import Synchronization
import System

/// What a shard asks about the requests of a connection, and gives them to. Any thread.
final class HTTP2Gate: HTTP2Requests {
    let gateway: Gateway
    let responder: Responder
    let listener: IncomingRequest.Listener
    let eventLoop: any EventLoop
    /// The subject of the certificate that the client proved in its handshake; `nil` without one.
    let certificate: String?
    /// The peer is a trusted proxy.
    let isFromProxy: Bool

    /// Requests are answered on `eventLoop`.
    init(
        gateway: Gateway,
        responder: Responder,
        listener: IncomingRequest.Listener,
        eventLoop: any EventLoop,
        certificate: String?,
        isFromProxy: Bool
    ) {
        self.certificate = certificate
        self.gateway = gateway
        self.responder = responder
        self.listener = listener
        self.eventLoop = eventLoop
        self.isFromProxy = isFromProxy
    }

    func bodyLimit(of head: HTTP2Head, from client: HTTP2Client) -> Int {
        let limit = self.gateway.settings.maxTargetBytes
        guard let head = try? RequestHead(head, hasBody: true, maxTargetBytes: limit) else { return 0 }
        let plan = self.responder.plan(head, by: self.listener, certificate: self.certificate)
        if case .unverified = plan.identity { return self.responder.bodyLimit(plan) }
        return self.responder.refusal(of: plan, by: self.listener) == nil ? self.responder.bodyLimit(plan) : 0
    }

    func take(_ request: HTTP2Request) {
        self.eventLoop.execute { HTTP2RequestHandler(request, of: self).begin() }
    }
}

extension RequestHead {
    /// The head of a request of HTTP/2 in the terms of HTTP/1.1, read as strictly (RFC 9113 §8.3.1).
    init(_ head: HTTP2Head, hasBody: Bool, maxTargetBytes: Int) throws(Problem) {
        // RFC 8441: as the GET with an upgrade that it stands for.
        let isTunnel = head.isTunnel
        guard !isTunnel || head.protocolName?.elementsEqual("websocket".utf8) == true else {
            throw Problem(501, "not_supported", "The only protocol that an extended CONNECT may ask for is websocket.")
        }
        let method = isTunnel ? Array("GET".utf8) : head.method
        let target = method + [UInt8(ascii: " ")] + head.path + Array(" HTTP/1.1".utf8)
        let line = try Self.line(target, maxTargetBytes: maxTargetBytes)
        var fields: [Field] = []
        // A browser sends each of its cookies in a field of its own (RFC 9113 §8.2.3).
        let cookies = head.fields.filter { $0.name.elementsEqual("cookie".utf8) }.map(\.value)
        for field in head.fields where !field.name.elementsEqual("cookie".utf8) {
            fields.append(try Self.field(field.name + [UInt8(ascii: ":")] + field.value))
        }
        if !cookies.isEmpty {
            fields.append(try Self.field(Array("cookie:".utf8) + cookies.joined(separator: "; ".utf8)))
        }
        if let authority = head.authority {
            // What `Host` says beside it counts for nothing.
            fields.removeAll { $0.name == "host" }
            fields.append(try Self.field(Array("host:".utf8) + authority))
        }
        try self.init(line, fields: fields)
        // The body is delimited by its frames; nghttp2 compares its length with `Content-Length`.
        self.framing = hasBody && !isTunnel ? .chunked : .none
        self.isTunnel = isTunnel
        self.keepsAlive = true
    }
}

/// Counts connections of HTTP/2, which no registry of channels knows. Any thread.
final class HTTP2Places: Sendable {
    private struct State: Sendable {
        var total = 0
        var networks: [PeerAddress: Int] = [:]
    }

    private let maxTotal: Int
    private let maxPerNetwork: Int
    private let state = Mutex(State())

    init(settings: HTTPSettings) {
        self.maxTotal = settings.maxConnections ?? max(1, SystemLimits.openFiles / 2)
        self.maxPerNetwork = settings.maxConnectionsPerAddress
    }

    /// Connections that have a place.
    var count: Int { self.state.withLock { $0.total } }

    /// A place for as long as the permit is there; `nil` where there is none. `network`: see
    /// ``PeerAddress/countedNetwork``.
    func take(_ network: PeerAddress?) -> Permit? {
        let isTaken = self.state.withLock { state in
            guard state.total < self.maxTotal else { return false }
            if let network, self.maxPerNetwork > 0 {
                guard state.networks[network, default: 0] < self.maxPerNetwork else { return false }
                state.networks[network, default: 0] += 1
            }
            state.total += 1
            return true
        }
        return isTaken ? Permit(self, network) : nil
    }

    private func leave(_ network: PeerAddress?) {
        self.state.withLock { state in
            state.total -= 1
            guard let network, let count = state.networks[network] else { return }
            state.networks[network] = count > 1 ? count - 1 : nil
        }
    }

    final class Permit: Sendable {
        private let places: HTTP2Places
        private let network: PeerAddress?

        fileprivate init(_ places: HTTP2Places, _ network: PeerAddress?) {
            self.places = places
            self.network = network
        }

        deinit { self.places.leave(self.network) }
    }
}
