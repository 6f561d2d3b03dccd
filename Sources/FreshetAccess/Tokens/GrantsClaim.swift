// The claim `freshet`: what the issuer lets the bearer of a token do (CONTRACT §8).

import FreshetCore
import JSON

extension Grants {
    /// Reads `{"read":[…],"write":[…],"publish":[…],"admin":true,"parameters":{"id":"42"}}`.
    ///
    /// A missing member grants nothing, an unknown one is ignored, and one of the wrong type or with something that is no
    /// pattern spoils the whole: a token that is half understood is not used. A missing claim grants nothing.
    ///
    /// - Throws: `grants`.
    init(claim: Value?) throws(CredentialProblem) {
        self.init()
        guard let claim else { return }
        guard claim.kind == .object else { throw CredentialProblem(.grants) }
        self.read = try Self.pattern(claim["read"])
        self.write = try Self.pattern(claim["write"])
        self.publish = try Self.pattern(claim["publish"])
        if let admin = claim["admin"] {
            guard let isAdmin = admin.bool else { throw CredentialProblem(.grants) }
            self.admin = isAdmin
        }
        self.parameters = try Self.parameters(claim["parameters"])
    }

    private static func pattern(_ value: Value?) throws(CredentialProblem) -> SourcePattern {
        guard let value else { return .none }
        guard value.kind == .array, value.count <= SourceSelector.maxTerms else { throw CredentialProblem(.grants) }
        var terms: [SourceSelector.Term] = []
        for element in value.elements {
            guard let text = element.string, let selector = SourceSelector(text), selector.terms.count == 1 else {
                throw CredentialProblem(.grants)
            }
            terms += selector.terms
        }
        return SourcePattern(terms)
    }

    private static func parameters(_ value: Value?) throws(CredentialProblem) -> [String: String] {
        guard let value else { return [:] }
        guard value.kind == .object else { throw CredentialProblem(.grants) }
        var parameters: [String: String] = [:]
        for member in value.members {
            // Two names that Swift takes for one are two in JSON.
            guard let text = member.value.string, parameters.updateValue(text, forKey: member.name) == nil else {
                throw CredentialProblem(.grants)
            }
        }
        return parameters
    }

    /// What a ticket carries of it: what a stream needs, and nothing that could change something.
    var forStreams: Grants {
        Grants(read: self.read, parameters: self.parameters)
    }
}
