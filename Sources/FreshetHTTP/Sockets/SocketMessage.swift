// A message of a client, and the answers to it (CONTRACT §11).

import FreshetCore
import JSON

/// What a client asks for.
struct SocketMessage: Sendable {
    enum Operation: String, CaseIterable, Sendable {
        case subscribe
        case unsubscribe
        case auth
        case write
        /// Asks for nothing but an answer: browsers tell their pages of no pings.
        case ping
    }

    /// What the answer repeats: the text of a number or a string.
    let re: [UInt8]
    let operation: Operation
    let members: Value

    private static let maxReferenceBytes = 64
    private static let maxNodes = 1_000_000

    /// Why a message was not understood, and what the answer to it repeats.
    struct Refusal: Error {
        var re: [UInt8]
        var problem: Problem
    }

    init(_ text: [UInt8]) throws(Refusal) {
        let null = Array("null".utf8)
        let limits = ParseLimits(maxBytes: max(1, text.count), maxDepth: 128, maxNodes: Self.maxNodes)
        guard let root = try? Document(parsing: text, limits: limits).root, root.kind == .object else {
            throw Refusal(re: null, problem: .badMessage("A message is a JSON object."))
        }
        guard let re = root["re"], re.kind == .number || re.kind == .string,
            re.text.count <= Self.maxReferenceBytes
        else {
            let detail =
                "re is a number or a string of at most \(Self.maxReferenceBytes) bytes, which the answer repeats."
            throw Refusal(re: null, problem: .badMessage(detail))
        }
        self.re = Array(re.text)
        guard let operation = root["op"]?.string.flatMap(Operation.init(rawValue:)) else {
            let list = Operation.allCases.map(\.rawValue).joined(separator: ", ")
            throw Refusal(re: self.re, problem: Problem(400, "unknown_operation", "op is one of \(list)."))
        }
        self.operation = operation
        self.members = root
    }

    /// A member that has to be there.
    func string(_ name: String) throws(Problem) -> String {
        guard let text = self.members[name]?.string else { throw .badMessage("\(name) is a string.") }
        return text
    }

    /// The members as the query of a request has them, so that a subscription is asked for as a stream is.
    var query: String {
        self.members.members.compactMap { member -> String? in
            let name = member.name
            guard !["re", "op", "sources"].contains(name), !member.value.isNull else { return nil }
            let value = member.value.string ?? String(decoding: member.value.text, as: UTF8.self)
            return "\(Self.encoded(name))=\(Self.encoded(value))"
        }.joined(separator: "&")
    }

    private static func encoded(_ text: String) -> String {
        var encoded: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                encoded.append(byte)
            case _: encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}

/// The texts of answers.
enum SocketAnswer {
    static func ok(_ re: [UInt8], _ body: (inout JSONWriter) -> Void = { _ in }) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("re", raw: re)
            json.name("ok")
            json.object { body(&$0) }
        }
        return json.text
    }

    static func problem(_ re: [UInt8], _ problem: Problem) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("re", raw: re)
            json.name("problem")
            json.object { json in
                problem.write(to: &json)
                let seconds = problem.fields.first { $0.name == "Retry-After" }.flatMap { Int($0.value) }
                if let seconds { json.member("retry_after", seconds) }
            }
        }
        return json.text
    }

    /// The answer to a subscription, around the cursor from which it is live.
    static func live(_ re: [UInt8]) -> (head: [UInt8], tail: [UInt8]) {
        (Array(#"{"re":"#.utf8) + re + Array(#","ok":{"cursor":""#.utf8), Array(#""}}"#.utf8))
    }

    /// Says that a subscription has ended while its socket goes on, around the reason.
    static func ended(_ re: [UInt8]) -> (head: [UInt8], tail: [UInt8]) {
        let mark = "\u{1}"
        let problem = Problem(410, "subscription_ended", "The subscription has ended: \(mark).")
        let parts = self.problem(re, problem).split(separator: Array(#"\u0001"#.utf8), maxSplits: 1)
        guard parts.count == 2 else {
            return (Array(#"{"re":"#.utf8) + re + Array(#","problem":{"detail":""#.utf8), Array(#""}}"#.utf8))
        }
        return (Array(parts[0]), Array(parts[1]))
    }
}

extension Problem {
    static func badMessage(_ detail: String) -> Problem {
        Problem(400, "bad_message", detail)
    }
}
