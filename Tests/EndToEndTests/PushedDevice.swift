import Crypto
import Foundation
import FreshetTesting
import JSON
import Testing

/// A browser that has subscribed at a push service: its keys, and what it makes of messages.
struct PushedDevice: Sendable {
    let key = P256.KeyAgreement.PrivateKey()
    let secret: [UInt8] = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
    /// The path of its endpoint.
    let path: String

    init(_ path: String) {
        self.path = path
    }

    /// As `PushSubscription.toJSON()` has it.
    func subscription(at url: String) -> String {
        let keys = [Array(self.key.publicKey.x963Representation), self.secret].map(Self.base64)
        return #"{"endpoint":"\#(url)","expirationTime":null,"keys":{"p256dh":"\#(keys[0])","auth":"\#(keys[1])"}}"#
    }

    /// The content of a message (RFC 8291), from the receiver's side.
    func decrypt(_ body: [UInt8]) throws -> Value {
        try #require(body.count >= 103 && body.count <= 4096 && Array(body[16..<21]) == [0, 0, 16, 0, 65])
        let (salt, senderKey) = (body[..<16], body[21..<86])
        let sender = try P256.KeyAgreement.PublicKey(x963Representation: senderKey)
        let own = Array(self.key.publicKey.x963Representation)
        let input = try self.key.sharedSecretFromKeyAgreement(with: sender).hkdfDerivedSymmetricKey(
            using: SHA256.self,
            salt: self.secret,
            sharedInfo: Array("WebPush: info\0".utf8) + own + Array(senderKey),
            outputByteCount: 32
        )
        func derived(_ name: String, _ count: Int) -> SymmetricKey {
            let info = Array("Content-Encoding: \(name)\0".utf8)
            return HKDF<SHA256>.deriveKey(inputKeyMaterial: input, salt: salt, info: info, outputByteCount: count)
        }
        let nonce = try AES.GCM.Nonce(data: derived("nonce", 12).withUnsafeBytes { Array($0) })
        let box = try AES.GCM.SealedBox(nonce: nonce, ciphertext: body[86...].dropLast(16), tag: body.suffix(16))
        let content = Array(try AES.GCM.open(box, using: derived("aes128gcm", 16)))
        #expect(content.last == 2)
        return try Document(parsing: Array(content.dropLast())).root
    }

    /// The claims of a signature that is good, and the key that made it (RFC 8292).
    static func claims(_ authorization: String?) throws -> (claims: Value, key: String) {
        let parts = try #require(authorization).split(separator: " ")
        try #require(parts.count == 3 && parts[0] == "vapid" && parts[1].hasPrefix("t=") && parts[2].hasPrefix("k="))
        let token = parts[1].dropFirst(2).dropLast().split(separator: ".").map(String.init)
        try #require(token.count == 3)
        let key = String(parts[2].dropFirst(2))
        let point = try P256.Signing.PublicKey(x963Representation: try self.bytes(key))
        let signature = try P256.Signing.ECDSASignature(rawRepresentation: try self.bytes(token[2]))
        #expect(point.isValidSignature(signature, for: Data("\(token[0]).\(token[1])".utf8)))
        #expect(try Document(parsing: try self.bytes(token[0])).root["alg"]?.string == "ES256")
        return (try Document(parsing: try self.bytes(token[1])).root, key)
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private static func bytes(_ text: String) throws -> [UInt8] {
        let plain = text.replacing("-", with: "+").replacing("_", with: "/")
        let padding = String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4)
        return Array(try #require(Data(base64Encoded: plain + padding)))
    }
}

/// A gateway that pushes, a push service, and who publishes.
final class PushScene: Sendable {
    static let feeder = "feeder-Qm4Zr8L2vXc7Yb1NwK5sDhUeGa3fJ9tq"
    static let mobile = "mobile-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"

    let folder: TemporaryFolder
    let service: ScriptedUpstream
    private struct Received: Sendable {
        var requests: [String: [UpstreamRequest]] = [:]
        var answers: [String: @Sendable (Int) -> [UpstreamStep]] = [:]
    }

    private let received = Watched(Received())
    private let feederFile: String
    private let mobileFile: String

    init() throws {
        self.folder = try TemporaryFolder()
        self.service = try ScriptedUpstream()
        self.service.on("*") { [received] request in
            let (count, steps) = received.update { received in
                received.requests[request.path, default: []].append(request)
                return (received.requests[request.path]?.count ?? 0, received.answers[request.path])
            }
            return steps?(count) ?? [.respond(.status(201))]
        }
        self.feederFile = try self.folder.write(Self.feeder, to: "feeder")
        self.mobileFile = try self.folder.write(Self.mobile, to: "mobile")
    }

