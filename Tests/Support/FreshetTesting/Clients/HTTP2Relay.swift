import CLinux
import CNGHTTP2
import Glibc

/// Lets the clients of tests, which speak HTTP/1.1, speak HTTP/2 to a server: each of their connections becomes one of HTTP/2 by
/// nghttp2, each request a stream, and what comes on it an answer of HTTP/1.1 that ends as the stream does.
///
/// Each connection has a thread of its own. The last reference ends them all. Any task may call.
package final class HTTP2Relay: Sendable {
    private let end: Signal
    package let port: UInt16

    /// Relays to `server`, which speaks TLS.
    ///
    /// - Throws: `TestingError` where no socket can be had.
    package init(to server: Endpoint) throws {
        guard case .tls(let host, let port, var options) = server else {
            throw TestingError(.missing, "HTTP/2 without TLS")
        }
        options.protocols = ["h2"]
        let endpoint = Endpoint.tls(host: host, port: port, options: options)
        let (listener, end) = (try StreamSocket.listening(), try Signal())
        self.end = end
        self.port = UInt16(clamping: try checked(clinux_local_port(listener.descriptor), "getsockname"))
        PlainThread.start("h2-relay") {
            while listener.wait(for: POLLIN, deadline: nil, signal: end) == .ready {
                let descriptor = clinux_accept(listener.descriptor)
                guard descriptor >= 0 else { continue }
                _ = clinux_set_nodelay(descriptor, 1)
                let client = StreamSocket(descriptor: descriptor)
                PlainThread.start("h2-relayed") {
                    guard let connection = try? HTTP2RelayConnection(client, to: endpoint, end) else {
                        return client.close()
                    }
                    try? connection.run()
                    connection.close()
                }
            }
        }
    }

    deinit { self.end.raise() }
}

/// One connection of a relay. Its thread alone uses it.
private final class HTTP2RelayConnection {
    private let client: StreamSocket
    private let server: StreamSocket
    private let end: Signal
    private var session: OpaquePointer?
    private var reader = RequestReader()
    /// The stream of the request that is being answered; 0 between requests.
    private var stream: Int32 = 0
    private var isHead = false
    private var isLast = false
    private var body: ArraySlice<UInt8> = []
    private var status = 0
    private var fields: [(name: String, value: [UInt8])] = []
    private var hasHead = false
    private var isChunked = false
    /// For the client.
    private var output: [UInt8] = []
    private var isOver = false

