// One request to a gateway over a blocking socket: enough HTTP/1.1 for the command line's own verbs.

import CLinux
import Foundation
import FreshetConfiguration
import Glibc

/// Why a gateway could not be asked.
struct GatewayConnectionError: Error, Hashable, CustomStringConvertible {
    var description: String
}

/// A connection that carries one request. Confined to the thread that uses it; every call blocks, for at most the
/// time-out without a byte.
final class GatewayConnection {
    /// The status line and the header of an answer.
    struct Head: Hashable {
        var status: Int
        /// By lower-case name.
        var fields: [String: String]
    }

    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var framing = Framing.untilClose

    private enum Framing {
        case untilClose
        case length(Int)
        /// What is left of the current chunk; `nil` before a size line.
        case chunked(Int?)
        case ended
    }

    /// Of the answer's head.
    private static let maxHeadBytes = 64 << 10
    private static let maxChunkLineBytes = 1024

    /// Connects.
    ///
    /// - Throws: ``GatewayConnectionError`` where there is no answer within `timeout`.
    init(_ address: GatewayAddress, timeout: Duration) throws(GatewayConnectionError) {
        self.descriptor = try SocketConnecting.connect(to: address, timeout: timeout)
    }

    deinit {
        _ = clinux_close(self.descriptor)
    }

    /// Sends a GET and reads the head of the answer. Once. `upgrades`: to another protocol, whose bytes then are the body.
    ///
    /// - Throws: ``GatewayConnectionError`` where the answer is not HTTP, or the connection breaks or stays silent.
    func get(
        _ target: String,
        fields: [(String, String)],
        address: GatewayAddress,
        upgrades: Bool = false
    ) throws(GatewayConnectionError) -> Head {
        try self.ask("GET", target, fields: fields, address: address, upgrades: upgrades)
    }

    /// As ``get(_:fields:address:upgrades:)``, with another method. A request has no body.
    func ask(
        _ method: String,
        _ target: String,
        fields: [(String, String)],
        address: GatewayAddress,
        upgrades: Bool = false
    ) throws(GatewayConnectionError) -> Head {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: \(address.authority)\r\n"
        if method != "GET" { text += "Content-Length: 0\r\n" }
        text += upgrades ? "Connection: Upgrade\r\n" : "Connection: close\r\n"
        for (name, value) in fields {
            text += "\(name): \(value)\r\n"
        }
        try self.send(Array((text + "\r\n").utf8))
        while true {
            if let end = Self.headEnd(in: self.buffer) {
                let head = try self.head(self.buffer[..<end])
                self.buffer.removeFirst(end)
                // Answers in between, such as 103, are followed by the one that counts.
                guard head.status >= 200 || upgrades && head.status == 101 else { continue }
                self.framing = try Self.framing(of: head)
                return head
            }
            guard self.buffer.count <= Self.maxHeadBytes, try self.receive() else {
                throw GatewayConnectionError(description: "the answer is not HTTP")
            }
        }
    }

    /// The next bytes of the body; `nil` at its end.
    ///
    /// - Throws: ``GatewayConnectionError`` where the body breaks off or nothing comes within the time-out.
    func next() throws(GatewayConnectionError) -> [UInt8]? {
        while true {
            if let bytes = try self.takeBody() { return bytes }
            if case .ended = self.framing { return nil }
            guard try self.receive() else {
                if case .untilClose = self.framing { return nil }
                throw GatewayConnectionError(description: "the connection broke off")
            }
        }
    }
}

// MARK: - Reading and writing

extension GatewayConnection {
    func send(_ bytes: [UInt8]) throws(GatewayConnectionError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(self.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            let code = errno
            if count < 0, code == EINTR { continue }
            guard count > 0 else { throw Self.error(code) }
            rest = rest.dropFirst(count)
        }
    }