    /// `mobile`: what that key may read; `nil` for no such key. `push`: further keys of the section. `also`: another service.
    func configuration(
        mobile: String? = #"["*"]"#,
        push: String = "",
        top: String = "heartbeat: 1s",
        also: ScriptedUpstream? = nil
    ) -> String {
        let allowed = ([self.service] + (also.map { [$0] } ?? [])).map { "\"http://127.0.0.1:\($0.port)/\"" }
        let key = mobile.map { #"    - { id: mobile, secret_file: "\#(self.mobileFile)", read: \#($0) }"# } ?? ""
        return """
            \(top)
            auth:
              deny_file: "\(self.folder.path("denied"))"
              keys:
                - { id: feeder, secret_file: "\(self.feederFile)", read: ["*"], publish: ["*"], admin: true }
            \(key)
            push:
              subject: mailto:ops@example.com
              key_file: "\(self.folder.path("vapid.pem"))"
              allow: [\(allowed.joined(separator: ", "))]
              \(push)
            sources:
              orders: { items: "", key: /id }
              rates: {}
            """
    }

    func start(_ configuration: String? = nil) throws -> Gateway {
        if (try? String(contentsOfFile: self.folder.path("denied"), encoding: .utf8)) == nil {
            _ = try self.folder.write("", to: "denied")
        }
        return try Gateway(configuration ?? self.configuration())
    }

    /// Two items and a long one that never changes, since an item event is sent where it is smaller than the value.
    static func orders(_ first: String, _ second: String = "0") -> String {
        let pad = String(repeating: "z", count: 500)
        return #"[{"id":1,"a":\#(first)},{"id":2,"a":\#(second)},{"id":3,"a":"\#(pad)"}]"#
    }

    static func publish(_ value: String, to source: String = "orders", of gateway: Gateway) async throws {
        let reply = try await RawHTTP.send(
            "POST",
            "/v1/sources/\(source)/value",
            to: try await gateway.process.endpoint(),
            headers: ["X-API-Key": self.feeder, "Content-Type": "application/json"],
            body: Array(value.utf8)
        )
        try #require(reply.status == 200, "\(reply.text) \(gateway.process.errors)")
    }

    /// Subscribes a device, and returns the answer.
    func subscribe(
        _ device: PushedDevice,
        to sources: String = "orders",
        at gateway: Gateway,
        as key: String = mobile,
        more: String = ""
    ) async throws -> HTTPReply {
        try await Self.send(
            "POST",
            "/v1/push/subscriptions",
            to: gateway,
            as: key,
            body: """
                {"subscription":\(device.subscription(at: self.service.url(device.path))),"sources":"\(sources)"\(more)}
                """
        )
    }

    static func send(
        _ method: String,
        _ path: String,
        to gateway: Gateway,
        as key: String,
        body: String = ""
    ) async throws -> HTTPReply {
        try await RawHTTP.send(
            method,
            path,
            to: try await gateway.process.endpoint(),
            headers: ["Authorization": "Bearer \(key)", "Content-Type": "application/json"],
            body: Array(body.utf8)
        )
    }

    /// Answers messages to a device, of which each is told its number, counted from 1. Others are accepted.
    func answer(_ device: PushedDevice, _ steps: @escaping @Sendable (Int) -> [UpstreamStep]) {
        self.received.update { $0.answers[device.path] = steps }
    }

    /// The message of this number, counted from 1, that the service got for a device.
    func message(_ number: Int, for device: PushedDevice) async throws -> UpstreamRequest {
        let found = await self.received.wait(timeout: .patience) { received -> UpstreamRequest? in
            let requests = received.requests[device.path] ?? []
            return requests.count >= number ? requests[number - 1] : nil
        }
        return try #require(found, "no message \(number) for \(device.path)")
    }

    /// How many messages the service got for a device.
    func count(for device: PushedDevice) -> Int { self.received.value.requests[device.path]?.count ?? 0 }

    /// What `/v1/push/subscriptions` lists.
    static func list(_ gateway: Gateway, as key: String = feeder) async throws -> [Value] {
        let reply = try await self.send("GET", "/v1/push/subscriptions", to: gateway, as: key)
        try #require(reply.status == 200, "\(reply.text)")
        let list = try Document(parsing: reply.body).root["subscriptions"]
        return list.map { Array($0.elements) } ?? []
    }

    /// Asks until the list is as wanted.
    static func waitForList(_ gateway: Gateway, _ isWanted: ([Value]) -> Bool) async throws {
        let end = ContinuousClock.now + .patience
        while ContinuousClock.now < end {
            if isWanted(try await self.list(gateway)) { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        Issue.record("the list does not become as wanted: \(gateway.process.errors)")
    }
}
