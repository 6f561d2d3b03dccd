// What a damaged disk, or whoever may write into the broker's stream, can put into the place of a number or a text.

/// Texts and bytes with one value in them replaced by an extreme one.
package enum HostileValues {
    private static let numbers = [
        "-9223372036854775808", "9223372036854775807", "9223372036854775808", "18446744073709551615", "0", "-1", "1",
        "1e308",
        "-1e400", "0.5", "null",
    ]
    private static let strings = [
        #""""#, #""\u0000""#, #""a\u0000b\r\n""#, "\"\(String(repeating: "x", count: 4000))\"", "7", "[]",
        #""0-18446744073709551615""#, #""8-18446744073709551615""#, #""zzzzzz-9223372036854775807""#,
    ]

    /// The text with each of its numbers, and each of its strings, replaced one at a time.
    package static func variants(of json: [UInt8]) -> [[UInt8]] {
        var variants: [[UInt8]] = []
        var index = 0
        while index < json.count {
            let start = index
            var replacements: [String] = []
            if json[index] == UInt8(ascii: "\"") {
                index += 1
                while index < json.count, json[index] != UInt8(ascii: "\"") {
                    index += json[index] == UInt8(ascii: "\\") ? 2 : 1
                }
                index += 1
                replacements = Self.strings
            } else if json[index] == UInt8(ascii: "-") || (0x30...0x39).contains(json[index]) {
                index += 1
                while index < json.count, (0x30...0x39).contains(json[index]) { index += 1 }
                replacements = Self.numbers
            } else {
                index += 1
            }
            for text in replacements { variants.append(json[..<start] + Array(text.utf8) + json[index...]) }
        }
        return variants
    }

    /// The bytes with an extreme number of one, two, four or eight bytes at each place.
    package static func variants(ofBinary bytes: [UInt8]) -> [[UInt8]] {
        var variants: [[UInt8]] = []
        for width in [1, 2, 4, 8] where bytes.count >= width {
            for place in 0...(bytes.count - width) {
                for number in [0, .max, .min, -1, 1] as [Int64] {
                    // Of a narrower number, the extremes are those of its width.
                    let value = number == .max || number == .min ? number >> (64 - 8 * width) : number
                    var other = bytes
                    for offset in 0..<width {
                        other[place + offset] = UInt8(truncatingIfNeeded: value >> (8 * offset))
                    }
                    variants.append(other)
                }
            }
        }
        return variants
    }
}
