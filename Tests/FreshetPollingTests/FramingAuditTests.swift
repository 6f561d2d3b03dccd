import FreshetCore
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("The audit of a body's framing")
struct FramingAuditTests {
    /// Runs the bytes through in one piece and byte by byte, which must not differ.
    private func violation(of text: String, _ framing: ResponseHead.Framing, closes: Bool = false) -> UpstreamError? {
        let bytes = Array(text.utf8)
        var whole = FramingAudit(framing, closesConnection: closes)
        whole.received(bytes.span)
        var piecewise = FramingAudit(framing, closesConnection: closes)
        for byte in bytes { piecewise.received([byte].span) }
        #expect(whole.violation == piecewise.violation)
        return whole.violation
    }

    @Test(
        "chunks that RFC 9112 allows pass",
        arguments: [
            "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "00005\r\nhello\r\n000\r\n\r\n",
            "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
            "5;a\r\nhello\r\n0;b=c\r\n\r\n", "5;a=b;c=\"d;\\\" e\";f\r\nhello\r\n0\r\n\r\n",
            "0\r\nX: 1\r\nY: 2\r\n\r\n",
            "5\r\nhel", "5\r", "5;a=\"", "0\r\nX",
        ]
    )
    func allowed(text: String) {
        #expect(self.violation(of: text, .chunked) == nil)
    }

    @Test(
        "F07, F10: chunks that parsers read differently do not",
        arguments: [
            " 5\r\nhello\r\n", "5 5\r\nhello\r\n", "5\u{B}\r\nhello\r\n", "5\nhello\r\n", "\r\n", "x\r\n", "-5\r\n",
            "0x5\r\nhello", "5;\r\nhello",
            "5;a=\r\nhello",
            "5;a=\"b\rc\"", "5;a=\"b\"c\r\n", "5 a\r\n", "5;a b\r\n", "5;a=b c\r\n", "5\r\nhellox\r\n", "5\r\nhello\n0",
            "5\r\nhello\r\r",
            "1000000000000000\r\n", "5\r\nhello\r\n;a\r\n", "0\r\n\r\nextra", "0\r\nX: 1\rY: 2\r\n\r\n",
        ]
    )
    func refused(text: String) {
        #expect(self.violation(of: text, .chunked)?.kind == .framing)
    }

    @Test(
        "F09: a body longer than its length does not pass, a response that nobody asked for does",
        arguments: [
            ("hello", false, true), ("hel", false, true), ("hellox", false, false), ("hello\r\n", false, true),
            ("helloHTTP/1.1 408 Request Timeout\r\n", false, true), ("hello\r\nHTTP/1.1 201", false, true),
            ("helloHTT", false, true), ("helloHTTX", false, false), ("hello\r\n", true, false),
            ("helloHTTP/1.1 200 OK", true, false),
        ]
    )
    func lengths(text: String, closes: Bool, passes: Bool) {
        #expect((self.violation(of: text, .length(5), closes: closes) == nil) == passes)
    }

    @Test(
        "R28: a padded chunk size has one reading",
        arguments: [
            "5 \r\nhello\r\n0\r\n\r\n", "5    \r\nhello\r\n0     \r\n\r\n", "5\t\r\nhello\r\n0\t \r\n\r\n",
            "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "5 ;a\r\nhello\r\n0\r\n\r\n",
            "5 ; a = b ; c = \"d\" \r\nhello\r\n0\r\n\r\n",
        ]
    )
    func padded(text: String) {
        #expect(self.violation(of: text, .chunked) == nil)
    }

    @Test(
        "R28: lines that end in LF alone pass where they are taken",
        arguments: [
            "5\nhello\n0\n\n", "5 \nhello\r\n0\r\n\n", "5;a=b\nhello\n0\nX: 1\n\n",
        ]
    )
    func lenient(text: String) {
        var audit = FramingAudit(.chunked, closesConnection: false, isLenient: true)
        audit.received(Array(text.utf8).span)
        #expect(audit.violation == nil)
        #expect(self.violation(of: text, .chunked)?.kind == .framing)
    }

    @Test("a body that ends with the connection has nothing to audit")
    func open() {
        #expect(self.violation(of: "anything\r\n0\r\n", .close) == nil)
    }
}
