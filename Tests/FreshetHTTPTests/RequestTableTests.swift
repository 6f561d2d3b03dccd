import FreshetCore
import FreshetTesting
import NIOCore
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Parts of a request")
    struct RequestTableTests {
        @Test(
            "durations",
            arguments: [
                ("500ms", 500), ("5s", 5000), ("1m30s", 90_000), ("1h", 3_600_000), ("0s", 0), ("1h2m3s4ms", 3_723_004),
                ("", nil), ("5", nil), ("s", nil), ("-5s", nil), ("1s1m", nil), ("1s1s", nil), ("5 s", nil),
                ("1.5s", nil),
                ("5S", nil), ("9999999999999s", nil), ("999999999999h", 3_599_999_999_996_400_000), ("5sx", nil),
            ] as [(String, Int64?)]
        )
        func durations(text: String, milliseconds: Int64?) {
            #expect(DurationText.duration(text) == milliseconds.map { .milliseconds($0) })
        }

        @Test(
            "listen addresses",
            arguments: [
                ("127.0.0.1:8080", "127.0.0.1:8080"), (":80", "0.0.0.0:80"), ("[::1]:8080", "[::1]:8080"),
                ("localhost:0", "localhost:0"), ("unix:/run/f.sock", "unix:/run/f.sock"), ("8080", nil), ("a:b", nil),
                ("a:", nil), ("a:65536", nil), ("::1:80", nil), ("unix:", nil), ("a:-1", nil), ("", nil),
                ("unix:/\(String(repeating: "x", count: 108))", nil),
            ] as [(String, String?)]
        )
        func addresses(text: String, expected: String?) {
            #expect(ListenAddress(text)?.description == expected)
        }

        @Test(
            "queries are decoded without trust",
            arguments: [
                ("a=1", "1"), ("a=%20+x", "  x"), ("b=2&a=1&a=3", "1"), ("a", ""), ("%61=1", "1"), ("a=%", "%"),
                ("a=%4", "%4"),
                ("a=%zz", "%zz"), ("a=%00", "\0"), ("a=%ff", "\u{FFFD}"), ("a=1=2", "1=2"), ("&&a=1", "1"),
                ("A=1", nil),
                ("", nil),
            ] as [(String, String?)]
        )
        func queries(text: String, expected: String?) {
            #expect(QueryString(text)["a"] == expected)
        }

        @Test("a query of a million parameters is looked at only in part")
        func longQuery() {
            let query = QueryString(String(repeating: "x=1&", count: 1_000_000) + "a=1")
            #expect(query["x"] == "1")
            #expect(query["a"] == nil)
        }

        @Test(
            "request lines",
            arguments: [
                ("GET / HTTP/1.1", nil), ("GET /a?b HTTP/1.0", nil), ("OPTIONS * HTTP/1.1", nil),
                ("X-Y /a HTTP/1.1", nil),
                ("GET http://a/b HTTP/1.1", nil), ("GET HTTP://a HTTP/1.1", nil), ("GET http://a?q HTTP/1.1", nil),
                ("GET * HTTP/1.1", 400), ("GET  / HTTP/1.1", 400), ("GET / HTTP/1.1 ", 400), (" GET / HTTP/1.1", 400),
                ("GET / http/1.1", 400), ("GET / HTTP/2.0", 505), ("GET / HTTP/1.10", 505), ("GET / HTTP/x", 400),
                ("GET /#x HTTP/1.1", 400), ("GET ftp://a/ HTTP/1.1", 400), ("GET http:///x HTTP/1.1", 400),
                ("GET a HTTP/1.1", 400), ("CONNECT a:1 HTTP/1.1", 400), ("1GET / HTTP/1.1", 400), ("GET /", 400),
                ("", 400),
                ("GET /\u{7F} HTTP/1.1", 400), ("GET /\t HTTP/1.1", 400), ("GET http://a b/ HTTP/1.1", 400),
                ("\(String(repeating: "G", count: 33)) / HTTP/1.1", 400),
            ] as [(String, Int?)]
        )
        func lines(text: String, status: Int?) {
            let result = Result { () throws(Problem) in
                try FreshetHTTP.RequestHead.line(Array(text.utf8), maxTargetBytes: 100)
            }
            switch result {
            case .success: #expect(status == nil)
            case .failure(let problem): #expect(problem.statusCode == status)
            }
        }

        @Test("the absolute form names path, query and host")
        func absolute() throws {
            let line = try FreshetHTTP.RequestHead.line(
                Array("GET http://[::1]:80/a/b?c=d?e HTTP/1.1".utf8),
                maxTargetBytes: 100
            )
            #expect(line.authority == "[::1]:80")
            #expect(line.path == "/a/b")
            #expect(line.query == "c=d?e")
            let head = try FreshetHTTP.RequestHead(line, fields: [.init(name: "host", value: "other")])
            #expect(head.authority == "[::1]:80")
        }

        @Test(
            "chunk sizes",
            arguments: [
                ("0", 0), ("a", 10), ("A", 10), ("0005", 5), ("5;x", 5), ("5;x=y", 5), (#"5;x="a b\";c";z"#, 5),
                ("", nil), ("5;", nil), (";x", nil), ("5 ", nil), (" 5", nil), ("5;x=", nil), (#"5;x="y"#, nil),
                ("5;x y", nil),
                ("0x5", nil), ("-5", nil), ("+5", nil), ("5_0", nil), ("fffffffffffffffff", nil), ("5;;x", nil),
                ("5x", nil),
            ] as [(String, Int?)]
        )
        func chunkSizes(text: String, size: Int?) {
            let read = try? ChunkedBody.size(Array(text.utf8))
            #expect(read == size)
        }

        @Test("a chunked body is put together, and its extensions and trailers are left behind")
        func chunked() throws {
            let text =
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\nG"
            for step in [1, 3, 1000] {
                var parser = RequestParser(limits: .init(), bodyLimit: 6)
                var buffer = ByteBuffer()
                var body: ByteBuffer?
                let bytes = Array(text.utf8)
                for start in stride(from: 0, to: bytes.count, by: step) {
                    buffer.writeBytes(bytes[start..<min(start + step, bytes.count)])
                    loop: while true {
                        switch parser.next(&buffer) {
                        case .needsMore: break loop
                        case .head(let head): #expect(head.framing == .chunked)
                        case .end(let whole): body = whole
                        case .failed(let problem): Issue.record("\(problem)"); return
                        }
                    }
                }
                #expect(body.map { String(buffer: $0) } == "hello!")
                #expect(parser.isInsideMessage)
            }
        }

        @Test("random bytes never trap the parser, and never make it read past a refusal")
        func noise() {
            var random = SplitMix64(seed: 30)
            let words = [
                "GET", "POST", " ", "/", "HTTP/1.1", "HTTP/1.0", "\r\n", "\r", "\n", ":", "Host: a\r\n", "5",
                "0\r\n\r\n",
                "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "\0", "\u{E9}", ";", "\"", "abc",
            ]
            for _ in 0..<20_000 {
                var parser = RequestParser(limits: .init(), bodyLimit: 100)
                var buffer = ByteBuffer()
                for _ in 0..<Int.random(in: 1...20, using: &random) {
                    buffer.writeString(words[Int.random(in: 0..<words.count, using: &random)])
                    var steps = 0
                    loop: while steps < 100 {
                        steps += 1
                        if case .needsMore = parser.next(&buffer) { break loop }
                    }
                    #expect(steps < 100)
                }
            }
        }
    }
}
