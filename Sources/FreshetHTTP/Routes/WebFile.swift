// The files of `Sources/CWeb`, which are a part of the program.

import CWeb

/// A file that is served as it is. A browser asks again at each use, and has it again only where the program is another.
struct WebFile: Sendable {
    private let bytes: [UInt8]
    private let type: String
    private let etag: String

    static let page = WebFile(web_page(), type: "text/html; charset=utf-8")
    static let pageScript = WebFile(web_page_script(), type: "text/javascript; charset=utf-8")
    static let pageStyle = WebFile(web_page_style(), type: "text/css; charset=utf-8")
    static let pageIcon = WebFile(web_page_icon(), type: "image/svg+xml")
    static let client = WebFile(web_client(), type: "text/javascript; charset=utf-8")
    static let openAPI = WebFile(web_openapi(), type: "application/json")

    private init(_ file: web_file, type: String) {
        self.bytes = Array(UnsafeBufferPointer(start: file.bytes, count: file.count))
        self.type = type
        self.etag = "\"\(Self.hash(of: self.bytes))\""
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

    /// FNV-1a: nobody but us makes these bytes, so that a hash that can be aimed at does no harm.
    private static func hash(of bytes: [UInt8]) -> String {
        let hash = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
