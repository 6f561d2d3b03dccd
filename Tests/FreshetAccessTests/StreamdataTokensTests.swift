import Crypto
import Foundation
import FreshetAccess
import FreshetCore
import Testing

@Suite("Tokens of the Streamdata.io SDK")
struct StreamdataTokensTests {
    private static let beacon = "0123456789abcdef0123456789abcdef0123"
    private static let secret = "zyxwvutsrqponmlkzyxwvutsrqponmlkzyxw"
    private static let key = Data((beacon + secret).utf8).base64EncodedString()
    private static let now = WallTime(milliseconds: 1_700_000_000_000)
    private static let url = "http://up.example/stocks?x=1"

    /// The URL as the SDK signs it.
    private static func signed(
        _ url: String,
        stamp: Int64 = now.milliseconds,
        secret: String = secret,
        beacon: String = beacon
    ) -> String {
        let message = Data("GET\n\(stamp)\n\(url)\n".utf8)
        let code = HMAC<SHA512>.authenticationCode(for: message, using: SymmetricKey(data: Data(secret.utf8)))
        let text = Data((beacon + Data(code).base64EncodedString()).utf8).base64EncodedString()
        let encoded = text.replacing("+", with: "%2B").replacing("/", with: "%2F").replacing("=", with: "%3D")
        return "\(url)\(url.contains("?") ? "&" : "?")X-Auth-Sd-Ts=\(stamp)&X-Auth-Sd-S=\(encoded)"
    }

    private static func isTaken(_ url: String, by tokens: StreamdataTokens) -> Bool {
        guard let request = try? StreamdataRequest(url: Array(url.utf8)) else { return false }
        return (try? tokens.caller(of: request, now: self.now)) != nil
    }

    @Test("a line is a token and, after a blank, its signing key")
    func lines() throws {
        let tokens = try StreamdataTokens(Array("# ours\n\nplain-token-0001\r\nsigned-token-001 \(Self.key)\n".utf8))
        #expect(Self.isTaken("\(Self.url)&X-Sd-Token=plain-token-0001", by: tokens))
        #expect(!Self.isTaken("\(Self.url)&X-Sd-Token=plain-token-0002", by: tokens))
        #expect(!Self.isTaken("\(Self.url)&X-Sd-Token=signed-token-001", by: tokens))
        #expect(Self.isTaken("\(Self.signed(Self.url))&X-Sd-Token=signed-token-001", by: tokens))
        // Of a token without a key a signature says nothing.
        #expect(Self.isTaken("\(Self.signed(Self.url, secret: "x"))&X-Sd-Token=plain-token-0001", by: tokens))
        #expect(tokens.guessableLine == nil && !tokens.isEmpty)
        #expect(try StreamdataTokens(Array("short\n".utf8)).guessableLine == 1)
        #expect(try StreamdataTokens(Array("# none\n".utf8)).isEmpty)
    }

