// A hub with a stream server, and clients on loopback TCP that see nothing but bytes.

import CLinux
import Compression
import Dispatch
import Foundation
import FreshetCore
import FreshetTesting
import Glibc
import JSON
import System
import TLS
import Testing

@testable import FreshetStreaming

/// All suites of this room, one after the other: they count descriptors of the process, and load both cores.
@Suite(.serialized, .everyTransport)
enum StreamingTests {}

/// In which coding clients get their streams where a test does not say so.
enum ClientCoding {
    /// `FRESHET_CODING=gzip` runs the tests of this room with compressed streams.
    static let current = ProcessInfo.processInfo.environment["FRESHET_CODING"].flatMap(ContentCoding.init)
}

/// One server under test. ``stop()`` at the end of each test.
final class StreamFixture: Sendable {
    let hub: Hub
    let server: StreamServer
    static let epoch = Epoch(rawValue: 41)

    init(
        cacheBytes: Int = 64 << 20,
        unsent: UnsentDesk = UnsentDesk(),
        _ configure: (inout StreamSettings) -> Void = { _ in }
    ) throws {
        SystemLimits.raiseOpenFiles()
        var settings = StreamSettings(shards: 2)
        configure(&settings)
        self.hub = Hub(log: ChangeLog(epoch: Self.epoch, cache: ChangeCache(maxBytes: cacheBytes)))
        self.server = StreamServer(hub: self.hub, settings: settings, unsent: unsent)
        try self.server.start()
    }

    func stop() {
        self.server.stop()
    }

    /// Holds every shard's thread while `body` runs: what it publishes waits, and is there at once when they go on.
    func whileHeld(_ body: () throws -> Void) rethrows {
        let (held, gate) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let inboxes = self.server.inboxes
        for inbox in inboxes {
            let hold = DeliveryMessage<Socket>.list(limit: 0) { _ in
                held.signal()
                gate.wait()
            }
            if inbox.post(hold) { held.wait() }
        }
        defer { for _ in inboxes { gate.signal() } }
        try body()
    }

    func source(_ name: String) throws -> SourceID {
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
        return try #require(self.hub.addSource(name, status: status))
    }

    /// Publishes `{"n":number,"pad":"…"}`, with a patch unless it is the first value.
    func publish(_ number: Int, of source: SourceID, padding: Int = 0, hasPatch: Bool = true) throws {
        let pad = String(repeating: "x", count: padding)
        let patch = #"[{"op":"replace","path":"/n","value":\#(number)},{"op":"test","path":"/pad","value":"\#(pad)"}]"#
        let value = #"{"n":\#(number),"pad":"\#(pad)","more":"\#(pad)","and so that a patch is smaller":"\#(pad)"}"#
        let change = Change(
            document: try Document(parsing: Array(value.utf8)),
            patch: hasPatch ? Array(patch.utf8) : nil,
            at: WallTime(milliseconds: 1_000)
        )
        self.hub.publish(change, of: source)
    }

    func report(_ state: SourceState, of source: SourceID) throws {
        var status = try #require(self.hub.report(of: source)?.status)
        status.state = state
        self.hub.report(status, of: source, transition: state)
    }

    /// Hands a new connection over, as the HTTP server does.
    func subscribe(
        to sources: [SourceID],
        selector: SourceSelector? = nil,
        format: StreamFormat = StreamFormat(),
        view: View = .whole,
        at position: StreamPosition = .snapshot,
        framing: Framing = .chunked,
        coding: ContentCoding? = ClientCoding.current,
        receiveBuffer: Int32? = nil,
        from address: String = "127.0.0.1",
        owner: StreamOwner? = nil
    ) throws -> StreamClient {
        try self.subscribeWithServerEnd(
            to: sources,
            selector: selector,
            format: format,
            view: view,
            at: position,
            framing: framing,
            coding: coding,
            receiveBuffer: receiveBuffer,
            from: address,
            owner: owner
        ).client
    }