    /// Appends what comes to the buffer.
    ///
    /// - Returns: `false` at the end of the connection.
    private func receive() throws(GatewayConnectionError) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.recv(self.descriptor, &chunk, chunk.count, 0)
            let code = errno
            if count < 0, code == EINTR { continue }
            guard count >= 0 else { throw Self.error(code) }
            self.buffer.append(contentsOf: chunk[..<count])
            return count > 0
        }
    }

    private static func error(_ code: Int32) -> GatewayConnectionError {
        code == EAGAIN
            ? GatewayConnectionError(description: "no answer in time")
            : GatewayConnectionError(description: String(cString: clinux_error_text(code)))
    }

    private static func headEnd(in bytes: [UInt8]) -> Int? {
        let mark: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A]
        guard bytes.count >= mark.count else { return nil }
        return (mark.count...bytes.count).first { bytes[($0 - mark.count)..<$0].elementsEqual(mark) }
    }

    private func head(_ bytes: ArraySlice<UInt8>) throws(GatewayConnectionError) -> Head {
        let lines = String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n")
        let parts = (lines.first ?? "").split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]), (100...999).contains(status)
        else {
            throw GatewayConnectionError(description: "the answer is not HTTP/1")
        }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return Head(status: status, fields: fields)
    }

    private static func framing(of head: Head) throws(GatewayConnectionError) -> Framing {
        if head.status == 204 || head.status == 304 { return .ended }
        if let coding = head.fields["transfer-encoding"] {
            guard coding.lowercased() == "chunked" else {
                throw GatewayConnectionError(description: "the answer has an unknown transfer coding")
            }
            return .chunked(nil)
        }
        guard let text = head.fields["content-length"] else { return .untilClose }
        guard let length = WholeNumber.parse(text).flatMap({ Int(exactly: $0) }) else {
            throw GatewayConnectionError(description: "the answer has no valid length")
        }
        return length == 0 ? .ended : .length(length)
    }

    /// Body bytes that the buffer holds; `nil` where it holds none.
    private func takeBody() throws(GatewayConnectionError) -> [UInt8]? {
        switch self.framing {
        case .ended: return nil
        case .untilClose:
            return self.take(self.buffer.count)
        case .length(let left):
            guard let bytes = self.take(min(left, self.buffer.count)) else { return nil }
            self.framing = bytes.count == left ? .ended : .length(left - bytes.count)
            return bytes
        case .chunked(let left?):
            guard let bytes = self.take(min(left, self.buffer.count)) else { return nil }
            self.framing = .chunked(bytes.count == left ? nil : left - bytes.count)
            return bytes
        case .chunked(nil):
            try self.readChunkSize()
            // A size was read if anything moved; then its bytes may be there too.
            guard case .chunked(_?) = self.framing else { return nil }
            return try self.takeBody()
        }
    }

    private func take(_ count: Int) -> [UInt8]? {
        guard count > 0 else { return nil }
        defer { self.buffer.removeFirst(count) }
        return Array(self.buffer[..<count])
    }

    /// Steps over the end of a chunk and reads the size line of the next (RFC 9112 §7.1), if it is there whole.
    private func readChunkSize() throws(GatewayConnectionError) {
        let start = self.buffer.starts(with: [0x0D, 0x0A]) ? 2 : 0
        guard let end = self.buffer[start...].firstIndex(of: 0x0A) else {
            guard self.buffer.count <= Self.maxChunkLineBytes else {
                throw GatewayConnectionError(description: "a broken chunk")
            }
            return
        }
        let line = self.buffer[start..<end].prefix { $0 != 0x3B && $0 != 0x0D && $0 != 0x20 }
        guard line.count <= 15, let size = Int(String(decoding: line, as: UTF8.self), radix: 16), size >= 0 else {
            throw GatewayConnectionError(description: "a broken chunk")
        }
        self.buffer.removeFirst(end + 1)
        self.framing = size == 0 ? .ended : .chunked(size)
    }
}