    init(_ client: StreamSocket, to endpoint: Endpoint, _ end: Signal) throws {
        self.client = client
        self.end = end
        self.server = try StreamSocket.connected(to: endpoint, deadline: Deadline(in: .patience))
        let context = Unmanaged.passUnretained(self).toOpaque()
        guard nghttp2_session_client_new(&self.session, Self.callbacks.pointer, context) == 0 else {
            throw TestingError(.missing, "no session of HTTP/2")
        }
        let window = nghttp2_settings_entry(
            settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
            value: 1 << 20
        )
        nghttp2_submit_settings(self.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), [window], 1)
        nghttp2_session_set_local_window_size(self.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, 1 << 20)
    }

    func close() {
        nghttp2_session_del(self.session)
        self.client.close()
        self.server.close()
    }

    /// Returns where either side has ended, or asked for it.
    func run() throws {
        try self.flush()
        while !self.isOver {
            let descriptors = [(self.client.descriptor, POLLIN), (self.server.descriptor, POLLIN)]
            guard waitFor(descriptors, deadline: nil, signal: self.end) == .ready else { return }
            if self.client.wait(for: POLLIN, deadline: Deadline(in: .zero)) == .ready,
                let bytes = try self.client.read()
            {
                guard !bytes.isEmpty else { return }
                self.reader.append(bytes)
            }
            if self.server.wait(for: POLLIN, deadline: Deadline(in: .zero)) == .ready,
                let bytes = try self.server.read()
            {
                let read = nghttp2_session_mem_recv(self.session, bytes, bytes.count)
                if bytes.isEmpty || read < 0 { self.isOver = true }
            }
            if self.stream == 0, !self.isOver, let (head, body) = try self.reader.next() { self.submit(head, body) }
            try self.flush()
        }
    }

    private func flush() throws {
        var bytes: UnsafePointer<UInt8>?
        var sent: [UInt8] = []
        while true {
            let count = nghttp2_session_mem_send(self.session, &bytes)
            guard count > 0 else { break }
            sent += UnsafeBufferPointer(start: bytes, count: count)
        }
        if !sent.isEmpty { _ = try self.server.write(sent, deadline: Deadline(in: .patience), signal: self.end) }
        guard !self.output.isEmpty else { return }
        let output = self.output
        self.output = []
        _ = try self.client.write(output, deadline: Deadline(in: .patience), signal: self.end)
    }

    // MARK: Requests

    private func submit(_ head: RequestHead, _ body: [UInt8]) {
        self.isHead = head.method == "HEAD"
        self.isLast = head.headers.contains("close", in: "Connection") || head.version == "HTTP/1.0"
        self.body = body[...]
        var list: [(String, [UInt8])] = [
            (":method", Array(head.method.utf8)), (":scheme", Array("https".utf8)),
            (":authority", head.headers.bytes("Host") ?? []), (":path", Array(head.target.utf8)),
        ]
        let own: Set<String> = ["host", "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "expect"]
        for field in head.headers.all where !own.contains(field.name.lowercased()) {
            list.append((field.name.lowercased(), field.bytes))
        }
        var bytes = list.map { (Array($0.0.utf8), $0.1) }
        var provider = nghttp2_data_provider()
        provider.read_callback = { _, _, buffer, capacity, flags, _, context in
            guard let buffer, let flags, let connection = HTTP2RelayConnection.from(context) else { return -1 }
            let piece = connection.body.prefix(capacity)
            _ = UnsafeMutableBufferPointer(start: buffer, count: capacity).update(fromContentsOf: piece)
            connection.body = connection.body.dropFirst(piece.count)
            if connection.body.isEmpty { flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
            return piece.count
        }
        self.stream = Self.withFields(&bytes) { fields in
            body.isEmpty
                ? nghttp2_submit_request(self.session, nil, fields.baseAddress, fields.count, nil, nil)
                : nghttp2_submit_request(self.session, nil, fields.baseAddress, fields.count, &provider, nil)
        }
        (self.hasHead, self.fields, self.status) = (false, [], 0)
        if self.stream < 0 { self.isOver = true }
    }

    private static func withFields<Result>(
        _ list: inout [([UInt8], [UInt8])],
        _ body: (UnsafeBufferPointer<nghttp2_nv>) -> Result
    ) -> Result {
        // One block of memory for all names and values.
        let total = list.reduce(0) { $0 + $1.0.count + $1.1.count }
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: max(1, total)) { room in
            var place = 0
            func put(_ bytes: [UInt8]) -> UnsafeMutablePointer<UInt8>? {
                _ = room[place...].update(fromContentsOf: bytes)
                defer { place += bytes.count }
                return room.baseAddress.map { $0 + place }
            }
            let fields = list.map { name, value in
                nghttp2_nv(
                    name: put(name),
                    value: put(value),
                    namelen: name.count,
                    valuelen: value.count,
                    flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)
                )
            }
            return fields.withUnsafeBufferPointer(body)
        }
    }

    // MARK: Answers

    private func received(_ name: [UInt8], _ value: [UInt8]) {
        let name = String(decoding: name, as: UTF8.self)
        if name == ":status" {
            self.status = Int(String(decoding: value, as: UTF8.self)) ?? 0
        } else {
            self.fields.append((name, value))
        }
    }

    private func receivedHead() {
        guard !self.hasHead else { return }
        let isInterim = self.status < 200
        let isBare = self.isHead || self.status == 204 || self.status == 304 || isInterim
        self.isChunked = !isBare && !self.fields.contains { $0.name == "content-length" }
        self.output += Array("HTTP/1.1 \(self.status) \r\n".utf8)
        for (name, value) in self.fields { self.output += Array("\(Self.title(name)): ".utf8) + value + [0x0D, 0x0A] }
        if self.isChunked { self.output += Array("Transfer-Encoding: chunked\r\n".utf8) }
        if self.isLast, !isInterim { self.output += Array("Connection: close\r\n".utf8) }
        self.output += [0x0D, 0x0A]
        self.hasHead = !isInterim
        self.fields = []
    }

    /// As servers of HTTP/1.1 write names.
    private static func title(_ name: String) -> String {
        name.split(separator: "-", omittingEmptySubsequences: false)
            .map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined(separator: "-")
    }

    private func received(_ bytes: UnsafeBufferPointer<UInt8>) {
        if self.isChunked { self.output += Array("\(String(bytes.count, radix: 16))\r\n".utf8) }
        self.output += bytes
        if self.isChunked { self.output += [0x0D, 0x0A] }
    }

    /// Bytes that are still wanted of a request's body are no longer wanted.
    private func closed(_ stream: Int32, _ code: UInt32) {
        guard stream == self.stream else { return }
        self.stream = 0
        guard code == NGHTTP2_NO_ERROR.rawValue, self.hasHead else {
            self.isOver = true
            return
        }
        if self.isChunked { self.output += Array("0\r\n\r\n".utf8) }
        if self.isLast { self.isOver = true }
    }

    private static func from(_ context: UnsafeMutableRawPointer?) -> HTTP2RelayConnection? {
        context.map { Unmanaged<HTTP2RelayConnection>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Set up here, and only read afterwards.
    private final class Callbacks: @unchecked Sendable {
        let pointer: OpaquePointer?

        init() {
            var callbacks: OpaquePointer?
            nghttp2_session_callbacks_new(&callbacks)
            nghttp2_session_callbacks_set_on_header_callback(callbacks) {
                _,
                _,
                name,
                nameCount,
                value,
                count,
                _,
                context in
                let name = Array(UnsafeBufferPointer(start: name, count: nameCount))
                HTTP2RelayConnection.from(context)?.received(
                    name,
                    Array(UnsafeBufferPointer(start: value, count: count))
                )
                return 0
            }
            nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, context in
                guard let frame, UInt32(frame.pointee.hd.type) == NGHTTP2_HEADERS.rawValue else { return 0 }
                HTTP2RelayConnection.from(context)?.receivedHead()
                return 0
            }
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, _, bytes, count, context in
                HTTP2RelayConnection.from(context)?.received(UnsafeBufferPointer(start: bytes, count: count))
                return 0
            }
            nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, stream, code, context in
                HTTP2RelayConnection.from(context)?.closed(stream, code)
                return 0
            }
            self.pointer = callbacks
        }
    }

    private static let callbacks = Callbacks()
}
