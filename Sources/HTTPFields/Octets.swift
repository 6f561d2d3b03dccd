// What HTTP's grammar calls its characters (RFC 9110 §5.6, RFC 5234), on bytes and on spans and collections of them.
// Requests and responses are never taken apart as text.

extension UInt8 {
    /// SP or HTAB.
    @inlinable
    package var isBlank: Bool { self == 0x20 || self == 0x09 }

    @inlinable
    package var isDigit: Bool { (0x30...0x39).contains(self) }

    /// Of ASCII.
    @inlinable
    package var isLetter: Bool { (0x61...0x7A).contains(self | 0x20) }

    /// `tchar` of RFC 9110 §5.6.2.
    @inlinable
    package var isTokenCharacter: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
        case _: false
        }
    }

    /// A character of a URL's scheme (RFC 3986 §3.1).
    @inlinable
    package var isSchemeCharacter: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2E: true
        case _: false
        }
    }

    /// Of ASCII letters only.
    @inlinable
    package var lowercasedASCII: UInt8 {
        (0x41...0x5A).contains(self) ? self | 0x20 : self
    }

    /// The value of a decimal digit.
    @inlinable
    package var decimalDigit: Int? {
        self.isDigit ? Int(self &- 0x30) : nil
    }

    /// The value of a hexadecimal digit.
    @inlinable
    package var hexDigit: Int? {
        switch self {
        case 0x30...0x39: Int(self &- 0x30)
        case 0x41...0x46: Int(self &- 0x41) + 10
        case 0x61...0x66: Int(self &- 0x61) + 10
        case _: nil
        }
    }
}

extension Collection<UInt8> {
    /// Whether this is a token: one or more `tchar`.
    package var isToken: Bool { !self.isEmpty && self.allSatisfy(\.isTokenCharacter) }

    /// Equality of ASCII text; `text` is in lower case.
    package func equals(ignoringCase text: String) -> Bool {
        self.count == text.utf8.count && zip(self, text.utf8).allSatisfy { $0.lowercasedASCII == $1 }
    }

    /// Whether this begins with ASCII text; `text` is in lower case.
    package func hasPrefix(ignoringCase text: String) -> Bool {
        self.count >= text.utf8.count && zip(self, text.utf8).allSatisfy { $0.lowercasedASCII == $1 }
    }
}

extension BidirectionalCollection<UInt8> {
    /// Without the optional white space around it (RFC 9110 §5.6.3).
    package var trimmed: SubSequence {
        guard let first = self.firstIndex(where: { !$0.isBlank }), let last = self.lastIndex(where: { !$0.isBlank })
        else { return self[self.endIndex...] }
        return self[first...last]
    }
}

extension Span<UInt8> {
    package var bytes: [UInt8] {
        Array(unsafeUninitializedCapacity: self.count) { buffer, initialized in
            for index in self.indices { buffer.initializeElement(at: index, to: self[index]) }
            initialized = self.count
        }
    }

    package var lowercasedBytes: [UInt8] {
        Array(unsafeUninitializedCapacity: self.count) { buffer, initialized in
            for index in self.indices { buffer.initializeElement(at: index, to: self[index].lowercasedASCII) }
            initialized = self.count
        }
    }

    /// The value of digits and nothing else; `nil` where it does not fit.
    package var decimalNumber: Int? {
        guard !self.isEmpty else { return nil }
        var value = 0
        for index in self.indices {
            guard let digit = self[index].decimalDigit else { return nil }
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = scaled.addingReportingOverflow(digit)
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }

    package func starts(with text: StaticString) -> Bool {
        guard self.count >= text.utf8CodeUnitCount else { return false }
        for index in 0..<text.utf8CodeUnitCount where self[index] != text.utf8Start[index] { return false }
        return true
    }
}
