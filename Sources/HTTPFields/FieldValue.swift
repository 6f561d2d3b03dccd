// Field values are bytes from the network, of any length and content. These few readers are all that the rules of
// freshness need of them; none traps, none recurses, each is linear in its input.

/// Readers for field names and values. ASCII only: other bytes are ordinary content that matches nothing.
package enum FieldValue {
    /// Whether `bytes` spell `name`, given in lower case, in any case.
    package static func matches(_ bytes: some Collection<UInt8>, _ name: StaticString) -> Bool {
        guard bytes.count == name.utf8CodeUnitCount else { return false }
        return name.withUTF8Buffer { wanted in
            zip(bytes, wanted).allSatisfy { $0.lowercasedASCII == $1 }
        }
    }

    /// The elements of a list, split where `separator` stands outside a quoted string; empty ones are left out.
    ///
    /// A quoted string that is never closed takes the rest with it.
    package static func elements(of value: ArraySlice<UInt8>, separator: UInt8 = UInt8(ascii: ",")) -> [ArraySlice<
        UInt8
    >] {
        var elements: [ArraySlice<UInt8>] = []
        var start = value.startIndex
        var isQuoted = false
        var isEscaped = false
        for index in value.indices {
            let byte = value[index]
            if isEscaped {
                isEscaped = false
            } else if isQuoted {
                if byte == UInt8(ascii: "\\") { isEscaped = true }
                if byte == UInt8(ascii: "\"") { isQuoted = false }
            } else if byte == UInt8(ascii: "\"") {
                isQuoted = true
            } else if byte == separator {
                elements.append(value[start..<index].trimmed)
                start = index + 1
            }
        }
        elements.append(value[start...].trimmed)
        return elements.filter { !$0.isEmpty }
    }

    /// The text before and after the first `=`; no value without one.
    package static func assignment(_ element: ArraySlice<UInt8>) -> (name: ArraySlice<UInt8>, value: ArraySlice<UInt8>?)
    {
        guard let equals = element.firstIndex(of: UInt8(ascii: "=")) else { return (element, nil) }
        return (element[..<equals], element[(equals + 1)...])
    }

    /// A quoted string without its quotes, escapes left as they are; anything else as it is.
    package static func unquoted(_ value: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard value.count >= 2, value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"") else {
            return value
        }
        return value.dropFirst().dropLast()
    }

    /// A number of digits and nothing else; `limit` when it is larger, nil when it is no such number.
    package static func number(_ value: ArraySlice<UInt8>, limit: Int) -> Int? {
        guard !value.isEmpty else { return nil }
        var result = 0
        for byte in value {
            guard byte.isDigit else { return nil }
            let (tens, overflow) = result.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            // Saturated, not stopped: a letter further on still makes it no number.
            result = overflow || carry ? limit : min(limit, sum)
        }
        return result
    }
}
