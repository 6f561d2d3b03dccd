// The character encodings that are understood, by the names that the web gives them.

/// A character encoding.
///
/// Which name means what is the WHATWG Encoding Standard's (§4.2): the names of ISO 8859-1 and US-ASCII mean
/// windows-1252, those of Shift_JIS, EUC-KR, GB2312 and Big5 the larger sets that texts of these names hold. A name
/// that is not in the table is not an encoding, whatever the system could convert.
package struct TextEncoding: Hashable, Sendable {
    /// As messages call it.
    package let name: String
    /// The name of the system's converter.
    let converter: String
    /// Bytes below 0x80 are the characters of US-ASCII, and nothing else is.
    package let holdsASCII: Bool

    package static let utf8 = TextEncoding("UTF-8", "UTF-8")
    package static let utf16LittleEndian = TextEncoding("UTF-16LE", "UTF-16LE", holdsASCII: false)
    package static let utf16BigEndian = TextEncoding("UTF-16BE", "UTF-16BE", holdsASCII: false)
    package static let utf32LittleEndian = TextEncoding("UTF-32LE", "UTF-32LE", holdsASCII: false)
    package static let utf32BigEndian = TextEncoding("UTF-32BE", "UTF-32BE", holdsASCII: false)
    /// The byte order is in the text itself.
    package static let utf16 = TextEncoding("UTF-16", "", holdsASCII: false)
    package static let utf32 = TextEncoding("UTF-32", "", holdsASCII: false)
    /// What calls itself ASCII: UTF-8 where it is, else windows-1252.
    package static let ascii = TextEncoding("US-ASCII", "CP1252")

    /// Every character takes two or four bytes.
    package var isWide: Bool { self.name.hasPrefix("UTF-16") || self.name.hasPrefix("UTF-32") }

    init(_ name: String, _ converter: String, holdsASCII: Bool = true) {
        self.name = name
        self.converter = converter
        self.holdsASCII = holdsASCII
    }

    /// The encoding of this name, in any case, with white space around it; nil for one that is not known.
    package init?(label: some Collection<UInt8>) {
        guard label.count <= Self.maxLabelBytes else { return nil }
        let text = String(decoding: label, as: UTF8.self).lowercased()
        let name = text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
        guard let encoding = Self.byLabel[String(name)] else { return nil }
        self = encoding
    }

    /// The longest name that is looked up.
    private static let maxLabelBytes = 64

    private static let byLabel: [String: TextEncoding] = {
        var table: [String: TextEncoding] = [:]
        for (encoding, labels) in Self.labels {
            for label in labels.split(separator: " ") { table[String(label)] = encoding }
        }
        return table
    }()

    private static let labels: [(TextEncoding, String)] = [
        (.utf8, "utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8 utf8mb4 utf-8-sig cesu-8"),
        (.utf16, "utf-16 utf16 unicode csunicode iso-10646-ucs-2 ucs-2 ucs2"),
        (.utf16LittleEndian, "utf-16le utf16le unicodefeff"),
        (.utf16BigEndian, "utf-16be utf16be unicodefffe"),
        (.utf32, "utf-32 utf32 ucs-4 ucs4 iso-10646-ucs-4"),
        (.utf32LittleEndian, "utf-32le utf32le ucs-4le"),
        (.utf32BigEndian, "utf-32be utf32be ucs-4be"),
        (.ascii, "ascii us-ascii ansi_x3.4-1968 iso-ir-6 iso646-us"),
        (
            TextEncoding("windows-1252", "CP1252"),
            "windows-1252 cp1252 x-cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 "
                + "iso_8859-1 iso_8859-1:1987 l1 latin1 latin-1 ansi win-1252"
        ),
        (TextEncoding("IBM866", "IBM866"), "866 cp866 csibm866 ibm866"),
        (
            TextEncoding("ISO-8859-2", "ISO-8859-2"),
            "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2"
        ),
        (
            TextEncoding("ISO-8859-3", "ISO-8859-3"),
            "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3"
        ),
        (
            TextEncoding("ISO-8859-4", "ISO-8859-4"),
            "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4"
        ),
        (
            TextEncoding("ISO-8859-5", "ISO-8859-5"),
            "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988"
        ),
        (
            TextEncoding("ISO-8859-6", "ISO-8859-6"),
            "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e iso-8859-6-i "
                + "iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987"
        ),
        (
            TextEncoding("ISO-8859-7", "ISO-8859-7"),
            "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7 "
                + "iso_8859-7:1987 sun_eu_greek"
        ),
        (
            TextEncoding("ISO-8859-8", "ISO-8859-8"),
            "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 "
                + "iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical"
        ),
        (
            TextEncoding("windows-1254", "CP1254"),
            "windows-1254 cp1254 x-cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 "
                + "iso_8859-9:1989 l5 latin5"
        ),
        (
            TextEncoding("ISO-8859-10", "ISO-8859-10"),
            "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 iso_8859-10 l6 latin6"
        ),
        (TextEncoding("ISO-8859-13", "ISO-8859-13"), "iso-8859-13 iso8859-13 iso885913 iso_8859-13 l7 latin7"),
        (TextEncoding("ISO-8859-14", "ISO-8859-14"), "iso-8859-14 iso8859-14 iso885914 iso_8859-14 l8 latin8"),
        (
            TextEncoding("ISO-8859-15", "ISO-8859-15"),
            "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9 latin9 latin-9"
        ),
        (TextEncoding("ISO-8859-16", "ISO-8859-16"), "iso-8859-16 iso8859-16 iso885916 iso_8859-16 l10 latin10"),
        (TextEncoding("KOI8-R", "KOI8-R"), "cskoi8r koi koi8 koi8-r koi8_r"),
        (TextEncoding("KOI8-U", "KOI8-U"), "koi8-u koi8-ru"),
        (TextEncoding("macintosh", "MACINTOSH"), "csmacintosh mac macintosh x-mac-roman"),
        (TextEncoding("x-mac-cyrillic", "MAC-CYRILLIC"), "x-mac-cyrillic x-mac-ukrainian"),
        (
            TextEncoding("windows-874", "CP874"),
            "windows-874 cp874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 tis620"
        ),
        (TextEncoding("windows-1250", "CP1250"), "windows-1250 cp1250 x-cp1250 win-1250"),
        (TextEncoding("windows-1251", "CP1251"), "windows-1251 cp1251 x-cp1251 win-1251"),
        (TextEncoding("windows-1253", "CP1253"), "windows-1253 cp1253 x-cp1253"),
        (TextEncoding("windows-1255", "CP1255"), "windows-1255 cp1255 x-cp1255"),
        (TextEncoding("windows-1256", "CP1256"), "windows-1256 cp1256 x-cp1256"),
        (TextEncoding("windows-1257", "CP1257"), "windows-1257 cp1257 x-cp1257"),
        (TextEncoding("windows-1258", "CP1258"), "windows-1258 cp1258 x-cp1258"),
        (
            TextEncoding("GBK", "GB18030"),
            "gbk chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 iso-ir-58 x-gbk cp936 ms936 euc-cn euccn"
        ),
        (TextEncoding("GB18030", "GB18030"), "gb18030"),
        (TextEncoding("Big5", "BIG5-HKSCS"), "big5 big5-hkscs cn-big5 csbig5 x-x-big5 cp950 big-5"),
        (TextEncoding("EUC-JP", "EUC-JP-MS"), "cseucpkdfmtjapanese euc-jp eucjp x-euc-jp euc_jp"),
        (TextEncoding("ISO-2022-JP", "ISO-2022-JP", holdsASCII: false), "csiso2022jp iso-2022-jp"),
        (
            TextEncoding("Shift_JIS", "CP932"),
            "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis cp932"
        ),
        (
            TextEncoding("EUC-KR", "CP949"),
            "cseuckr csksc56011987 euc-kr euckr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 "
                + "windows-949 cp949 uhc"
        ),
    ]
}
