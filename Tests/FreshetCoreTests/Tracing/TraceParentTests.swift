import FreshetCore
import Testing

@Suite("The field traceparent (W3C Trace Context)")
struct TraceParentTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let span = "b7ad6b7169203331"

    @Test("a field of the standard's own examples is read, and written as it came", arguments: ["00", "01"])
    func example(flags: String) throws {
        let text = "00-\(Self.trace)-\(Self.span)-\(flags)"
        let parent = try #require(TraceParent(text))
        #expect(parent.description == text && parent.isSampled == (flags == "01"))
        #expect(parent.traceText == Self.trace && parent.spanText == Self.span)
    }

    @Test("of other flags and of later versions counts what this version knows")
    func later() throws {
        #expect(TraceParent("00-\(Self.trace)-\(Self.span)-ff")?.isSampled == true)
        #expect(TraceParent("00-\(Self.trace)-\(Self.span)-fe")?.isSampled == false)
        for text in ["cc-\(Self.trace)-\(Self.span)-01", "cc-\(Self.trace)-\(Self.span)-01-what-comes"] {
            #expect(TraceParent(text)?.description == "00-\(Self.trace)-\(Self.span)-01")
        }
    }

    @Test(
        "anything else is none",
        arguments: [
            "", "00", "00-\(trace)-\(span)", "00-\(trace)-\(span)-0", "00-\(trace)-\(span)-01-",
            "00-\(trace)-\(span)-01x",
            "ff-\(trace)-\(span)-01", "cc-\(trace)-\(span)-01.what", "00-\(trace.uppercased())-\(span)-01",
            "00-00000000000000000000000000000000-\(span)-01", "00-\(trace)-0000000000000000-01",
            "00_\(trace)-\(span)-01", "00-\(trace)-\(span)-0g", "0x-\(trace)-\(span)-01", "00-\(trace)é\(span)-01",
        ]
    )
    func foreign(text: String) {
        #expect(TraceParent(text) == nil)
    }

    @Test("leading zeros are written")
    func zeros() {
        let parent = TraceParent(traceHigh: 0, traceLow: 1, span: 2, isSampled: true)
        #expect(parent?.description == "00-00000000000000000000000000000001-0000000000000002-01")
    }
}
