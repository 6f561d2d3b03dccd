import Base64
import Crypto
import JSON
import Testing

@testable import WebPush

@Suite("The key of an application server")
struct ApplicationServerKeyTests {
    @Test("an authorization is a token that its own key verifies, with audience, end and subject")
    func authorization() throws {
        let key = ApplicationServerKey.random()
        let text = try key.authorization(
            audience: "https://push.example",
            subject: "mailto:ops@example.com",
            expiresAt: 1_800_000_000
        )
        let parts = text.split(separator: " ")
        #expect(parts.count == 3 && parts[0] == "vapid" && parts[1].hasPrefix("t=") && parts[1].hasSuffix(","))
        #expect(parts[2] == "k=\(key.publicText)")
        let token = parts[1].dropFirst(2).dropLast().split(separator: ".").map(String.init)
        try #require(token.count == 3)
        let header = try Document(parsing: try #require(Base64URL.decode(token[0].utf8))).root
        #expect(header["typ"]?.string == "JWT" && header["alg"]?.string == "ES256")
        let claims = try Document(parsing: try #require(Base64URL.decode(token[1].utf8))).root
        #expect(claims["aud"]?.string == "https://push.example" && claims["exp"]?.int == 1_800_000_000)
        #expect(claims["sub"]?.string == "mailto:ops@example.com")
        let point = try #require(Base64URL.decode(key.publicText.utf8))
        let signature = try P256.Signing.ECDSASignature(
            rawRepresentation: try #require(Base64URL.decode(token[2].utf8))
        )
        let signed = Array("\(token[0]).\(token[1])".utf8)
        #expect(try P256.Signing.PublicKey(x963Representation: point).isValidSignature(signature, for: signed))
    }

    @Test("a key is read again from its own text, and from what openssl writes")
    func pem() throws {
        let key = ApplicationServerKey.random()
        #expect(try ApplicationServerKey(pem: Array(key.pem.utf8)).publicText == key.publicText)
        // openssl ecparam -name prime256v1 -genkey
        let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        #expect(try ApplicationServerKey(pem: Array((parameters + key.pem).utf8)).publicText == key.publicText)
        #expect("\(key)" == "(redacted)")
    }

    @Test(
        "what is no private key of P-256 is refused",
        arguments: [
            "", "secret", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nAAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            String(repeating: "x", count: 20_000),
        ]
    )
    func refused(text: String) {
        #expect(throws: WebPushError.serverKey) { try ApplicationServerKey(pem: Array(text.utf8)) }
    }
}