    /// As ``subscribe(to:selector:format:at:framing:receiveBuffer:)``, and tells the descriptor that the shard was
    /// given.
    func subscribeWithServerEnd(
        to sources: [SourceID],
        selector: SourceSelector? = nil,
        format: StreamFormat = StreamFormat(),
        view: View = .whole,
        at position: StreamPosition = .snapshot,
        framing: Framing = .chunked,
        coding: ContentCoding? = ClientCoding.current,
        receiveBuffer: Int32? = nil,
        from address: String = "127.0.0.1",
        owner: StreamOwner? = nil
    ) throws -> (client: StreamClient, server: Int32) {
        guard case .admitted(let ticket) = self.server.admit(PeerAddress(address)) else {
            throw SystemError(call: "admit", code: 0)
        }
        let connection = try Loopback.connection(receiveBuffer: receiveBuffer)
        let sessions = try Self.sessions()
        self.server.adopt(
            StreamHandover(
                connection: try Self.socket(connection.server, sessions?.server),
                sources: sources,
                pattern: selector.map(SourcePattern.init),
                format: format,
                view: view,
                position: position,
                head: Array("HTTP/1.1 200 OK\r\nX-Test: yes\r\n\r\n".utf8),
                framing: framing,
                coding: format.wire.form == .markedEventStream ? nil : coding,
                ticket: ticket,
                owner: owner
            )
        )
        let client = StreamClient(
            descriptor: connection.client,
            session: sessions?.client,
            framing: framing,
            wire: format.wire,
            decoder: try coding.flatMap {
                format.wire.form == .markedEventStream ? nil : try ContentDecoder($0.rawValue)
            }
        )
        return (client, connection.server)
    }

    private static let context = Result {
        let certificate = try TestCertificate("streams")
        let identity = TLSIdentity(chain: Array(certificate.chain.utf8), key: Array(certificate.key.utf8))
        return try TLSContext([identity], detaches: true)
    }

    /// As the HTTP server hands it over: detached, unless the test keeps OpenSSL's session.
    private static func socket(_ descriptor: Int32, _ session: TLSSession?) throws -> Socket {
        guard let session, !self.keepsSessions else { return Socket(descriptor: descriptor, session: session) }
        guard let detached = session.detach() else { throw TestingError(.missing, "not detached") }
        return Socket(descriptor: descriptor, detached: DetachedHandover(detached))
    }

    /// Whether sessions stay OpenSSL's, as with `tls.detach: false`.
    @TaskLocal static var keepsSessions = false

    /// Both sides of a TLS session whose hands are shaken, where the test is over TLS.
    private static func sessions() throws -> (client: TLSClientSession, server: TLSSession)? {
        guard ClientTransport.current == .tls else { return nil }
        let client = try TLSClientSession()
        let server = try #require(TLSSession(try Self.context.get()))
        let workspace = TLSWorkspace()
        while !client.isOpen || !server.isOpen {
            _ = try client.read()
            _ = client.takeOutput().withUnsafeBytes { server.receive($0, with: workspace) { _ in } }
            client.feed(workspace.takeSealed { Array($0) })
        }
        return (client, server)
    }

    func cursor(_ sequence: UInt64) -> Cursor {
        Cursor(epoch: Self.epoch, sequence: sequence)
    }
}

/// A system call that a test needs has failed.
struct SystemError: Error {
    var call: String
    var code: Int32
}

/// Loopback TCP without the accept loop of a server.
enum Loopback {
    /// Two ends of one connection.
    ///
    /// `receiveBuffer`: SO_RCVBUF of the client, to make a reader that is soon full.
    static func connection(receiveBuffer: Int32? = nil) throws -> (client: Int32, server: Int32) {
        let listener = try self.check("socket", socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        defer { _ = close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let client = try self.check("socket", socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        if let receiveBuffer { _ = clinux_set_receive_buffer(client, receiveBuffer) }
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = try self.check("bind", bind(listener, address, size))
                _ = try self.check("listen", listen(listener, 1))
                _ = try self.check("getsockname", getsockname(listener, address, &size))
                _ = try self.check("connect", connect(client, address, size))
            }
        }
        let server = try self.check("accept", accept(listener, nil, nil))
        return (client, server)
    }

    private static func check(_ call: String, _ result: Int32) throws -> Int32 {
        guard result >= 0 else { throw SystemError(call: call, code: errno) }
        return result
    }
}

/// Open descriptors of this process.
func openDescriptors() throws -> Int {
    let directory = try #require(opendir("/proc/self/fd"))
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil {
        count += 1
    }
    return count
}

/// Memory of this process in RAM, in bytes.
func residentBytes() throws -> Int {
    let descriptor = open("/proc/self/statm", O_RDONLY)
    defer { _ = close(descriptor) }
    var text = [UInt8](repeating: 0, count: 128)
    let count = read(descriptor, &text, text.count)
    let fields = String(decoding: text[..<max(0, count)], as: UTF8.self).split(separator: " ")
    let pages = try #require(fields.dropFirst().first.flatMap { Int($0) })
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
}

/// Waits for a condition that no client can see, for half a minute at most.
func eventually(_ condition: () -> Bool) -> Bool {
    let deadline = clinux_monotonic_ns() + 30_000_000_000
    while clinux_monotonic_ns() < deadline {
        if condition() { return true }
        poll(nil, 0, 1)
    }
    return false
}
