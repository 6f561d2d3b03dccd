import NATS
import Testing

@Suite("What JetStream says")
struct JetStreamTests {
    @Test(
        "positions of delivered messages, in the old form and in the new one",
        arguments: [
            ("$JS.ACK.F.c1.1.12.7.1796031771646880695.367", "F", "c1", 12, 7),
            ("$JS.ACK.hub.ACCHASH.F.c1.1.12.7.1796031771646880695.367", "F", "c1", 12, 7),
            ("$JS.ACK._.ACCHASH.F.c1.1.12.7.1796031771646880695.367.random", "F", "c1", 12, 7),
        ] as [(String, String, String, UInt64, UInt64)]
    )
    func position(subject: String, stream: String, consumer: String, sequence: UInt64, delivery: UInt64) throws {
        let position = try #require(DeliveredPosition(subject))
        #expect(position.stream == stream && position.consumer == consumer)
        #expect(position.sequence == sequence && position.delivery == delivery)
    }

    @Test(
        "other subjects are no positions",
        arguments: [
            "", "$JS.ACK", "$JS.ACK.F.c1.1.12.7.1", "$JS.ACK.F.c1.1.0.7.1.2", "$JS.ACK.F.c1.1.x.7.1.2",
            "$JS.ACK.F.c1.1.12.18446744073709551616.1.2", "$JS.FC.F.c1.1.12.7.1.2", "$JS.ACK.a.F.c1.1.12.7.1.2",
            "$JS.ACK.F.c1.1.-1.7.1.2",
        ]
    )
    func noPosition(subject: String) {
        #expect(DeliveredPosition(subject) == nil)
    }

    @Test(
        "acknowledgements",
        arguments: [
            (#"{"stream":"F","seq":2,"batch":"x2","count":2}"#, 2, 2), (#"{"stream":"F","seq":7}"#, 7, 1),
            (#"{"stream":"F","seq":7,"duplicate":true,"later":{"a":[]}}"#, 7, 1),
        ] as [(String, UInt64, Int)]
    )
    func acknowledged(text: String, sequence: UInt64, count: Int) throws {
        let ack = try JetStreamAck(Array(text.utf8))
        #expect(ack.stream == "F" && ack.sequence == sequence && ack.count == count)
    }

    @Test(
        "what acknowledges nothing",
        arguments: [
            ("", 0), ("{", 0), ("[]", 0), ("{}", 0), (#"{"stream":"F","seq":0}"#, 0), (#"{"stream":"F","seq":-1}"#, 0),
            (#"{"stream":1,"seq":1}"#, 0), (#"{"stream":"F","seq":1.5}"#, 0), (#"{"error":{}}"#, 0),
            (#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 0"},"seq":0}"#, 10071),
            (#"{"error":{"code":503}}"#, 503),
        ]
    )
    func notAcknowledged(text: String, code: Int) {
        #expect { try JetStreamAck(Array(text.utf8)) } throws: { ($0 as? JetStreamError)?.code == code }
    }

    @Test("an error's text does not fill a log")
    func longError() {
        let text = #"{"error":{"code":400,"err_code":1,"description":"\#(String(repeating: "x", count: 100_000))"}}"#
        #expect(JetStream.error(Array(text.utf8))?.text.count == 300)
    }

    @Test("a stored message with its headers")
    func message() throws {
        // NATS/1.0, B: 2, a: 1, A: spaced.
        let block = "TkFUUy8xLjANCkI6IDINCmE6IDENCkE6ICAgc3BhY2VkIA0KDQo="
        let text = #"{"type":"t","message":{"subject":"fr.a","seq":3,"hdrs":"\#(block)","data":"aGVsbG8=","time":"x"}}"#
        let message = try JetStreamMessage(Array(text.utf8))
        #expect(message.subject == "fr.a" && message.sequence == 3 && message.payload == Array("hello".utf8))
        #expect(message.headers == [NATSHeader("A", "spaced"), NATSHeader("B", "2"), NATSHeader("a", "1")])
        let bare = try JetStreamMessage(Array(#"{"message":{"subject":"fr.a","seq":3}}"#.utf8))
        #expect(bare.headers.isEmpty && bare.payload.isEmpty)
        for wrong in ["aGVsbG8", "aGV*bG8=", "====", "a===", "aGVs=G8="] {
            let text = #"{"message":{"subject":"fr.a","seq":3,"data":"\#(wrong)"}}"#
            #expect(throws: JetStreamError.self) { try JetStreamMessage(Array(text.utf8)) }
        }
    }

    @Test("base64 of every length")
    func base64() {
        let cases: [(String, [UInt8])] = [
            ("", []), ("YQ==", [0x61]), ("YWI=", [0x61, 0x62]), ("YWJj", [0x61, 0x62, 0x63]), ("+/8=", [0xFB, 0xFF]),
        ]
        for (text, expected) in cases { #expect(Base64Text.decode(Array(text.utf8)) == expected) }
    }

    @Test(
        "headers that are none",
        arguments: ["x", "NATS/1.0\r\n: 1\r\n\r\n", "NATS/1.0\r\nno colon\r\n\r\n", "HTTP/1.1 200\r\n\r\n"]
    )
    func noHeaders(text: String) {
        #expect(HeaderBlock.parse(Array(text.utf8)) == nil)
    }

    @Test(
        "subjects that can be sent to, and others",
        arguments: [
            ("a", true), ("a.b", true), ("$JS.API.INFO", true), ("", false), (".", false), ("a.", false), (".a", false),
            ("a..b", false), ("a b", false), ("a\tb", false), ("a\r\nb", false), ("a\0b", false), ("é", true),
        ]
    )
    func subject(text: String, isSubject: Bool) {
        #expect(NATSOutgoing.isSubject(text) == isSubject)
    }
}
