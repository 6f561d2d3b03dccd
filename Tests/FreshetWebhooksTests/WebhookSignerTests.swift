import Crypto
import Foundation
import FreshetCore
import FreshetWebhooks
import Testing

@Suite("Webhooks: signatures")
struct WebhookSignerTests {
    private static let secret = Array(Data(base64Encoded: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") ?? Data())

    @Test("as the reference implementation of Standard Webhooks signs")
    func vector() {
        let signer = WebhookSigner([.shared(Self.secret)])
        let signature = signer.signature(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp: 1_614_265_330,
            body: Array(#"{"test": 2432232314}"#.utf8)
        )
        #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test("one signature for each secret, in their order; an Ed25519 key signs as v1a")
    func several() throws {
        let key = Curve25519.Signing.PrivateKey()
        let signer = WebhookSigner([.ed25519(Array(key.rawRepresentation)), .shared(Self.secret), .shared([1, 2, 3])])
        let parts = signer.signature(id: "a", timestamp: 7, body: Array("{}".utf8)).split(separator: " ")
        #expect(parts.map { $0.prefix { $0 != "," } } == ["v1a", "v1", "v1"] && parts[1] != parts[2])
        let signature = try #require(Data(base64Encoded: String(parts[0].dropFirst(4))))
        #expect(key.publicKey.isValidSignature(signature, for: Data("a.7.{}".utf8)))
        #expect(WebhookSigner([.ed25519([1])]).signature(id: "a", timestamp: 7, body: []).isEmpty)
    }
}
