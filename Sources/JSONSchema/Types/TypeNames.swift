// Names of types and members, from names of sources and of JSON.

/// Gives each object a name of its own.
struct TypeNames {
    private var taken: Set<String>

    /// `reserved`: names that mean something else already.
    init(reserved: Set<String>) {
        self.taken = reserved
    }

    /// A name in upper camel case that was not given yet: `BikeStation`, `BikeStation2`.
    mutating func next(_ text: String) -> String {
        let words = Self.words(of: text)
        var name = words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
        if name.isEmpty { name = "Value" }
        if name.first?.isNumber == true { name = "N\(name)" }
        name = String(name.prefix(80))
        guard self.taken.contains(name) else {
            self.taken.insert(name)
            return name
        }
        var number = 2
        while self.taken.contains("\(name)\(number)") { number += 1 }
        self.taken.insert("\(name)\(number)")
        return "\(name)\(number)"
    }

    /// A name in lower camel case: `openRegistrations`. Empty where nothing of the text can stand in one.
    static func member(_ text: String) -> String {
        let words = self.words(of: text)
        guard let first = words.first else { return "" }
        // `ID` is `id`, `URLPath` stays readable as `urlPath` would.
        let start = first.allSatisfy { $0.isUppercase || $0.isNumber } ? first.lowercased() : Self.lowered(first)
        let name = start + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
        return String((name.first?.isNumber == true ? "n\(name)" : name).prefix(80))
    }

    private static func lowered(_ word: String) -> String { word.prefix(1).lowercased() + word.dropFirst() }

    /// Runs of ASCII letters and digits.
    private static func words(of text: String) -> [String] {
        text.split { !($0.isASCII && ($0.isLetter || $0.isNumber)) }.map(String.init)
    }

    /// The name of one item of a list called so: `incidents` has an `incident`.
    static func singular(_ text: String) -> String {
        if text.hasSuffix("ies"), text.count > 4 { return "\(text.dropLast(3))y" }
        if text.hasSuffix("ses") || text.hasSuffix("xes"), text.count > 4 { return String(text.dropLast(2)) }
        if text.hasSuffix("s"), !text.hasSuffix("ss"), text.count > 2 { return String(text.dropLast()) }
        return "\(text)Item"
    }
}
