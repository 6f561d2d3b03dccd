// `${VAR}` and `${VAR:-default}` inside a value, after parsing: a variable can change a value, never the structure.

/// A value whose variables were put in.
struct Expansion: Hashable, Sendable {
    var text: String
    /// The variables that took part, in order. Where there are any, no message shows `text`.
    var variables: [String]

    /// The longest text that an expansion may give.
    static let maxBytes = 64 << 10

    /// Why a value could not be expanded. Names the variable, never a value.
    struct Failure: Error, Hashable, Sendable {
        var what: String
        var fix: String
    }

    /// Puts the variables of `raw` in; `environment` gives the value of one, or `nil` where it is not set.
    ///
    /// - Throws: ``Failure`` for an unset variable without default, and for any other form.
    ///   `$${` stands for `${` as text, and a `$` before anything else for itself.
    static func expand(
        _ raw: String,
        environment: (String) -> String?
    ) throws(Failure) -> Expansion {
        var result = Expansion(text: "", variables: [])
        var rest = Substring(raw)
        while let dollar = rest.firstIndex(of: "$") {
            result.text += rest[..<dollar]
            rest = rest[dollar...]
            if rest.hasPrefix("$${") {
                result.text += "${"
                rest = rest.dropFirst(3)
            } else if rest.hasPrefix("${") {
                guard let end = rest.firstIndex(of: "}") else {
                    throw Failure(what: "\"${\" without \"}\"", fix: "write ${NAME}, or $${ for the two characters")
                }
                let reference = rest[rest.index(rest.startIndex, offsetBy: 2)..<end]
                rest = rest[rest.index(after: end)...]
                result.text += try self.value(of: reference, in: &result.variables, environment: environment)
            } else {
                result.text += "$"
                rest = rest.dropFirst()
            }
            guard result.text.utf8.count <= self.maxBytes else {
                throw Failure(what: "the expanded value is longer than 64KiB", fix: "put it in a file")
            }
        }
        result.text += rest
        return result
    }

    private static func value(
        of reference: Substring,
        in variables: inout [String],
        environment: (String) -> String?
    ) throws(Failure) -> String {
        let name = reference.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        let rest = reference.dropFirst(name.count)
        guard !name.isEmpty, name.first?.isNumber == false, rest.isEmpty || rest.hasPrefix(":-"),
            !rest.contains("${")
        else {
            throw Failure(
                what: "\"${\(reference)}\" is not a variable",
                fix: "write ${NAME} or ${NAME:-default}, or $${ for the two characters"
            )
        }
        variables.append(String(name))
        let value = environment(String(name))
        if rest.isEmpty {
            guard let value else {
                throw Failure(
                    what: "the environment variable \(name) is not set",
                    fix: "set it, or give a default: ${\(name):-…}"
                )
            }
            return value
        }
        guard let value, !value.isEmpty else { return String(rest.dropFirst(2)) }
        return value
    }
}
