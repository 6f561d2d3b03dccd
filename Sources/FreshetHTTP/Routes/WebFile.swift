// The files of `Sources/CWeb`, which are a part of the program.

import CWeb

/// A file that is served as it is. A browser asks again at each use, and gets it again only where the program is another.
struct WebFile: Sendable {
    /// The path below the folder, such as `client/freshet.js`.
    let name: String
    private let bytes: [UInt8]
    private let type: String
    private let etag: String

    static let all: [WebFile] = (0...).lazy.map(web_file_at).prefix { $0.name != nil }.compactMap(Self.init)

    private init?(_ file: web_file) {
        guard let name = file.name else { return nil }
        self.name = String(cString: name)
        self.bytes = Array(UnsafeBufferPointer(start: file.bytes, count: file.count))
        self.type = Self.type(of: self.name)
        self.etag = "\"\(Self.hash(of: self.bytes))\""
    }

    private static func type(of name: String) -> String {
        switch name.split(separator: ".").last {
        case "html": "text/html; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "js": "text/javascript; charset=utf-8"
        case "svg": "image/svg+xml"
        case "json": "application/json"
        case _: "text/plain; charset=utf-8"
        }
    }

    func answer(_ head: RequestHead) -> Answer {
        var answer = Answer(200, body: self.bytes, type: self.type)
        answer.set("Cache-Control", "no-cache")
        answer.set("ETag", self.etag)
        guard let tags = head.value(of: "if-none-match"), Precondition.matches(tags, etag: self.etag) else {
            return answer
        }
        answer.status = 304
        answer.body = AnswerBody()
        return answer
    }

    /// FNV-1a: these bytes are our own, so a hash without collision resistance is enough.
    private static func hash(of bytes: [UInt8]) -> String {
        let hash = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
