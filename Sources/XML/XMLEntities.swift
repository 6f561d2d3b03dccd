// The entities that a document uses beside the five of XML, and a document type that declares those of HTML.

/// The names of the entities that a document may refer to.
///
/// Found by a look at the text, references in comments and CDATA sections included: what is too much is declared and
/// not used.
struct XMLEntities {
    /// In the order of their first appearance.
    private(set) var names: [[UInt8]] = []

    /// The most names that one document may use; nil beyond it.
    static let maxNames = 1024
    /// The longest name that is looked at; a longer one is not declared.
    private static let maxNameBytes = 128
    /// Those of XML itself (XML 1.0 §4.6).
    static let predefined: Set<[UInt8]> = Set(["amp", "lt", "gt", "quot", "apos"].map { Array($0.utf8) })

    init?(in text: ArraySlice<UInt8>) {
        var seen = Self.predefined
        let isComplete = text.withUnsafeBufferPointer { bytes -> Bool in
            var index = 0
            while let ampersand = Self.firstAmpersand(in: bytes, from: index) {
                index = ampersand + 1
                let name = bytes[index...].prefix(Self.maxNameBytes).prefix(while: Self.isNameByte)
                guard !name.isEmpty, name.endIndex < bytes.count, bytes[name.endIndex] == UInt8(ascii: ";") else {
                    continue
                }
                index = name.endIndex
                // Most references are one of these two, and some feeds are full of them.
                guard !name.elementsEqual("lt".utf8), !name.elementsEqual("gt".utf8),
                    seen.insert(Array(name)).inserted
                else { continue }
                guard self.names.count < Self.maxNames else { return false }
                self.names.append(Array(name))
            }
            return true
        }
        guard isComplete else { return nil }
    }

    /// Where the first `&` stands from `index` on: eight bytes at a time.
    private static func firstAmpersand(in bytes: UnsafeBufferPointer<UInt8>, from index: Int) -> Int? {
        let raw = UnsafeRawBufferPointer(bytes)
        let ones: UInt64 = 0x0101_0101_0101_0101
        var index = index
        while raw.count - index >= 8 {
            let word = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let difference = word ^ (ones &* 0x26)
            // The high bit of each zero byte; exact for the lowest.
            let found = (difference &- ones) & ~difference & (ones &* 0x80)
            guard found == 0 else { return index + (found.trailingZeroBitCount >> 3) }
            index += 8
        }
        return raw[index...].firstIndex(of: UInt8(ascii: "&"))
    }

    /// ASCII alone: HTML's names are. The first byte may be none of `-.0-9`, and the parser refuses such a name itself.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "-"),
            UInt8(ascii: "."):
            true
        case _: false
        }
    }

    /// Declarations of all names that could be names of XML: HTML's with what they stand for, others as external, so
    /// that the parser reports their use, which it would pass over in an attribute.
    var documentType: [UInt8] {
        var text: [UInt8] = []
        for name in self.names {
            guard let first = name.first, !"-.0123456789".utf8.contains(first) else { continue }
            text += "<!ENTITY ".utf8
            text += name
            if let characters = HTMLEntities.text(of: name) {
                text += " \"".utf8
                for scalar in String(decoding: characters, as: UTF8.self).unicodeScalars {
                    // Escaped twice: what is declared is a reference, which also stands for a `<`.
                    text += "&#38;#\(scalar.value);".utf8
                }
                text += "\">".utf8
            } else {
                text += " SYSTEM \"\">".utf8
            }
        }
        return text
    }

    /// Whether a tag as the document writes it refers to one of these names.
    static func tag(_ tag: UnsafeRawBufferPointer, refersTo names: Set<[UInt8]>) -> Bool {
        var rest = tag[...]
        while let ampersand = rest.firstIndex(of: UInt8(ascii: "&")) {
            rest = rest[(ampersand + 1)...]
            if names.contains(Array(rest.prefix { $0 != UInt8(ascii: ";") }.prefix(self.maxNameBytes))) { return true }
        }
        return false
    }
}
