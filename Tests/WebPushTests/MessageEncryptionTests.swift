import Base64
import Crypto
import Testing

@testable import WebPush

@Suite("Messages of Web Push")
struct MessageEncryptionTests {
    /// RFC 8291 §5 and its appendix A.
    private enum Example {
        static let content = "When I grow up, I want to be a watermelon"
        static let sender = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
        static let receiver = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
        static let p256dh =
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        static let auth = "BTBZMqHH6r4Tts7J_aSIgg"
        static let salt = "DGv6ra1nlYgDCS1FRnbzlw"
        static let body =
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
            + "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    }

    private static func bytes(_ text: String) throws -> [UInt8] { try #require(Base64URL.decode(text.utf8)) }

    @Test("the example of RFC 8291, byte for byte")
    func example() throws {
        let keys = try SubscriberKeys(p256dh: Example.p256dh, auth: Example.auth)
        let sender = try P256.KeyAgreement.PrivateKey(rawRepresentation: Self.bytes(Example.sender))
        let salt = try Self.bytes(Example.salt)
        let body = try MessageEncryption.encrypt(Array(Example.content.utf8), for: keys, from: sender, salt: salt)
        #expect(Base64URL.text(body) == Example.body)
        let receiver = try P256.KeyAgreement.PrivateKey(rawRepresentation: Self.bytes(Example.receiver))
        #expect(try Receiver(receiver, secret: keys.secret).decrypt(body) == Array(Example.content.utf8))
    }

    @Test("every message has its own key and salt, and is read by its receiver alone", arguments: [0, 1, 500, 3993])
    func roundTrip(count: Int) throws {
        let (receiver, other) = (Receiver(), Receiver())
        let keys = try SubscriberKeys(publicKey: receiver.publicKey, secret: receiver.secret)
        let content = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        let bodies = try (0..<3).map { _ in try MessageEncryption.encrypt(content, for: keys) }
        #expect(Set(bodies.map { Array($0[..<16]) }).count == 3)
        #expect(Set(bodies.map { Array($0[21..<86]) }).count == 3)
        for body in bodies {
            #expect(body.count == 86 + count + 17)
            #expect(try receiver.decrypt(body) == content)
            #expect(throws: (any Error).self) { try other.decrypt(body) }
        }
    }

    @Test("what no push service has to take is refused")
    func tooLong() throws {
        let receiver = Receiver()
        let keys = try SubscriberKeys(publicKey: receiver.publicKey, secret: receiver.secret)
        #expect(throws: WebPushError.contentTooLong) {
            try MessageEncryption.encrypt([UInt8](repeating: 0, count: 3994), for: keys)
        }
        #expect(MessageEncryption.maxContentBytes == 3993)
    }

    @Test(
        "keys that are none are refused",
        arguments: [
            ("", Example.auth, WebPushError.publicKey), ("AAAA", Example.auth, .publicKey),
            (String(Example.p256dh.dropLast()), Example.auth, .publicKey),
            // Not on the curve.
            ("B" + String(repeating: "A", count: 86), Example.auth, .publicKey),
            (Example.p256dh + "!", Example.auth, .publicKey),
            (Example.p256dh, "", .secret), (Example.p256dh, "BTBZMqHH6r4Tts7J_aSI", .secret),
            (Example.p256dh, "BTBZMqHH6r4Tts7J_aSIggAA", .secret), (Example.p256dh, "BTBZMqHH6r4Tts7J/aSIgg", .secret),
        ]
    )
    func badKeys(p256dh: String, auth: String, error: WebPushError) {
        #expect(throws: error) { try SubscriberKeys(p256dh: p256dh, auth: auth) }
    }

    @Test("padding is taken, and two names have two topics that say nothing")
    func topics() throws {
        let keys = try SubscriberKeys(p256dh: Example.p256dh + "=", auth: Example.auth + "==")
        #expect(keys == (try SubscriberKeys(p256dh: Example.p256dh, auth: Example.auth)))
        let topics = ["orders", "orders/1", "orders/2"].map { keys.topic(of: Array($0.utf8)) }
        #expect(Set(topics).count == 3)
        #expect(topics.allSatisfy { $0.utf8.count == 32 && Base64URL.decode($0.utf8) != nil })
        #expect(keys.topic(of: Array("orders".utf8)) == topics[0])
        let other = try SubscriberKeys(publicKey: keys.publicKey, secret: [UInt8](repeating: 1, count: 16))
        #expect(other.topic(of: Array("orders".utf8)) != topics[0])
    }
}

/// Reads messages, as a browser does.
struct Receiver {
    let key: P256.KeyAgreement.PrivateKey
    let secret: [UInt8]

    init(_ key: P256.KeyAgreement.PrivateKey = P256.KeyAgreement.PrivateKey(), secret: [UInt8]? = nil) {
        self.key = key
        self.secret = secret ?? (0..<16).map { _ in UInt8.random(in: .min ... .max) }
    }

    var publicKey: [UInt8] { Array(self.key.publicKey.x963Representation) }

    func decrypt(_ body: [UInt8]) throws -> [UInt8] {
        try #require(body.count >= 86 + 17 && Array(body[16..<21]) == [0, 0, 16, 0, 65])
        let salt = body[..<16]
        let sender = try P256.KeyAgreement.PublicKey(x963Representation: body[21..<86])
        let input = try self.key.sharedSecretFromKeyAgreement(with: sender).hkdfDerivedSymmetricKey(
            using: SHA256.self,
            salt: self.secret,
            sharedInfo: Array("WebPush: info\0".utf8) + self.publicKey + Array(body[21..<86]),
            outputByteCount: 32
        )
        func derived(_ name: String, _ count: Int) -> SymmetricKey {
            let info = Array("Content-Encoding: \(name)\0".utf8)
            return HKDF<SHA256>.deriveKey(inputKeyMaterial: input, salt: salt, info: info, outputByteCount: count)
        }
        let nonce = try AES.GCM.Nonce(data: derived("nonce", 12).withUnsafeBytes { Array($0) })
        let box = try AES.GCM.SealedBox(nonce: nonce, ciphertext: body[86...].dropLast(16), tag: body.suffix(16))
        let content = Array(try AES.GCM.open(box, using: derived("aes128gcm", 16)))
        let end = try #require(content.lastIndex { $0 != 0 })
        #expect(content[end] == 2)
        return Array(content[..<end])
    }
}
