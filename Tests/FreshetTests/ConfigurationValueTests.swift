// The grammars of single values: durations, sizes, addresses, URLs, variables, names, spelling.

import FreshetCore
import FreshetHTTP
import System
import Testing

@testable import FreshetConfiguration
@testable import freshet

@Suite("Durations")
struct DurationTextTests {
    @Test(
        "read and written",
        arguments: [
            ("500ms", Duration.milliseconds(500), "500ms"), ("5s", .seconds(5), "5s"), ("1m30s", .seconds(90), "1m30s"),
            ("1h", .seconds(3600), "1h"), ("90s", .seconds(90), "1m30s"), ("0s", .zero, "0s"),
            ("1h2m3s4ms", .milliseconds(3_723_004), "1h2m3s4ms"), ("87600h", DurationText.longest, "87600h"),
        ]
    )
    func good(text: String, duration: Duration, written: String) throws {
        #expect(try DurationText.parse(text) == duration)
        #expect(DurationText.describe(duration) == written)
        #expect(try DurationText.parse(written) == duration)
    }

    @Test(
        "refused, with the fix",
        arguments: [
            ("10", "write 10s for seconds, or 10ms"), ("7d", "write 168h; the units are ms, s, m and h"),
            ("1.5s", "use a smaller unit: 1.5s is 1500ms"), ("30sec", "write 30s; the units are ms, s, m and h"),
            ("1s1m", "write the largest first, each once: 1h30m, 1m30s"),
            ("1m1m", "write the largest first, each once: 1h30m, 1m30s"),
            ("", "write one such as 500ms, 5s, 1m30s or 1h"), ("-5s", "write one such as 500ms, 5s, 1m30s or 1h"),
            ("s", "write one such as 500ms, 5s, 1m30s or 1h"), ("5 s", "write one such as 500ms, 5s, 1m30s or 1h"),
            ("٥s", "write one such as 500ms, 5s, 1m30s or 1h"), ("5S", "write one such as 500ms, 5s, 1m30s or 1h"),
            ("87601h", "write at most 87600h, ten years"), ("9223372036854775807h", "write at most 87600h, ten years"),
            ("99999999999999999999s", "write one such as 500ms, 5s, 1m30s or 1h"),
        ]
    )
    func bad(text: String, fix: String) {
        #expect { try DurationText.parse(text) } throws: { ($0 as? QuantityError)?.fix == fix }
    }
}

@Suite("Sizes")
struct SizeTextTests {
    @Test(
        "read and written",
        arguments: [
            ("512B", 512, "512B"), ("64KiB", 65_536, "64KiB"), ("8MiB", 8 << 20, "8MiB"), ("1GiB", 1 << 30, "1GiB"),
            ("1024KiB", 1 << 20, "1MiB"), ("0B", 0, "0B"),
        ]
    )
    func good(text: String, bytes: Int, written: String) throws {
        #expect(try SizeText.parse(text) == bytes)
        #expect(SizeText.describe(bytes) == written)
    }

    @Test(
        "refused, with the fix",
        arguments: [
            ("65536", "write 64KiB"), ("1000", "write 1000B"), ("8MB", "write 8MiB; the units are B, KiB, MiB and GiB"),
            ("8M", "write 8MiB; the units are B, KiB, MiB and GiB"),
            ("8kb", "write 8KiB; the units are B, KiB, MiB and GiB"),
            ("8Mib", "write 8MiB; the units are B, KiB, MiB and GiB"), ("", "write one such as 64KiB or 8MiB"),
            ("-1B", "write one such as 64KiB or 8MiB"), ("1025GiB", "write at most 1024GiB"),
            ("9223372036854775807GiB", "write at most 1024GiB"),
        ]
    )
    func bad(text: String, fix: String) {
        #expect { try SizeText.parse(text) } throws: { ($0 as? QuantityError)?.fix == fix }
    }
}

