// One request to the demo's upstream and its answer.

import FreshetCore

/// The parts of a request that the demo looks at.
struct DemoRequest {
    private var method = ""
    private var path = ""
    private var ifNoneMatch: String?
    /// The connection ends after the answer: the client asked for it, or the request was none.
    private(set) var closes = false

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
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            switch line[..<colon].lowercased() {
            case "if-none-match": self.ifNoneMatch = String(value)
            case "connection" where value.lowercased() == "close": self.closes = true
            // A body would be read as the next request.
            case "content-length", "transfer-encoding": self.closes = true
            default: continue
            }
        }
    }

    func answer(_ world: DemoWorld, now: WallTime) -> [UInt8] {
        guard self.method == "GET" || self.method == "HEAD" else {
            return self.message("405 Method Not Allowed", [("Allow", "GET, HEAD")], body: [])
        }
        guard let resource = DemoWorld.Resource.allCases.first(where: { $0.path == self.path }) else {
            let paths = DemoWorld.Resource.allCases.map { "\"\($0.path)\"" }.joined(separator: ",")
            return self.message(
                "404 Not Found",
                [("Content-Type", "application/json")],
                body: Array("{\"try\":[\(paths)]}".utf8)
            )
        }
        var fields = [("Content-Type", "application/json"), ("Cache-Control", "no-cache")]
        if let tag = world.entityTag(of: resource) {
            fields.append(("ETag", tag))
            if self.ifNoneMatch == tag { return self.message("304 Not Modified", fields, body: nil) }
        }
        return self.message("200 OK", fields, body: world.body(of: resource, now: now))
    }

    private func message(_ status: String, _ fields: [(String, String)], body: [UInt8]?) -> [UInt8] {
        var text = "HTTP/1.1 \(status)\r\n"
        for (name, value) in fields {
            text += "\(name): \(value)\r\n"
        }
        if let body { text += "Content-Length: \(body.count)\r\n" }
        if self.closes { text += "Connection: close\r\n" }
        return Array((text + "\r\n").utf8) + (self.method == "HEAD" ? [] : body ?? [])
    }
}
