// One request to a small server of the program's own, and the form of its answer.

/// The parts of a request that the demo and a replay look at.
struct SmallRequest {
    private(set) var method = ""
    /// Up to the question mark, not decoded.
    private(set) var path = ""
    /// As sent, like the two below.
    private(set) var ifMatch: String?
    private(set) var ifNoneMatch: [UInt8]?
    private(set) var ifModifiedSince: [UInt8]?
    /// In lower case, without parameters.
    private(set) var contentType: String?
    /// How many bytes follow the head; more than ``maxBodyBytes`` are not read.
    private(set) var bodyCount = 0
    var body: [UInt8] = []
    /// The connection ends after the answer: the client asked for it, or what follows cannot be read.
    private(set) var closes = false

    /// Of a body.
    static let maxBodyBytes = 16 << 10

    /// Takes the first request off what has come, once it is there whole. Of one whose body is too long the head is enough.
    static func take(from input: inout [UInt8]) -> SmallRequest? {
        guard let headEnd = Self.headEnd(in: input) else { return nil }
        var request = SmallRequest(head: input[..<headEnd])
        let end = request.isTooLong ? headEnd : headEnd + request.bodyCount
        guard input.count >= end else { return nil }
        request.body = Array(input[headEnd..<end])
        input.removeFirst(end)
        return request
    }

    /// Whether ``take(from:)`` would take one.
    static func isWhole(_ input: [UInt8]) -> Bool {
        var input = input
        return Self.take(from: &input) != nil
    }

    /// Where the head of the first request ends, behind its empty line.
    static func headEnd(in bytes: [UInt8]) -> Int? {
        let mark: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A]
        guard bytes.count >= mark.count else { return nil }
        return (mark.count...bytes.count).first { bytes[($0 - mark.count)..<$0].elementsEqual(mark) }
    }

    init(head: ArraySlice<UInt8>) {
        let lines = head.split(separator: 0x0A).map { $0.last == 0x0D ? $0.dropLast() : $0 }
        let parts = String(decoding: lines.first ?? [], as: UTF8.self).split(separator: " ")
        guard parts.count == 3, parts[2].hasPrefix("HTTP/1.") else {
            self.closes = true
            return
        }
        self.method = String(parts[0])
        self.path = String(parts[1].prefix { $0 != "?" })
        self.closes = parts[2] == "HTTP/1.0"
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == 0x20 }
            let text = String(decoding: value, as: UTF8.self)
            switch String(decoding: line[..<colon], as: UTF8.self).lowercased() {
            case "if-match": self.ifMatch = text
            case "if-none-match": self.ifNoneMatch = Array(value)
            case "if-modified-since": self.ifModifiedSince = Array(value)
            case "content-type": self.contentType = text.prefix { $0 != ";" && $0 != " " }.lowercased()
            case "connection" where text.lowercased() == "close": self.closes = true
            case "content-length": self.expect(Int(text))
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

    /// Whether it asks for something, and not to change it.
    var isRead: Bool { self.method == "GET" || self.method == "HEAD" }

    /// An answer, its body left out for HEAD. `body`: `nil` for a status that has none.
    func message(_ status: String, _ fields: [(String, [UInt8])], body: [UInt8]?) -> [UInt8] {
        var text = Array("HTTP/1.1 \(status)\r\n".utf8)
        for (name, value) in fields {
            text += Array("\(name): ".utf8) + value + [0x0D, 0x0A]
        }
        if let body { text += Array("Content-Length: \(body.count)\r\n".utf8) }
        if self.closes { text += Array("Connection: close\r\n".utf8) }
        text += [0x0D, 0x0A]
        return text + (self.method == "HEAD" ? [] : body ?? [])
    }

    /// As ``message(_:_:body:)``, with values that are text.
    func message(_ status: String, _ fields: [(String, String)], body: [UInt8]?) -> [UInt8] {
        self.message(status, fields.map { ($0.0, Array($0.1.utf8)) }, body: body)
    }
}
