// What HTTP's grammar calls its characters (RFC 9110 §5.6, RFC 5234), on bytes and spans of them.

extension UInt8 {
    /// SP or HTAB.
    var isBlank: Bool { self == 0x20 || self == 0x09 }

    var decimalDigit: Int? {
        (0x30...0x39).contains(self) ? Int(self &- 0x30) : nil
    }

    var hexDigit: Int? {
        switch self {
        case 0x30...0x39: Int(self &- 0x30)
        case 0x41...0x46: Int(self &- 0x41) + 10
        case 0x61...0x66: Int(self &- 0x61) + 10
        case _: nil
        }
    }

    /// `tchar` of RFC 9110 §5.6.2.
    var isTokenCharacter: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
        case _: false
        }
    }

    /// A character of a URL's scheme (RFC 3986 §3.1).
    var isSchemeCharacter: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2E: true
        case _: false
        }
    }

    var lowercasedASCII: UInt8 {
        (0x41...0x5A).contains(self) ? self | 0x20 : self
    }
}

extension Span<UInt8> {
    var bytes: [UInt8] {
        Array(unsafeUninitializedCapacity: self.count) { buffer, initialized in
            for index in self.indices { buffer.initializeElement(at: index, to: self[index]) }
            initialized = self.count
        }
    }

    var lowercasedBytes: [UInt8] {
        Array(unsafeUninitializedCapacity: self.count) { buffer, initialized in
            for index in self.indices { buffer.initializeElement(at: index, to: self[index].lowercasedASCII) }
            initialized = self.count
        }
    }

    /// The value of digits and nothing else; `nil` where it does not fit.
    var decimalNumber: Int? {
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

    func starts(with text: StaticString) -> Bool {
        guard self.count >= text.utf8CodeUnitCount else { return false }
        for index in 0..<text.utf8CodeUnitCount where self[index] != text.utf8Start[index] { return false }
        return true
    }
}