@Suite("Addresses to listen on")
struct ListenAddressTests {
    @Test(
        "read and written",
        arguments: [
            ("127.0.0.1:8080", ListenAddress.tcp(host: "127.0.0.1", port: 8080), "127.0.0.1:8080"),
            ("[::1]:0", .tcp(host: "::1", port: 0), "[::1]:0"),
            (":80", .tcp(host: "0.0.0.0", port: 80), "0.0.0.0:80"),
            ("localhost:65535", .tcp(host: "localhost", port: 65_535), "localhost:65535"),
            ("unix:/run/f.sock", .unix(path: "/run/f.sock"), "unix:/run/f.sock"),
        ]
    )
    func good(text: String, address: ListenAddress, written: String) throws {
        #expect(try ListenAddressText.parse(text) == address)
        #expect(address.description == written)
    }

    @Test(
        "refused",
        arguments: [
            "", "8080", "localhost", "localhost:", "localhost:65536", "localhost:-1", "::1:80", "a b:80", "http://x:80",
            "unix:", "x:8080/",
        ]
    )
    func bad(text: String) {
        #expect(throws: ListenAddressText.Failure.self) { try ListenAddressText.parse(text) }
    }
}

@Suite("Variables")
struct ExpansionTests {
    private func expand(_ text: String) -> String? {
        let environment = ["A": "one", "EMPTY": "", "NESTED": "${A}"]
        return try? Expansion.expand(text, environment: { environment[$0] }).text
    }

    @Test(
        "expanded once, and only in the two forms",
        arguments: [
            ("plain", "plain"), ("${A}", "one"), ("x-${A}-${A}", "x-one-one"), ("${UNSET:-two}", "two"),
            ("${EMPTY:-two}", "two"),
            ("${A:-two}", "one"), ("${EMPTY}", ""), ("${UNSET:-}", ""), ("$A", "$A"), ("$", "$"), ("$$", "$$"),
            ("$${A}", "${A}"),
            ("${NESTED}", "${A}"), ("${UNSET:-a:-b}", "a:-b"), ("100%$", "100%$"),
        ]
    )
    func good(text: String, expected: String) {
        #expect(self.expand(text) == expected)
    }

    @Test(
        "refused",
        arguments: [
            "${UNSET}", "${A", "${}", "${1A}", "${A-b}", "${A:?b}", "${A B}", "${ÄB}", "${UNSET:-${A}}", "${:-x}",
        ]
    )
    func bad(text: String) {
        #expect(self.expand(text) == nil)
    }

    @Test("a value that grows beyond 64KiB is refused")
    func bounded() {
        let long = String(repeating: "x", count: 40_000)
        #expect(throws: Expansion.Failure.self) { try Expansion.expand("${A}${A}", environment: { _ in long }) }
    }
}

@Suite("URLs")
struct URLTextTests {
    @Test(
        "S17 only absolute http and https URLs without credentials",
        arguments: [
            "", "rates", "/rates", "//host/x", "file:///etc/passwd", "gopher://h/", "dict://h/", "http:/x", "http://",
            "https:///x",
            "http://u@h/", "http://u:p@h/", "http://h:0/", "http://h:65536/", "http://h:x/", "http://h:/",
            "http://h/#f", "http://h/a b",
            "http://h/\n", "http://[::1/", "http://[g]/", "http://h\\x/", "http://ex_ämple/", "http://h/{a}",
            "http://a,b/", "javascript:alert(1)",
        ]
    )
    func bad(text: String) {
        #expect(throws: URLText.Failure.self) { try URLText(text) }
    }

