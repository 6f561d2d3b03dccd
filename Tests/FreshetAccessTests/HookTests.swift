import Crypto
import Foundation
import FreshetCore
import Testing

@testable import FreshetAccess

@Suite("Calls of upstreams")
struct HookTests {
    private static let now = WallTime(milliseconds: 1_614_265_330_000)
    private static let body = #"{"test": 2432232314}"#
    private static let secret = Array(Data(base64Encoded: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") ?? Data())
    /// The example of the Standard Webhooks libraries.
    private static let fields = [
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ]

    private static func source(_ style: SourceConfiguration.Hook.Style, secret: [UInt8]) -> SourceConfiguration {
        var source = SourceConfiguration(name: "a", url: "http://localhost/")
        source.hook = SourceConfiguration.Hook(style: style, secret: secret)
        return source
    }

    private static func refusal(
        _ desk: HookDesk,
        _ fields: [String: String],
        body: String = Self.body,
        source: String = "a",
        after seconds: Int64 = 0
    ) -> HookRefusal? {
        do throws(HookRefusal) {
            let now = WallTime(milliseconds: Self.now.milliseconds + seconds * 1000)
            try desk.verify(source, body: Array(body.utf8), now: now) { fields[$0] }
            return nil
        } catch {
            return error
        }
    }

    private static func signed(id: String, stamp: Int64) -> [String: String] {
        let text = Array("\(id).\(stamp).\(Self.body)".utf8)
        let code = HMAC<SHA256>.authenticationCode(for: text, using: SymmetricKey(data: Self.secret))
        return [
            "webhook-id": id, "webhook-timestamp": "\(stamp)",
            "webhook-signature": "v1,\(Data(code).base64EncodedString())",
        ]
    }

    @Test(
        "Standard Webhooks: the published example, and what is not right about others",
        arguments: [
            ([:], nil, nil),
            (["webhook-signature": "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="], nil, nil),
            (["webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="], nil, .forged),
            (["webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF="], nil, .forged),
            (["webhook-signature": ""], nil, .forged), (["webhook-id": "msg_other"], nil, .forged),
            (["webhook-id": ""], nil, .malformed), (["webhook-timestamp": "soon"], nil, .malformed),
            (["webhook-timestamp": "1614265331"], nil, .forged), (["webhook-timestamp": "1614265029"], nil, .late),
            (["webhook-timestamp": "1614265631"], nil, .late), ([:], #"{"test": 2432232315}"#, .forged),
        ] as [([String: String], String?, HookRefusal?)]
    )
    func standard(others: [String: String], body: String?, expected: HookRefusal?) {
        let desk = HookDesk()
        desk.update([Self.source(.standard, secret: Self.secret)])
        let fields = Self.fields.merging(others) { $1 }
        #expect(Self.refusal(desk, fields, body: body ?? Self.body) == expected)
        #expect(desk.counts.accepted == (expected == nil ? 1 : 0))
        #expect(expected.map { desk.counts.refused[$0] } ?? 1 == 1)
    }

    @Test("a call is taken once, within five minutes, over a reload that keeps the secret")
    func replay() {
        let desk = HookDesk()
        let source = Self.source(.standard, secret: Self.secret)
        desk.update([source])
        #expect(Self.refusal(desk, Self.fields) == nil)
        #expect(Self.refusal(desk, Self.fields, after: 1) == .repeated)
        desk.update([source])
        #expect(Self.refusal(desk, Self.fields, after: 299) == .repeated)
        #expect(Self.refusal(desk, Self.fields, after: 301) == .late)
        #expect(Self.refusal(desk, Self.fields, source: "b") == .unknown)
        desk.update([])
        #expect(Self.refusal(desk, Self.fields) == .unknown)
    }

    @Test("more calls than are remembered: a forgotten one is refused all the same")
    func bound() {
        let desk = HookDesk()
        desk.update([Self.source(.standard, secret: Self.secret)])
        let stamp = Self.now.seconds
        #expect(Self.refusal(desk, Self.signed(id: "first", stamp: stamp - 1)) == nil)
        for number in 0..<UsedCalls.maxCalls {
            #expect(Self.refusal(desk, Self.signed(id: "\(number)", stamp: stamp)) == nil)
        }
        #expect(Self.refusal(desk, Self.signed(id: "first", stamp: stamp - 1)) == .repeated)
        #expect(Self.refusal(desk, Self.signed(id: "17", stamp: stamp)) == .repeated)
        #expect(Self.refusal(desk, Self.signed(id: "new", stamp: stamp)) == nil)
    }

    @Test("GitHub's published example, and plain signatures")
    func hexadecimal() {
        let secret = Array("It's a Secret to Everybody".utf8)
        let code = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        let github = HookDesk()
        github.update([Self.source(.github, secret: secret)])
        func ask(_ desk: HookDesk, _ name: String, _ value: String, _ body: String = "Hello, World!") -> HookRefusal? {
            Self.refusal(desk, [name: value], body: body)
        }
        #expect(ask(github, "x-hub-signature-256", "sha256=\(code)") == nil)
        #expect(ask(github, "x-hub-signature-256", code) == .malformed)
        #expect(ask(github, "x-hub-signature-256", "sha256=\(code)", "Hello, World?") == .forged)
        #expect(ask(github, "x-signature", code) == .malformed)
        let plain = HookDesk()
        plain.update([Self.source(.plain, secret: secret)])
        #expect(ask(plain, "x-signature", code.uppercased()) == nil)
        #expect(ask(plain, "x-signature", String(code.dropLast())) == .malformed)
        #expect(ask(plain, "x-signature", String(code.dropLast()) + "8") == .forged)
        #expect(ask(plain, "x-signature", String(code.dropLast()) + "g") == .malformed)
    }
}
