// A second opinion: JSON as plain Swift values, with a slow parser that follows the grammar letter by letter.

/// A JSON value as an enum. Numbers in a canonical spelling, so that `==` is exact JSON equality.
indirect enum Model: Hashable {
    case null
    case bool(Bool)
    case number(String)
    case string([UInt8])
    case array([Model])
    case object([[UInt8]: Model])

    /// The same as the parser of the room has it; nil for what is no JSON text. For shallow texts: it recurses.
    static func parse(_ bytes: [UInt8], maxDepth: Int = 128) -> (value: Model, minified: [UInt8])? {
        var reader = ReferenceParser(bytes: bytes, maxDepth: maxDepth)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { reader.position = 3 }
        guard let value = reader.value(depth: 0) else { return nil }
        reader.skip()
        return reader.position == bytes.count ? value : nil
    }
}

private struct ReferenceParser {
    typealias Parsed = (value: Model, minified: [UInt8])

    let bytes: [UInt8]
    let maxDepth: Int
    var position = 0

    init(bytes: [UInt8], maxDepth: Int) {
        self.bytes = bytes
        self.maxDepth = maxDepth
    }

    var next: UInt8? { self.position < self.bytes.count ? self.bytes[self.position] : nil }

    mutating func skip() {
        while let byte = self.next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { self.position += 1 }
    }

    mutating func take(_ text: String) -> Bool {
        guard self.bytes[self.position...].starts(with: text.utf8) else { return false }
        self.position += text.utf8.count
        return true
    }

    mutating func value(depth: Int) -> Parsed? {
        self.skip()
        switch self.next {
        case UInt8(ascii: "{"): return depth < self.maxDepth ? self.object(depth: depth + 1) : nil
        case UInt8(ascii: "["): return depth < self.maxDepth ? self.array(depth: depth + 1) : nil
        case UInt8(ascii: "\""): return self.string().map { (.string($0.value), $0.source) }
        case UInt8(ascii: "t"): return self.take("true") ? (.bool(true), Array("true".utf8)) : nil
        case UInt8(ascii: "f"): return self.take("false") ? (.bool(false), Array("false".utf8)) : nil
        case UInt8(ascii: "n"): return self.take("null") ? (.null, Array("null".utf8)) : nil
        default: return self.number()
        }
    }

    mutating func array(depth: Int) -> Parsed? {
        self.position += 1
        var values: [Model] = []
        var texts: [[UInt8]] = []
        self.skip()
        if self.take("]") { return (.array([]), Array("[]".utf8)) }
        while true {
            guard let element = self.value(depth: depth) else { return nil }
            values.append(element.value)
            texts.append(element.minified)
            self.skip()
            if self.take("]") { break }
            guard self.take(",") else { return nil }
        }
        return (.array(values), [0x5B] + Array(texts.joined(separator: [0x2C])) + [0x5D])
    }

    mutating func object(depth: Int) -> Parsed? {
        self.position += 1
        var members: [(name: [UInt8], value: Model, text: [UInt8])] = []
        self.skip()
        if self.take("}") { return (.object([:]), Array("{}".utf8)) }
        while true {
            self.skip()
            guard self.next == UInt8(ascii: "\""), let name = self.string() else { return nil }
            self.skip()
            guard self.take(":"), let value = self.value(depth: depth) else { return nil }
            members.removeAll { $0.name == name.value }
            members.append((name.value, value.value, name.source + [0x3A] + value.minified))
            self.skip()
            if self.take("}") { break }
            guard self.take(",") else { return nil }
        }
        let object = Dictionary(members.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
        return (.object(object), [0x7B] + Array(members.map(\.text).joined(separator: [0x2C])) + [0x7D])
    }

    mutating func string() -> (value: [UInt8], source: [UInt8])? {
        let start = self.position
        self.position += 1
        var units: [UInt8] = []
        while let byte = self.next {
            self.position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard String(validating: units, as: UTF8.self) != nil else { return nil }
                return (units, Array(self.bytes[start..<self.position]))
            case UInt8(ascii: "\\"):
                guard let scalar = self.escape() else { return nil }
                units += Array(String(Character(scalar)).utf8)
            case 0x20...:
                units.append(byte)
            default:
                return nil
            }
        }
        return nil
    }

    mutating func escape() -> Unicode.Scalar? {
        guard let letter = self.next else { return nil }
        self.position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(letter)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default: return nil
        }
        guard let first = self.hexadecimal() else { return nil }
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, self.take("\\u"), let second = self.hexadecimal(), (0xDC00...0xDFFF).contains(second)
        else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xD800) * 0x400 + (second - 0xDC00))
    }

    mutating func hexadecimal() -> UInt32? {
        let digits = self.bytes[self.position...].prefix(4)
        guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit && $0 < 0x80 }) else {
            return nil
        }
        self.position += 4
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    }

    mutating func number() -> Parsed? {
        let start = self.position
        func isDigit(_ byte: UInt8?) -> Bool { byte.map { (0x30...0x39).contains($0) } ?? false }
        _ = self.take("-")
        guard isDigit(self.next) else { return nil }
        if !self.take("0") { while isDigit(self.next) { self.position += 1 } }
        if self.take(".") {
            guard isDigit(self.next) else { return nil }
            while isDigit(self.next) { self.position += 1 }
        }
        if self.take("e") || self.take("E") {
            _ = self.take("+") || self.take("-")
            guard isDigit(self.next) else { return nil }
            while isDigit(self.next) { self.position += 1 }
        }
        let text = Array(self.bytes[start..<self.position])
        return (.number(Self.canonical(String(decoding: text, as: UTF8.self))), text)
    }

    /// Sign, significant digits and the exponent behind them: `1200e-1` is `12e1`.
    static func canonical(_ text: String) -> String {
        let parts = text.lowercased().split(separator: "e")
        let mantissa = parts[0].drop { $0 == "-" }.split(separator: ".")
        let fraction = mantissa.count > 1 ? mantissa[1] : ""
        var digits = String((mantissa[0] + fraction).drop { $0 == "0" })
        guard !digits.isEmpty else { return "0" }
        guard let exponent = parts.count > 1 ? Int(parts[1]) : 0 else { return text }
        var scale = exponent - fraction.count
        while digits.hasSuffix("0") {
            digits.removeLast()
            scale += 1
        }
        return "\(text.hasPrefix("-") ? "-" : "")\(digits)e\(scale)"
    }
}