    @Test(
        "accepted, and told local from public",
        arguments: [
            ("http://127.0.0.1:80/", true), ("HTTPS://Example.COM/x?y=1", false), ("http://[::1]:8080", true),
            ("http://[2001:db8::1]/", false),
            ("http://[fd00::1]/", true), ("http://10.1.2.3/", true), ("http://172.16.0.1/", true),
            ("http://172.32.0.1/", false),
            ("http://192.168.0.1/", true), ("http://8.8.8.8/", false), ("http://localhost", true),
            ("http://stations:80/", true),
            ("http://api.local/", true), ("http://fcexample.com/", false), ("http://127.0.0.1.example.com/", false),
        ]
    )
    func good(text: String, isLocal: Bool) throws {
        #expect(try URLText(text).isLocal == isLocal)
    }
}

@Suite("Names of bare URLs")
struct SourceNamingTests {
    @Test(
        "the last part of the path that means something",
        arguments: [
            ("https://api.example.com/rates", "rates"), ("https://api.example.com/v1/Rates.json?x=1", "rates"),
            ("https://api.example.com/cities/42", "cities"), ("https://api.example.com/stations/latest", "stations"),
            ("https://api.example.com/", "api.example.com"), ("https://api.example.com", "api.example.com"),
            ("https://example.com/api/v2", "v2"), ("http://h/Bike%20Stations/", "bike-stations"),
            ("http://h/--/__/", "h"),
            ("http://[::1]/", "1"), ("http://h/.json", "json"), ("http://h/%2e%2e", "h"),
        ]
    )
    func named(url: String, name: String) throws {
        let result = SourceNaming.name(for: try URLText(url), taken: [])
        #expect(result == name)
        #expect(SourceName.isValid(result))
    }

    @Test("made unique")
    func unique() throws {
        let url = try URLText("http://h/rates")
        #expect(SourceNaming.name(for: url, taken: ["rates"]) == "rates-2")
        #expect(SourceNaming.name(for: url, taken: ["rates", "rates-2"]) == "rates-3")
    }

    @Test("any URL gives a valid name")
    func alwaysValid() throws {
        var generator = SplitMix64(seed: 2)
        let alphabet = Array("aZ09-._~%2f/:@!$&'()*+,;=")
        for _ in 0..<2000 {
            let length = Int.random(in: 0...200, using: &generator)
            let path = String((0..<length).map { _ in alphabet.randomElement(using: &generator) ?? "/" })
            let name = SourceNaming.name(for: try URLText("http://host/" + path), taken: [])
            #expect(SourceName.isValid(name), "\(path) became \(name)")
        }
    }
}

@Suite("Spelling")
struct SpellingTests {
    private let words = ["interval", "url", "timeout", "min_interval", "headers"]

    @Test(
        "the nearest word, if it is near",
        arguments: [
            ("intervall", "interval"), ("intreval", "interval"), ("Interval", "interval"), ("URL", "url"),
            ("ulr", "url"), ("minInterval", "min_interval"),
            ("min-interval", "min_interval"), ("header", "headers"), ("colour", nil), ("x", nil), ("", nil),
        ]
    )
    func nearest(word: String, expected: String?) {
        #expect(Spelling.nearest(to: word, among: self.words) == expected)
    }

    @Test(
        "the distance counts edits",
        arguments: [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3), ("abc", "abc", 0)]
    )
    func distance(left: String, right: String, edits: Int) {
        #expect(Spelling.distance(from: Array(left.utf8), to: Array(right.utf8)) == edits)
    }
}

@Suite("Escaping for a terminal")
struct EscapingTests {
    @Test(
        "S22 nothing moves the cursor or forges a line",
        arguments: [
            ("plain é 漢", "plain é 漢"), ("\u{1B}]0;pwn\u{07}", "\\u{1b}]0;pwn\\u{7}"), ("a\r\nb", "a\\u{d}\\u{a}b"),
            ("\u{9B}31m", "\\u{9b}31m"),
            ("\u{202E}abc", "\\u{202e}abc"), ("\u{7F}", "\\u{7f}"),
        ]
    )
    func escaped(text: String, expected: String) {
        #expect(text.escapingControls() == expected)
    }
}