    @Test(
        "lines that are none are told by their number, without what they hold",
        arguments: [
            "a-token-of-ours-1 notbase64!", "a-token-of-ours-1 dG9vIHNob3J0", "a-token-of-ours-1 a b",
            "first-token-here",
        ]
    )
    func malformed(line: String) {
        let content = Array("first-token-here\n\(line)\n".utf8)
        do throws(StreamdataTokens.Problem) {
            _ = try StreamdataTokens(content)
            Issue.record("taken")
        } catch {
            #expect(error.line == 2 && !error.what.contains("token-of-ours") && !error.what.contains("first"))
        }
        #expect(throws: StreamdataTokens.Problem(line: 1, what: "the line is not UTF-8")) {
            try StreamdataTokens([0xFF, 0x0A])
        }
    }

    @Test("only the signature of this URL, this stamp and this key is taken")
    func signatures() throws {
        let tokens = try StreamdataTokens(Array("signed-token-001 \(Self.key)".utf8))
        func isTaken(_ url: String) -> Bool { Self.isTaken("\(url)&X-Sd-Token=signed-token-001", by: tokens) }
        let good = Self.signed(Self.url)
        #expect(isTaken(good))
        #expect(isTaken(Self.signed("http://up.example/stocks")))
        #expect(!isTaken(good.replacing("x=1", with: "x=2")))
        #expect(!isTaken(good.replacing("http:", with: "https:")))
        #expect(!isTaken(good.replacing("Ts=17", with: "Ts=18")))
        #expect(!isTaken(Self.signed(Self.url, secret: String(Self.secret.reversed()))))
        #expect(!isTaken(Self.signed(Self.url, beacon: String(Self.beacon.reversed()))))
        #expect(!isTaken("\(Self.url)&X-Auth-Sd-Ts=\(Self.now.milliseconds)"))
        // What comes before the stamp is signed; the fields that come after are the application's.
        #expect(!isTaken("\(Self.url)&X-Sd-Header=A%3A1\(good.dropFirst(Self.url.count))"))
        #expect(isTaken("\(good)&X-Sd-Header=A%3A1"))
    }

    @Test("what is asked for is sealed for those who have the token, for its name alone, and shows nothing of it")
    func sealing() throws {
        let tokens = try StreamdataTokens(Array("plain-token-0001\nother-token-0002\n".utf8))
        let url =
            "/http://up.example/a?key=secret-in-url&X-Sd-Header=Authorization%3ABearer%20secret-in-field&X-Sd-Header=X-Empty%3A"
        func target(_ token: String) throws -> StreamdataTarget {
            let request = try StreamdataRequest(url: Array("\(url)&X-Sd-Token=\(token)".utf8.dropFirst()))
            let entry = try #require(Self.allow("http://up.example/").entry(for: request.target))
            let caller = try tokens.caller(of: request, now: Self.now)
            return try #require(
                StreamdataTarget(request, entry: entry, token: caller, hash: StreamdataTokens.fingerprint)
            )
        }
        let (one, other) = (try target("plain-token-0001"), try target("other-token-0002"))
        let sealed = try #require(tokens.seal(one))
        #expect(sealed != tokens.seal(one), "each has a key of its own")
        #expect(tokens.open(sealed, of: one.name, allow: Self.allow("http://up.example/")) == one)
        #expect(one.fields.map(\.value) == ["Bearer secret-in-field", ""])
        #expect(!String(decoding: sealed, as: UTF8.self).contains("secret"))
        // What is kept of it with each change.
        let source = one.source(from: SourceConfiguration(name: "x"))
        #expect(source.url.contains("secret-in-url") && !source.identity.contains("secret"))
        #expect(source.identity != other.source(from: SourceConfiguration(name: "x")).identity)

        #expect(tokens.open(sealed, of: one.name, allow: Self.allow("http://elsewhere.example/")) == nil)
        #expect(tokens.open(sealed, of: other.name, allow: Self.allow("http://up.example/")) == nil)
        let without = try StreamdataTokens(Array("other-token-0002\n".utf8))
        #expect(without.open(sealed, of: one.name, allow: Self.allow("http://up.example/")) == nil)
        #expect(without.seal(one) == nil)
        for index in sealed.indices {
            var bytes = sealed
            bytes[index] ^= 1
            #expect(tokens.open(bytes, of: one.name, allow: Self.allow("http://up.example/")) == nil)
            let cut = Array(sealed.prefix(index))
            #expect(tokens.open(cut, of: one.name, allow: Self.allow("http://up.example/")) == nil)
        }
    }

    private static func allow(_ url: String) -> TargetList {
        TargetList((try? TargetAddress(Array(url.utf8))).map { [TargetList.Entry($0, isInside: false)] } ?? [])
    }

    @Test(
        "a signed URL is good for a day",
        arguments: [(0, true), (-86_400, true), (-86_401, false), (300, true), (301, false)] as [(Int64, Bool)]
    )
    func stamps(seconds: Int64, isGood: Bool) throws {
        let tokens = try StreamdataTokens(Array("signed-token-001 \(Self.key)".utf8))
        let url = Self.signed(Self.url, stamp: Self.now.milliseconds + seconds * 1000)
        #expect(Self.isTaken("\(url)&X-Sd-Token=signed-token-001", by: tokens) == isGood)
    }
}
