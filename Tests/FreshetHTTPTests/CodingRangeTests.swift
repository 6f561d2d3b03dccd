import Compression
import FreshetCore
import Testing

@testable import FreshetHTTP

@Suite("Accept-Encoding")
struct CodingRangeTests {
    @Test(
        "the coding that a client prefers, gzip of equals, none where it names none of ours",
        arguments: [
            (nil, nil), ("", nil), ("gzip", .gzip), ("zstd", .zstd), ("gzip, deflate, br, zstd", .gzip),
            ("zstd;q=1.0, gzip;q=0.9", .zstd), ("gzip;q=0", nil), ("gzip;q=0, *", .zstd), ("*", .gzip), ("*;q=0", nil),
            ("GZip ; Q=0.5", .gzip), ("x-gzip", .gzip), ("br, deflate", nil), ("identity", nil),
            ("identity;q=1, gzip;q=0.5", nil), ("identity;q=0.5, gzip;q=0.5", .gzip), ("gzip;q=bogus", .gzip),
            (",,;,gzip,", .gzip), ("gzip2", nil), ("gzip;q=0.001", .gzip), ("identity;q=0, br", nil),
        ] as [(String?, ContentCoding?)]
    )
    func best(field: String?, expected: ContentCoding?) {
        #expect(CodingRange.best(acceptEncoding: field) == expected)
    }

    @Test("a field of any length is read in part")
    func long() {
        #expect(CodingRange.best(acceptEncoding: String(repeating: "br,", count: 100) + "gzip") == nil)
    }

    @Test("what a stream may come to have decides whether it is compressed")
    func mayCompress() throws {
        let desk = CompressionDesk()
        var secret = SourceConfiguration(name: "secret", url: "http://127.0.0.1/")
        secret.compress = false
        desk.update([secret, SourceConfiguration(name: "rates", url: "http://127.0.0.1/")])
        func mayCompress(_ names: String) throws -> Bool {
            desk.mayCompress(SourcePattern(try #require(SourceSelector(names))))
        }
        #expect(try mayCompress("rates"))
        #expect(try mayCompress("rates,other"))
        for names in ["secret", "rates,secret", "sec*", "*"] { #expect(try !mayCompress(names), "\(names)") }
        // Of a template all instances, by their own names or by a prefix.
        secret.name = "user"
        secret.url = "http://127.0.0.1/{id}"
        secret.template = try SourceTemplate(of: secret, parameters: [.init(name: "id")], fieldNames: [])
        desk.update([secret])
        for names in ["user/42", "rates,user/42", "*"] { #expect(try !mayCompress(names), "\(names)") }
        #expect(try mayCompress("users"))
        desk.update([])
        #expect(try mayCompress("*"))
    }
}
