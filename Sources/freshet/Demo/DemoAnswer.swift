// One request to the demo's upstream and its answer.

import FreshetCore

extension SmallRequest {
    /// What it is answered with. A write changes `world`.
    func answer(_ world: inout DemoWorld, now: WallTime) -> [UInt8] {
        guard !self.isTooLong else { return self.message(DemoAnswer("413 Content Too Large")) }
        if let answer = world.orders.answer(self) { return self.message(answer) }
        guard self.method == "GET" || self.method == "HEAD" else {
            return self.message(.methodNotAllowed("GET, HEAD"))
        }
        guard let resource = DemoWorld.Resource.allCases.first(where: { $0.path == self.path }) else {
            let paths = (DemoWorld.Resource.allCases.map(\.path) + [DemoOrders.path]).map { "\"\($0)\"" }
            return self.message(.json("404 Not Found", Array("{\"try\":[\(paths.joined(separator: ","))]}".utf8)))
        }
        let tag = world.entityTag(of: resource)
        if let tag, self.noneMatch == tag { return self.message(DemoAnswer("304 Not Modified", [("ETag", tag)])) }
        return self.message(.json("200 OK", world.body(of: resource, now: now), tag: tag))
    }

    /// ``ifNoneMatch`` as text.
    var noneMatch: String? { self.ifNoneMatch.map { String(decoding: $0, as: UTF8.self) } }

    private func message(_ answer: DemoAnswer) -> [UInt8] {
        // 204 and 304 have no body, and no length (RFC 9110 §8.6).
        let hasBody = !answer.status.hasPrefix("204") && !answer.status.hasPrefix("304")
        return self.message(
            answer.status,
            [("Cache-Control", "no-cache")] + answer.fields,
            body: hasBody ? answer.body : nil
        )
    }
}

/// What a request of the demo is answered with.
struct DemoAnswer: Sendable {
    /// Code and reason.
    var status: String
    var fields: [(String, String)]
    var body: [UInt8] = []

    init(_ status: String, _ fields: [(String, String)] = []) {
        self.status = status
        self.fields = fields
    }

    static func json(_ status: String, _ text: [UInt8], tag: String? = nil) -> DemoAnswer {
        var answer = DemoAnswer(status, [("Content-Type", "application/json")])
        if let tag { answer.fields.append(("ETag", tag)) }
        answer.body = text
        return answer
    }

    static func methodNotAllowed(_ methods: String) -> DemoAnswer {
        DemoAnswer("405 Method Not Allowed", [("Allow", methods)])
    }

    /// A body that was read and is not taken. `why` holds nothing of it.
    static func refusal(_ why: String) -> DemoAnswer {
        .json("422 Unprocessable Content", Array("{\"detail\":\"\(why)\"}".utf8))
    }
}
