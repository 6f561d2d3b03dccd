import Testing

@testable import FreshetCore

@Suite("Addresses that requests choose")
struct TargetAddressTests {
    private static func list() throws -> TargetList {
        TargetList(
            try ["https://api.example.com/v1/public/", "http://10.0.0.5:8080/feed", "https://open.example.org"].map {
                TargetList.Entry(try TargetAddress(Array($0.utf8)), isInside: $0.contains("10."))
            }
        )
    }

    private static func isAllowed(_ text: String) throws -> Bool {
        guard let address = try? TargetAddress(Array(text.utf8)) else { return false }
        return try self.list().entry(for: address) != nil
    }

    /// What must not be reached through `https://api.example.com/v1/public/`, `http://10.0.0.5:8080/feed` and
    /// `https://open.example.org`, however it is written.
    static let tricks = [
        // Another host, or what looks like ours.
        "https://evil.example/v1/public/", "https://api.example.com.evil.example/v1/public/",
        "https://evil.example/https://api.example.com/v1/public/", "https://xapi.example.com/v1/public/x",
        "https://api.example.co/v1/public/", "https://example.com/v1/public/", "https://apiexample.com/v1/public/x",
        "https://api.example.com@evil.example/v1/public/", "https://user:pass@api.example.com/v1/public/x",
        "https://api.example.com:pass@evil.example/v1/public/", "https://evil.example#@api.example.com/v1/public/",
        "https://evil.example\\@api.example.com/v1/public/", "https://api.example.com\\.evil.example/v1/public/",
        "https://evil.example?@api.example.com/v1/public/", "https://evil.example%2F@api.example.com/v1/public/",
        "https://api.example.com%2eevil.example/v1/public/", "https://api.example.com%00.evil.example/v1/public/",
        "https://api.example.com./v1/public/x", "https://.api.example.com/v1/public/x",
        "https://api..example.com/v1/public/x",
        "https://аpi.example.com/v1/public/x", "https://api.example.com\u{3002}evil.example/v1/public/",
        "https:///api.example.com/v1/public/x", "https:////api.example.com/v1/public/x",
        "https:api.example.com/v1/public/x",
        "https://", "https:///", "https://?x", "//api.example.com/v1/public/x", "api.example.com/v1/public/x",
        // Another scheme or port.
        "http://api.example.com/v1/public/x", "ftp://api.example.com/v1/public/x", "file:///v1/public/x",
        "gopher://api.example.com/v1/public/x", "httpss://api.example.com/v1/public/x",
        "https://api.example.com:444/v1/public/x", "https://api.example.com:80/v1/public/x",
        "https://api.example.com:/v1/public/x", "https://api.example.com:0443/v1/public/x",
        "https://api.example.com:443:443/v1/public/x", "https://api.example.com:65979/v1/public/x",
        "https://api.example.com:4294967739/v1/public/x", "https://api.example.com:+443/v1/public/x",
        // Another path, by a prefix of text.
        "https://api.example.com/", "https://api.example.com", "https://api.example.com?/v1/public/",
        "https://api.example.com/v1", "https://api.example.com/v1/publicity",
        "https://api.example.com/v1/public-private/x",
        "https://api.example.com/v1/Public/x", "https://api.example.com//v1/public/x",
        "https://api.example.com/v1//public/x",
        "https://api.example.com/v2/public/x", "https://api.example.com/x/v1/public/x",
        "https://api.example.com/v1/publi%63x",
        // Another path, by segments that somebody takes away.
        "https://api.example.com/v1/public/../private", "https://api.example.com/v1/public/..",
        "https://api.example.com/v1/public/./x",
        "https://api.example.com/v1/public/%2e%2e/private", "https://api.example.com/v1/public/.%2e/private",
        "https://api.example.com/v1/public/%2E./private", "https://api.example.com/v1/public/%252e%252e/private",
        "https://api.example.com/v1/public/%25252e%25252e/private", "https://api.example.com/v1/public/..%2fprivate",
        "https://api.example.com/v1/public/x%2f..%2f..%2fprivate", "https://api.example.com/v1/public/..%5cprivate",
        "https://api.example.com/v1/public/..\\private", "https://api.example.com/v1/public/..;/private",
        "https://api.example.com/v1/public/..;a=b/private", "https://api.example.com/v1/public/%2e%2e;/private",
        "https://api.example.com/v1/public/..%3b/private", "https://api.example.com/v1/public/..%253b/private",
        "https://api.example.com/v1/public/%252fprivate", "https://api.example.com/v1%2fpublic/x",
        "https://api.example.com/v1/public%2f..%2fprivate", "https://api.example.com/v1/public/.%00./private",
        "https://api.example.com/v1/public/%00", "https://api.example.com/v1/public/%0d%0aHost:%20evil.example",
        "https://api.example.com/v1/public/%", "https://api.example.com/v1/public/%2",
        "https://api.example.com/v1/public/%zz",
        "https://api.example.com/v1/public/%u002e%u002e/private", "https://api.example.com/v1/public/a b",
        "https://api.example.com/v1/public/\u{7F}", "https://api.example.com/v1/public/ü",
        "https://api.example.com/v1/public/x#y",
        // Other spellings of addresses, listed and unlisted.
        "http://10.0.0.5/feed", "http://10.0.0.6:8080/feed", "http://167772165:8080/feed",
        "http://0x0a000005:8080/feed",
        "http://012.0.0.5:8080/feed", "http://10.5:8080/feed", "http://10.0.0.5.:8080/feed",
        "http://[::ffff:10.0.0.5]:8080/feed",
        "http://127.0.0.1:8080/feed", "http://localhost:8080/feed", "http://[::1]:8080/feed", "http://[::1/feed",
        "http://[api.example.com]/feed", "http://169.254.169.254/latest/meta-data/", "http://10.0.0.5:8080/feeds",
        "https://10.0.0.5:8080/feed",
    ]

