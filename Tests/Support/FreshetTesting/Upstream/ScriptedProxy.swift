import CLinux
import Glibc

/// A proxy on a port of 127.0.0.1, or a socket file that leads to a port. It takes any host for 127.0.0.1: who resolved a
/// name shows. Any thread may call.
package final class ScriptedProxy: Sendable {
    package enum Kind: Hashable, Sendable {
        /// HTTP, by CONNECT. `authorization`: the value that `Proxy-Authorization` must have.
        case connect(authorization: String?)
        /// SOCKS 5 (RFC 1928), with a user name and a password (RFC 1929) where they are given.
        case socks5(user: String?, password: String?)
        /// Passes everything on to this port.
        case forward(port: UInt16)
    }

    private struct State: Sendable {
        var targets: [String] = []
        var heads: [String] = []
        var refusals = 0
    }

    package let endpoint: Endpoint
    private let kind: Kind
    private let ending: Signal
    private let state = Watched(State())

    /// Listens on a port that the kernel picks, or at `path`.
    ///
    /// - Throws: `TestingError` when no socket can be had.
    package init(_ kind: Kind, path: String? = nil) throws {
        self.kind = kind
        self.ending = try Signal()
        let listener: StreamSocket
        if let path {
            listener = try StreamSocket.listening(path: path)
            self.endpoint = .unix(path: path)
        } else {
            listener = try StreamSocket.listening()
            self.endpoint = .port(
                UInt16(clamping: try checked(clinux_local_port(listener.descriptor), "getsockname"))
            )
        }
        PlainThread.start("proxy") { [ending, state] in
            Self.accept(from: listener, kind: kind, ending: ending, state: state)
        }
    }

    deinit { self.ending.raise() }

    /// Where connections were to go, as the clients named it: `HOST:PORT`.
    package var targets: [String] { self.state.value.targets }
    /// The heads of the CONNECT requests.
    package var heads: [String] { self.state.value.heads }
    /// Clients that had no right to the proxy.
    package var refusals: Int { self.state.value.refusals }

    private static func accept(from listener: StreamSocket, kind: Kind, ending: Signal, state: Watched<State>) {
        while listener.wait(for: POLLIN, deadline: nil, signal: ending) == .ready {
            let descriptor = clinux_accept(listener.descriptor)
            guard descriptor >= 0 else { continue }
            let client = StreamSocket(descriptor: descriptor)
            PlainThread.start("proxied") {
                var connection = ProxiedConnection(client: client, ending: ending)
                // The peer's end is its right.
                try? connection.run(kind) { change in state.update { change(&$0.targets, &$0.heads, &$0.refusals) } }
                client.close()
            }
        }
        listener.close()
    }
}

/// One connection through the proxy, on its thread.
private struct ProxiedConnection {
    typealias Note = ((inout [String], inout [String], inout Int) -> Void) -> Void

    let client: StreamSocket
    let ending: Signal
    private var buffer: [UInt8] = []

    init(client: StreamSocket, ending: Signal) {
        self.client = client
        self.ending = ending
    }

    mutating func run(_ kind: ScriptedProxy.Kind, note: Note) throws {
        switch kind {
        case .forward(let port): try self.tunnel(to: port)
        case .connect(let authorization): try self.connect(authorization, note)
        case .socks5(let user, let password): try self.socks(user, password, note)
        }
    }

    private mutating func connect(_ authorization: String?, _ note: Note) throws {
        var head = ""
        while !head.hasSuffix("\r\n\r\n") { head.unicodeScalars.append(Unicode.Scalar(try self.byte())) }
        let lines = head.split(separator: "\r\n")
        let target = lines.first?.split(separator: " ").dropFirst().first.map(String.init) ?? ""
        note { targets, heads, _ in
            targets.append(target)
            heads.append(head)
        }
        if let authorization, !lines.contains("Proxy-Authorization: \(authorization)") {
            note { $2 += 1 }
            return try self.send("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        }
        try self.send("HTTP/1.1 200 Connection established\r\n\r\n")
        try self.tunnel(to: UInt16(target.split(separator: ":").last ?? "") ?? 0)
    }

    private mutating func socks(_ user: String?, _ password: String?, _ note: Note) throws {
        _ = try self.byte()
        let methods = try self.bytes(Int(try self.byte()))
        let method: UInt8 = user == nil ? 0 : 2
        guard methods.contains(method) else {
            note { $2 += 1 }
            return try self.send([5, 0xFF])
        }
        try self.send([5, method])
        if let user, let password {
            _ = try self.byte()
            let name = String(decoding: try self.bytes(Int(try self.byte())), as: UTF8.self)
            let word = String(decoding: try self.bytes(Int(try self.byte())), as: UTF8.self)
            let isKnown = name == user && word == password
            try self.send([1, isKnown ? 0 : 1])
            guard isKnown else { return note { $2 += 1 } }
        }
        let kind = try self.bytes(4)[3]
        let host: String
        switch kind {
        case 1: host = try self.bytes(4).map { "\($0)" }.joined(separator: ".")
        case 3: host = String(decoding: try self.bytes(Int(try self.byte())), as: UTF8.self)
        case _: host = "IPv6 \(try self.bytes(16).count)"
        }
        let port = try self.bytes(2).reduce(0) { $0 << 8 | Int($1) }
        note { targets, _, _ in targets.append("\(host):\(port)") }
        try self.send([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        try self.tunnel(to: UInt16(clamping: port))
    }

    private func tunnel(to port: UInt16) throws {
        let server = try StreamSocket.connected(to: .port(port), deadline: Deadline(in: .patience))
        defer { server.close() }
        if !self.buffer.isEmpty { _ = try server.write(self.buffer, deadline: nil, signal: self.ending) }
        while waitFor(
            [(self.client.descriptor, POLLIN), (server.descriptor, POLLIN)],
            deadline: nil,
            signal: self.ending
        )
            == .ready
        {
            for (from, to) in [(self.client, server), (server, self.client)] {
                guard let bytes = try from.read() else { continue }
                guard !bytes.isEmpty else { return }
                _ = try to.write(bytes, deadline: nil, signal: self.ending)
            }
        }
    }

    private mutating func byte() throws -> UInt8 {
        while self.buffer.isEmpty {
            guard self.client.wait(for: POLLIN, deadline: nil, signal: self.ending) == .ready else {
                throw TestingError(.timedOut, "the proxy is stopped")
            }
            guard let bytes = try self.client.read() else { continue }
            guard !bytes.isEmpty else { throw TestingError(.malformed, "the client has gone") }
            self.buffer = bytes
        }
        return self.buffer.removeFirst()
    }

    private mutating func bytes(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<count { bytes.append(try self.byte()) }
        return bytes
    }

    private func send(_ text: String) throws { try self.send([UInt8](text.utf8)) }

    private func send(_ bytes: [UInt8]) throws {
        _ = try self.client.write(bytes, deadline: nil, signal: self.ending)
    }
}
