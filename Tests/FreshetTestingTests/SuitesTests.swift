import FreshetTesting
import Testing

@Suite("Suites", .enabled(if: Suites.available, "the shared suites are absent"))
struct SuitesTests {
    @Test("there are recorded upstreams")
    func names() {
        #expect(Suites.histories.contains("exchange-rates"))
        #expect(Suites.histories.count >= 8)
    }

    @Test("a recording has its versions, its bytes and its shape", arguments: Suites.histories)
    func history(name: String) throws {
        let history = try Suites.history(name)
        #expect(history.name == name)
        #expect(history.versions.count >= 12)
        #expect(history.versions.allSatisfy { !$0.bytes.isEmpty })
        #expect(zip(history.versions, history.versions.dropFirst()).allSatisfy { $0.committedUnix <= $1.committedUnix })
        #expect(zip(history.bodies, history.bodies.dropFirst()).allSatisfy { $0 != $1 }, "each differs from the last")
        #expect((history.baseline == nil) == (history.fileExtension != "json"))
        if let baseline = history.baseline { #expect(baseline.steps == history.versions.count - 1) }
        for version in history.versions {
            if let same = version.sameBytesAs { #expect(history.versions[same].bytes == version.bytes) }
        }
    }

    @Test("a recording that says where its items are")
    func shape() throws {
        #expect(try Suites.history("usgs-quakes").recordPath == "/features")
        #expect(try Suites.history("usgs-quakes").key == "id")
        #expect(try Suites.history("hn-by-domain").recordPath?.isEmpty == true)
        #expect(try Suites.history("dockerhub-repo").recordPath == nil)
    }

    @Test("what is not there is an error that names it")
    func missing() {
        #expect(throws: TestingError.self) { try Suites.history("no-such-upstream") }
        #expect(throws: TestingError.self) { try Suites.bytes("no/such/file") }
    }
}
