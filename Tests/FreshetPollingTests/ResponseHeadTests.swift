import FreshetCore
import HTTPFields
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("The head of a response")
struct ResponseHeadTests {
    /// Feeds whole lines, as libcurl does, and returns the head, or the error of the line that was refused.
    private func read(_ text: String, isLenient: Bool = false) throws(UpstreamError) -> ResponseHead {
        var head = ResponseHead(isLenient: isLenient)
        var line: [UInt8] = []
        for byte in text.utf8 {
            line.append(byte)
            guard byte == 0x0A else { continue }
            _ = try head.lineReceived(line.span)
            line.removeAll()
        }
        return head
    }

    private func kind(_ text: String) -> UpstreamError.Kind? {
        do {
            _ = try self.read(text)
            return nil
        } catch {
            return error.kind
        }
    }

    @Test(
        "S14, F21: what HTTP does not allow is refused",
        arguments: [
            "HTTP/0.9 200 OK\r\n", "HTTP/1.2 200 OK\r\n", "HTTP/5.6 200 OK\r\n", "HTTP/01.1 200 OK\r\n",
            "HTTP/1.1\t200 OK\r\n", "HTTP/1.1  200 OK\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 2000 OK\r\n",
            "HTTP/1.1 099 OK\r\n", "HTTP/1.1 200OK\r\n", "HTTP/1.1 200 O\u{0}K\r\n", "HTTP/1.1 200 OK\n",
            "HTTP/1.1 200 OK\rX: 1\r\n", "garbage\r\n", "\r\n", "HTTP/1.1 200 OK\r\nX: 1\n",
            "HTTP/1.1 200 OK\r\n folded: 1\r\n", "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n",
            "HTTP/1.1 200 OK\r\nX: 1\r\n\tfolded\r\n", "HTTP/1.1 200 OK\r\nX Y: 1\r\n", "HTTP/1.1 200 OK\r\nX : 1\r\n",
            "HTTP/1.1 200 OK\r\n: 1\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n",
            "HTTP/1.1 200 OK\r\nETag: \"a\u{0}\"\r\n", "HTTP/1.1 200 OK\r\nETag: \"a\rX: y\"\r\n",
            "HTTP/1.1 200 OK\r\nETag: \"\u{1B}[31m\"\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ]
    )
    func refused(text: String) {
        #expect(self.kind(text) == .protocol)
    }

    @Test(
        "F10: framing that contradicts itself is refused",
        arguments: [
            "Content-Length: 2\r\nContent-Length: 5\r\n", "Content-Length: 2, 5\r\n", "Content-Length: 2, 2, 5\r\n",
            "Content-Length: 2, 2\r\nContent-Length: 3\r\n", "Content-Length: 2,\r\n", "Content-Length: ,2\r\n",
            "Content-Length: 2 2\r\n", "Content-Length: 2, x\r\n", "Content-Length: +2\r\n", "Content-Length: -1\r\n",
            "Content-Length: 0x2\r\n",
            "Content-Length: \r\n", "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
            "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunkedchunked\r\n",
            "Transfer-Encoding: identity\r\n", "transfer-encoding: x\r\n",
        ]
    )
    func contradictions(fields: String) {
        #expect(self.kind("HTTP/1.1 200 OK\r\n\(fields)\r\n") == .framing)
    }

    @Test(
        "R28: equal lengths have one reading",
        arguments: [
            "Content-Length: 2\r\nContent-Length: 2\r\n", "Content-Length: 2, 2\r\n", "Content-Length: 2,2 ,\t2\r\n",
            "Content-Length: 2\r\ncontent-length: 02\r\n", "Content-Length: 2, 2\r\nContent-Length: 2\r\n",
        ]
    )
    func equalLengths(fields: String) throws {
        #expect(try self.read("HTTP/1.1 200 OK\r\n\(fields)\r\n").framing == .length(2))
    }

    @Test(
        "R28: heads of devices are read with `lenient_http`, and refused without",
        arguments: [
            "HTTP/1.1 200 OK\nETag: \"a\"\nContent-Length: 2\n\n",
            "HTTP/1.1 200 OK\r\nETag : \"a\"\r\nContent-Length \t: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nETag: \"a\"\nContent-Length : 2\n\r\n",
            "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nETag :\"a\"\nContent-Length:2\n\n",
        ]
    )
    func lenient(text: String) throws {
        let head = try self.read(text, isLenient: true)
        #expect(head.isComplete)
        #expect(head.framing == .length(2))
        #expect(head.fields == [HeaderField(name: Array("etag".utf8), value: Array("\"a\"".utf8))])
        #expect(self.kind(text) == .protocol)
    }

    @Test(
        "R28: what parsers read differently is refused even so",
        arguments: [
            "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length : 3\n\n",
            "HTTP/1.1 200 OK\nTransfer-Encoding : chunked\n\n",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nContent-Length: 3\n\n",
            "HTTP/1.1 200 OK\nX: 1\n folded\n\n", "HTTP/1.1 200 OK\nX: a\rb\n\n", "HTTP/1.1 200 OK\nno colon\n\n",
        ]
    )
    func strictAllTheSame(text: String) {
        #expect(throws: UpstreamError.self) { try self.read(text, isLenient: true) }
    }

    @Test("F10: HTTP/1.0 has no chunks")
    func chunksIn10() {
        #expect(self.kind("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") == .framing)
    }

    @Test(
        "tells how the body ends",
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", ResponseHead.Framing.length(12)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", .chunked),
            ("HTTP/1.1 200 OK\r\n\r\n", .close),
            ("HTTP/1.0 200 OK\r\n\r\n", .close),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n", .empty),
            ("HTTP/1.1 204 No Content\r\n\r\n", .empty),
            ("HTTP/2 200 \r\n\r\n", .stream),
        ]
    )
    func framing(text: String, expected: ResponseHead.Framing) throws {
        let head = try self.read(text)
        #expect(head.isComplete)
        #expect(head.framing == expected)
    }

    @Test("keeps validators byte-exact and drops what nobody reads")
    func fields() throws {
        let head = try self.read(
            """
            HTTP/1.1 200\r\nETag: \t W/"a  b\u{E9}" \t\r\nSet-Cookie: a=b\r\nX-Whatever: 1\r\nLAST-MODIFIED:x\r\n\r\n
            """
        )
        #expect(
            head.fields == [
                HeaderField(name: Array("etag".utf8), value: Array("W/\"a  b\u{E9}\"".utf8)),
                HeaderField(name: Array("last-modified".utf8), value: Array("x".utf8)),
            ]
        )
    }

    @Test("S14: what `Connection` names belongs to the connection and not to the value")
    func nominated() throws {
        let head = try self.read(
            "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nAge: 3\r\nConnection: keep-alive, ETag\r\nSet-Cookie: a=b\r\n\r\n"
        )
        #expect(head.fields == [HeaderField(name: Array("age".utf8), value: Array("3".utf8))])
        #expect(!head.closesConnection)
        #expect(try self.read("HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n").closesConnection)
    }

    @Test("an interim response leaves nothing behind")
    func interim() throws {
        let head = try self.read(
            "HTTP/1.1 103 Early Hints\r\nETag: \"early\"\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
        )
        #expect(head.status == 200)
        #expect(head.fields.isEmpty)
        #expect(head.framing == .close)
    }

    @Test("F34: a flood of interim responses is refused")
    func interimFlood() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n"
        let final = "HTTP/1.1 200 OK\r\n\r\n"
        #expect(self.kind(String(repeating: interim, count: ResponseHead.maxInterim) + final) == nil)
        #expect(self.kind(String(repeating: interim, count: ResponseHead.maxInterim + 1) + final) == .protocol)
    }

    @Test("F14: fields are bounded in number and in bytes")
    func bounds() {
        let start = "HTTP/1.1 200 OK\r\n"
        #expect(self.kind(start + String(repeating: "X: 1\r\n", count: ResponseHead.maxFields)) == nil)
        #expect(self.kind(start + String(repeating: "X: 1\r\n", count: ResponseHead.maxFields + 1)) == .headers)
        let room = ResponseHead.maxBytes - start.utf8.count - 5
        #expect(self.kind(start + "X: " + String(repeating: "x", count: room) + "\r\n") == nil)
        #expect(self.kind(start + "X: " + String(repeating: "x", count: room + 1) + "\r\n") == .headers)
    }

    @Test(
        "S18: content codings",
        arguments: [
            ("gzip", ResponseHead.ContentCoding.gzip), ("GZIP", .gzip), ("x-gzip", .gzip), ("identity", .identity),
            ("br", .brotli), ("zstd", .zstd), ("BR", .brotli), ("deflate", .other), ("compress", .other),
            ("br, gzip", .other), ("gzip, gzip", .other), ("deflate, identity", .other), ("xz", .other),
            ("gzip\r\nContent-Encoding: gzip", .other), ("gzip\r\nContent-Encoding: br", .other),
        ]
    )
    func codings(value: String, expected: ResponseHead.ContentCoding) throws {
        #expect(try self.read("HTTP/1.1 200 OK\r\nContent-Encoding: \(value)\r\n\r\n").contentCoding == expected)
    }

    @Test(
        "R18: a name that names no coding means that there is none",
        arguments: [
            ("UTF-8", ResponseHead.ContentCoding.identity), ("utf8", .identity), ("none", .identity), ("", .identity),
            ("aws-chunked", .identity), ("iso-8859-1", .identity), ("null", .identity), ("binary", .identity),
            ("text/html", .identity), (",", .identity), ("identity, identity", .identity), ("8bit", .identity),
            ("gzip, identity", .gzip), ("identity,gzip", .gzip), ("aws-chunked,gzip", .gzip), ("gzip\t, UTF-8", .gzip),
            ("gzip\r\nContent-Encoding: identity", .gzip), ("UTF-8\r\nContent-Encoding: gzip", .gzip),
            ("none, br", .brotli),
        ]
    )
    func noCoding(value: String, expected: ResponseHead.ContentCoding) throws {
        #expect(try self.read("HTTP/1.1 200 OK\r\nContent-Encoding: \(value)\r\n\r\n").contentCoding == expected)
    }
}
