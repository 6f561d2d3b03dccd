import FreshetConfiguration
import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import freshet

@Suite("What `try` says of its source")
struct TryProgressTests {
    private func text(_ row: String) throws -> String {
        let document = try Document(parsing: Array(row.utf8))
        return TryProgress.text(document.root, at: WallTime(milliseconds: 1_800_000_000_000))
    }

    @Test("next poll, interval and why, validator, what was saved")
    func line() throws {
        let row = #"""
            {"interval":"5s","interval_reason":"as configured","next_poll_at":"2027-01-15T08:00:03.500Z",
            "validator":{"etag":"\"a\"","last_modified":null},"polls":12,"not_modified":9,"changes":2,"requests_saved":34}
            """#
        #expect(
            try self.text(row)
                == "next poll in 3s (every 5s: as configured) · ETag · 12 polls, 9 of them 304, 2 changes · 34 requests saved"
        )
    }

    @Test("a row that says little, and one that lies")
    func strange() throws {
        #expect(try self.text("{}") == "polling · no validator · 0 polls, 0 of them 304, 0 changes")
        #expect(try !self.text(#"{"interval_reason":"\u001b[2J\n"}"#).unicodeScalars.contains { $0.value < 0x20 })
    }

    @Test("five lines do the same, and are a valid configuration")
    func configuration() throws {
        var source = SourceConfiguration(name: "rates", url: "https://api.example.com/rates?a=\"b\":")
        source.interval = .fixed(.seconds(5))
        let text = TryProgress.configuration(of: [source])
        #expect(text.split(separator: "\n").count == 5)
        let folder = try TemporaryFolder()
        let loaded = try ConfigurationLoader.load(try folder.write(text, to: "freshet.yaml"), environment: { _ in nil })
        #expect(loaded.configuration.sources.map(\.url) == [source.url])
        #expect(loaded.configuration.sources.map(\.interval) == [source.interval])
    }
}