    @Test("tricks lead nowhere: there are a hundred of them")
    func tricks() throws {
        #expect(Self.tricks.count >= 100)
        for trick in Self.tricks {
            #expect(try !Self.isAllowed(trick), "\(trick)")
        }
    }

    @Test(
        "what is allowed is asked for as it was written",
        arguments: [
            ("https://api.example.com/v1/public/", nil), ("https://api.example.com/v1/public", nil),
            ("https://api.example.com/v1/public/a/b.json?x=1&y=%20", nil),
            ("https://API.example.com:443/v1/public/x", "https://api.example.com/v1/public/x"),
            ("HTTPS://api.example.com/v1/public/x", "https://api.example.com/v1/public/x"),
            ("https://api.example.com/v1/%70ublic/x", nil), ("https://api.example.com/v1/public/...", nil),
            ("https://api.example.com/v1/public/.x/x..y", nil), ("https://api.example.com/v1/public//x", nil),
            ("https://api.example.com/v1/public/a;b=c/d", nil), ("https://api.example.com/v1/public/100%25", nil),
            ("https://api.example.com/v1/public/x?y=../../z&at=@", nil), ("https://api.example.com/v1/public/x?", nil),
            ("http://10.0.0.5:8080/feed/x", nil), ("https://open.example.org", "https://open.example.org/"),
            ("https://open.example.org?x=1", "https://open.example.org/?x=1"), ("https://open.example.org/a/b", nil),
        ] as [(String, String?)]
    )
    func allowed(text: String, expected: String?) throws {
        let address = try TargetAddress(Array(text.utf8))
        #expect(try Self.list().entry(for: address) != nil)
        #expect(address.text == expected ?? text)
        // Read once more it is the same place.
        #expect(try TargetAddress(Array(address.text.utf8)).text == address.text)
    }

    @Test("a long URL, and one that is encoded over and over, are refused in time")
    func bounds() {
        let long = "https://open.example.org/" + String(repeating: "a", count: TargetAddress.maxBytes)
        #expect(throws: TargetAddress.Malformed.self) { try TargetAddress(Array(long.utf8)) }
        let deep = "https://open.example.org/%" + String(repeating: "25", count: 2000) + "2e"
        #expect(throws: TargetAddress.Malformed.self) { try TargetAddress(Array(deep.utf8)) }
    }
}
