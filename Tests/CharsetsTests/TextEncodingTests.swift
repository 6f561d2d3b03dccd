import Charsets
import Testing

@Suite("Text encodings")
struct TextEncodingTests {
    @Test(
        "R19: the names of the web",
        arguments: [
            ("UTF8", "UTF-8"), (" utf-8 ", "UTF-8"), ("Latin1", "windows-1252"), ("ISO_8859-1:1987", "windows-1252"),
            ("cp1252", "windows-1252"), ("iso-8859-9", "windows-1254"), ("x-cp1251", "windows-1251"),
            ("gb2312", "GBK"), ("x-sjis", "Shift_JIS"), ("windows-31j", "Shift_JIS"), ("ms_kanji", "Shift_JIS"),
            ("ks_c_5601-1987", "EUC-KR"), ("big5-hkscs", "Big5"), ("KOI8_R", "KOI8-R"), ("latin2", "ISO-8859-2"),
            ("tis-620", "windows-874"), ("us-ascii", "US-ASCII"), ("unicodefffe", "UTF-16BE"),
        ]
    )
    func labels(label: String, name: String) {
        #expect(TextEncoding(label: label.utf8)?.name == name)
    }

    @Test(
        "names that are not known, or that reach into the system's converters, are no encodings",
        arguments: ["", "utf-9", "ISO-2022-CN-EXT", "UTF-8//TRANSLIT", "../../tmp/x", "utf-7", "EBCDIC-US", "\u{E9}"]
    )
    func foreign(label: String) {
        #expect(TextEncoding(label: label.utf8) == nil)
    }

    @Test("each encoding has a converter, which leaves ASCII as it is")
    func converters() throws {
        let labels = [
            "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1255",
            "windows-1256", "windows-1257", "windows-1258", "windows-874", "iso-8859-2", "iso-8859-3", "iso-8859-4",
            "iso-8859-5", "iso-8859-6", "iso-8859-7", "iso-8859-8", "iso-8859-10", "iso-8859-13", "iso-8859-14",
            "iso-8859-15", "iso-8859-16", "koi8-r", "koi8-u", "ibm866", "macintosh", "x-mac-cyrillic", "gbk",
            "gb18030", "big5", "euc-jp", "shift_jis", "euc-kr",
        ]
        let ascii = Array(0x20...0x7E as ClosedRange<UInt8>)
        for label in labels {
            let encoding = try #require(TextEncoding(label: label.utf8))
            // A byte that is not ASCII makes the converter do its work; it may have none, or begin a longer character.
            let high = (0x80...0xFF as ClosedRange<UInt8>).compactMap { byte in
                try? encoding.decode([byte, 0x20] + ascii[...], maxBytes: 1000)
            }
            let pairs = (0xA1...0xFE as ClosedRange<UInt8>).compactMap { byte in
                try? encoding.decode([byte, 0xA1] + ascii[...], maxBytes: 1000)
            }
            let texts = high + pairs
            #expect(!texts.isEmpty, "\(label)")
            #expect(texts.allSatisfy { $0.suffix(ascii.count) == ascii[...] }, "\(label)")
            #expect(texts.allSatisfy { String(validating: $0, as: UTF8.self) != nil }, "\(label)")
        }
    }

    @Test("R19: no bytes do harm, and what is converted is UTF-8 within its limit")
    func random() throws {
        var state: UInt64 = 7
        for label in ["shift_jis", "euc-jp", "gb18030", "big5", "euc-kr", "iso-2022-jp", "utf-16", "utf-32", "cp1258"] {
            let encoding = try #require(TextEncoding(label: label.utf8))
            for length in 0..<200 {
                let bytes = (0..<length).map { _ -> UInt8 in
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return UInt8(truncatingIfNeeded: state >> 40)
                }
                do throws(TextDecodingError) {
                    let text = try encoding.decode(bytes[...], maxBytes: 100)
                    #expect(text.count <= 100)
                    #expect(String(validating: text, as: UTF8.self) != nil)
                } catch {
                    if case .invalid(let offset) = error.reason { #expect(offset <= length) }
                }
            }
        }
    }

    @Test(
        "the first byte that is not UTF-8",
        arguments: [
            ([], nil), ([0x61], nil), ([0xC3, 0xA9], nil), ([0xF0, 0x9F, 0x98, 0x80], nil), ([0x61, 0xFF], 1),
            ([0xC3], 0), ([0x61, 0xC3, 0x28], 1), ([0xC3, 0xA9, 0xED, 0xA0, 0x80], 2), ([0xC0, 0x80], 0),
        ] as [([UInt8], Int?)]
    )
    func invalidUTF8(bytes: [UInt8], offset: Int?) {
        #expect(TextEncoding.firstInvalidUTF8(in: bytes[...]) == offset)
        #expect(TextEncoding.firstInvalidUTF8(in: ([0x20] + bytes)[1...]) == offset)
    }
}
