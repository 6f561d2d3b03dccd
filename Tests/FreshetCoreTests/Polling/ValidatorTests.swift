import FreshetCore
import JSON
import Testing

@Suite("Validators are used, and never believed against the bytes")
struct ValidatorTests {
    private func warnings(_ trace: Trace) -> [SourceWarning.Kind] { trace.machine.status.warnings.map(\.kind) }

    @Test("F24: a tag that flaps over equal bytes is called unreliable after a few, and forgiven when it holds still")
    func unreliable() {
        var trace = Trace()
        for tag in 0..<5 {
            _ = trace.poll(.body("[1]", etag: "\"\(tag)\""))
            #expect(self.warnings(trace).isEmpty)
        }
        _ = trace.poll(.body("[1]", etag: "\"5\""))
        #expect(self.warnings(trace) == [.etagUnreliable])
        #expect(trace.machine.status.changes == 1)
        for _ in 0..<20 { _ = trace.poll(.notModified()) }
        #expect(self.warnings(trace).isEmpty)
        #expect(trace.poll(.body("[2]", etag: "\"6\"")).change != nil, "bodies are compared all along")
    }

    @Test("F24: a tag that follows an ignored member is not called unreliable")
    func ignoredMember() {
        var trace = Trace { $0.ignore = [PointerPattern("/at")].compactMap { $0 } }
        for tag in 0..<20 { _ = trace.poll(.body(#"{"at":\#(tag)}"#, etag: "\"\(tag)\"")) }
        #expect(self.warnings(trace).isEmpty)
    }

    @Test("F25: one strong tag on two values is reported; on a weak one it is allowed")
    func reused() {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"x\""))
        #expect(trace.poll(.body("[2]", etag: "\"x\"")).change != nil)
        #expect(self.warnings(trace) == [.etagReused])
        var weak = Trace()
        _ = weak.poll(.body("[1]", etag: "W/\"x\""))
        #expect(weak.poll(.body("[2]", etag: "W/\"x\"")).change != nil)
        #expect(self.warnings(weak).isEmpty)
    }

    @Test("F25: `verify_every` asks unconditionally, which finds the change that a 304 hid", arguments: [1, 2, 5])
    func verify(every: Int) {
        var trace = Trace { $0.verifyEvery = every }
        _ = trace.poll(.body("[1]", etag: "\"x\""))
        for _ in 1..<every {
            _ = trace.poll(.notModified())
            #expect(trace.requests.last?.validators.etag == Array("\"x\"".utf8))
        }
        #expect(trace.poll(.body("[2]", etag: "\"x\"")).change != nil)
        #expect(trace.requests.last?.validators.isEmpty == true)
        #expect(self.warnings(trace) == [.etagReused])
    }

    @Test("F25: a tag that was caught is verified every tenth poll without being told to")
    func suspicion() {
        var trace = Trace()
        _ = trace.poll(.body("[1]", etag: "\"x\""))
        _ = trace.poll(.body("[2]", etag: "\"x\""))
        for _ in 0..<9 { _ = trace.poll(.notModified()) }
        #expect(trace.requests.suffix(9).allSatisfy { !$0.validators.isEmpty })
        #expect(trace.poll(.body("[3]", etag: "\"x\"")).change != nil)
        #expect(trace.requests.last?.validators.isEmpty == true)
    }

    @Test("F26: a tag that never yields a 304 is reported", arguments: ["\"x\"", "W/\"x\"", "\"x-gzip\"", "\"x;br\""])
    func useless(answered: String) {
        var trace = Trace()
        for _ in 0..<10 { _ = trace.poll(.body("[1]", etag: answered)) }
        #expect(self.warnings(trace).isEmpty)
        _ = trace.poll(.body("[1]", etag: answered))
        #expect(self.warnings(trace) == [.etagUseless])
        _ = trace.poll(.notModified())
        #expect(self.warnings(trace).isEmpty)
    }

    @Test("F26: tags come and go as they are: weak, strong, unquoted, and with what a proxy adds")
    func byteExact() {
        var trace = Trace()
        let tags = [#""x""#, #"W/"x""#, #""x-gzip""#, "x", "w/\"x\"", "W/x"]
        for (number, tag) in tags.enumerated() {
            _ = trace.poll(.body("[\(number)]", etag: tag))
            _ = trace.poll(.notModified(etag: tag))
            #expect(trace.requests.last?.validators.etag == Array(tag.utf8))
        }
        #expect(trace.machine.status.notModified == UInt64(tags.count))
    }

    @Test("F27: a date is sent back only where the answer was two seconds younger")
    func dates() {
        let changed = "Sun, 23 Nov 2025 05:59:58 GMT"
        let cases = [
            ("Sun, 23 Nov 2025 05:59:58 GMT", false), ("Sun, 23 Nov 2025 05:59:59 GMT", false),
            ("Sun, 23 Nov 2025 06:00:00 GMT", true), ("Sun, 23 Nov 2025 04:00:00 GMT", false),
        ]
        for (date, isSent) in cases {
            var trace = Trace()
            _ = trace.poll(.body("[1]", fields: ["last-modified": changed, "date": date]))
            _ = trace.poll(.body("[1]", fields: ["last-modified": changed, "date": date]))
            #expect(trace.requests.last?.validators.lastModified == (isSent ? Array(changed.utf8) : nil), "\(date)")
        }
    }

    @Test("F27: two changes within the second that the date names are both found")
    func doubleChange() {
        var trace = Trace()
        let fields = ["last-modified": "Sun, 23 Nov 2025 06:00:00 GMT", "date": "Sun, 23 Nov 2025 06:00:00 GMT"]
        #expect(trace.poll(.body("[1]", fields: fields)).change != nil)
        #expect(trace.poll(.body("[2]", fields: fields)).change != nil)
        #expect(trace.requests.allSatisfy { $0.validators.isEmpty })
    }

    @Test("F27: a date in the future is never sent back")
    func future() {
        var trace = Trace()
        let fields = ["last-modified": "Fri, 01 Jan 2027 00:00:00 GMT"]
        for _ in 0..<3 { _ = trace.poll(.body("[1]", fields: fields)) }
        #expect(trace.requests.allSatisfy { $0.validators.isEmpty })
        #expect(trace.machine.status.changes == 1)
    }

    @Test("a 304 renews what it names, and what it leaves out stays in force")
    func renewal() {
        var trace = Trace { $0.maxInterval = .seconds(10_000) }
        _ = trace.poll(.body("[1]", etag: "\"x\"", fields: ["cache-control": "max-age=100"]))
        #expect(trace.machine.nextPoll - trace.now == .seconds(100))
        _ = trace.poll(.notModified())
        #expect(trace.machine.nextPoll - trace.now == .seconds(100))
        _ = trace.poll(.notModified(fields: ["cache-control": "max-age=200"]))
        #expect(trace.machine.nextPoll - trace.now == .seconds(200))
        _ = trace.poll(.notModified())
        #expect(trace.machine.nextPoll - trace.now == .seconds(200))
        _ = trace.poll(.notModified(etag: "\"other\"", fields: ["cache-control": "max-age=300"]))
        _ = trace.poll(.notModified())
        #expect(trace.machine.nextPoll - trace.now == .seconds(200), "F23: nothing is adopted from another tag's 304")
    }
}
