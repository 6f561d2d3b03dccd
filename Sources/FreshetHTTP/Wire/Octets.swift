// The character classes of HTTP's grammar, on bytes: requests are never taken apart as text.

enum Octets {
    static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self.lowercased(byte))
    }

    /// Of ASCII letters only.
    static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    /// `tchar` of RFC 9110 §5.6.2.
    static func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        case _:
            self.isDigit(byte) || self.isLetter(byte)
        }
    }

    /// One or more `tchar`.
    static func isToken(_ bytes: some Collection<UInt8>) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy(self.isTokenCharacter)
    }

    /// `uri-host [ ":" port ]` as far as its characters go (RFC 3986 §3.2); empty is allowed (RFC 9110 §7.2).
    static func isHost(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "="), UInt8(ascii: "("),
                UInt8(ascii: ")"), UInt8(ascii: ";"):
                true
            case UInt8(ascii: "#"), UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|"):
                false
            case _:
                self.isTokenCharacter(byte)
            }
        }
    }

    /// Without the spaces and tabs around.
    static func trimmed<Bytes: BidirectionalCollection>(_ bytes: Bytes) -> Bytes.SubSequence
    where
        Bytes.Element == UInt8, Bytes.SubSequence: BidirectionalCollection,
        Bytes.SubSequence.SubSequence == Bytes.SubSequence
    {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        guard let first = bytes.firstIndex(where: { !isBlank($0) }), let last = bytes.lastIndex(where: { !isBlank($0) })
        else { return bytes[bytes.endIndex...] }
        return bytes[first...last]
    }

    /// The value of a hexadecimal digit.
    static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        case _: nil
        }
    }
}

extension Collection<UInt8> {
    /// Equality of ASCII text; `text` is in lower case.
    func equals(ignoringCase text: String) -> Bool {
        self.count == text.utf8.count && zip(self, text.utf8).allSatisfy { Octets.lowercased($0) == $1 }
    }

    /// Whether this begins with ASCII text; `text` is in lower case.
    func hasPrefix(ignoringCase text: String) -> Bool {
        self.count >= text.utf8.count && zip(self, text.utf8).allSatisfy { Octets.lowercased($0) == $1 }
    }
}
