// One request to the demo's upstream and its answer.

import FreshetCore

/// The parts of a request that the demo looks at.
struct DemoRequest {
    private(set) var method = ""
    private(set) var path = ""
    /// As sent.
    private(set) var ifMatch: String?
    private(set) var ifNoneMatch: String?
    /// In lower case, without parameters.
    private(set) var contentType: String?
    /// How many bytes follow the head; more than ``maxBodyBytes`` are not read.
    private(set) var bodyCount = 0
    var body: [UInt8] = []
    /// The connection ends after the answer: the client asked for it, or what follows cannot be read.
    private(set) var closes = false

    /// Of a body.
    static let maxBodyBytes = 16 << 10

    /// Where the head of the first request ends, behind its empty line.
    static func headEnd(in bytes: [UInt8]) -> Int? {
        let mark: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A]
        guard bytes.count >= mark.count else { return nil }
        return (mark.count...bytes.count).first { bytes[($0 - mark.count)..<$0].elementsEqual(mark) }
    }

    init(head: ArraySlice<UInt8>) {
        let lines = head.split(separator: 0x0A).map { line in
            String(decoding: line.last == 0x0D ? line.dropLast() : line, as: UTF8.self)
        }
        let parts = (lines.first ?? "").split(separator: " ")
        guard parts.count == 3, parts[2].hasPrefix("HTTP/1.") else {
            self.closes = true
            return
        }
        self.method = String(parts[0])
        self.path = String(parts[1].prefix { $0 != "?" })
        self.closes = parts[2] == "HTTP/1.0"
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = String(line[line.index(after: colon)...].drop { $0 == " " })
            switch line[..<colon].lowercased() {
            case "if-match": self.ifMatch = value
            case "if-none-match": self.ifNoneMatch = value
            case "content-type": self.contentType = value.prefix { $0 != ";" && $0 != " " }.lowercased()
            case "connection" where value.lowercased() == "close": self.closes = true
            case "content-length": self.expect(Int(value))
            // A body whose end is not known would be read as the next request.
            case "transfer-encoding": self.expect(nil)
            default: continue
            }
        }
    }

    private mutating func expect(_ count: Int?) {
        guard let count, count >= 0, count <= Self.maxBodyBytes else {
            self.bodyCount = Self.maxBodyBytes + 1
            self.closes = true
            return
        }
        self.bodyCount = count
    }

    /// The body is longer than it may be, or of unknown length.
    var isTooLong: Bool { self.bodyCount > Self.maxBodyBytes }

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
        if let tag, self.ifNoneMatch == tag { return self.message(DemoAnswer("304 Not Modified", [("ETag", tag)])) }
        return self.message(.json("200 OK", world.body(of: resource, now: now), tag: tag))
    }

    private func message(_ answer: DemoAnswer) -> [UInt8] {
        var text = "HTTP/1.1 \(answer.status)\r\nCache-Control: no-cache\r\n"
        for (name, value) in answer.fields {
            text += "\(name): \(value)\r\n"
        }
        // 204 and 304 have no body, and no length (RFC 9110 §8.6).
        let hasBody = !answer.status.hasPrefix("204") && !answer.status.hasPrefix("304")
        if hasBody { text += "Content-Length: \(answer.body.count)\r\n" }
        if self.closes { text += "Connection: close\r\n" }
        return Array((text + "\r\n").utf8) + (self.method == "HEAD" || !hasBody ? [] : answer.body)
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
