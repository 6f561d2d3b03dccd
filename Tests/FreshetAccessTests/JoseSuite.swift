import FreshetTesting
import JSON
import Testing

@testable import FreshetAccess

/// The vectors of `suites/jose`: RFC 7515, the cookbook of RFC 7520, Wycheproof.
enum JoseSuite {
    static let isPresent = (try? Suites.bytes("jose/rfc-examples.json")) != nil

    struct Vector: CustomTestStringConvertible {
        let name: String
        let keys: [UInt8]
        let token: [UInt8]
        let isValid: Bool

        var testDescription: String { self.name }
    }

    static func document(_ path: String) throws -> Value {
        try Document(parsing: Suites.bytes("jose/\(path)")).root
    }

    /// The signatures of a file of Wycheproof; what it has about encryption is not ours.
    static func wycheproof(_ name: String) throws -> [Vector] {
        var vectors: [Vector] = []
        for group in try self.document("wycheproof/testvectors_v1/\(name).json")["testGroups"]?.elements.map({ $0 })
            ?? []
        {
            guard let key = group["public"] ?? group["private"] else { continue }
            let keys = key["keys"] == nil ? Array(#"{"keys":["#.utf8) + key.text + Array("]}".utf8) : Array(key.text)
            for test in group["tests"]?.elements.map({ $0 }) ?? [] {
                guard let id = test["tcId"]?.int, let jws = test["jws"] else { continue }
                vectors.append(
                    Vector(
                        name: "\(name) \(id) \(test["comment"]?.string ?? "")",
                        keys: keys,
                        // What is no text is JSON serialization.
                        token: jws.utf8 ?? Array(jws.text),
                        isValid: test["result"]?.string == "valid"
                    )
                )
            }
        }
        return vectors
    }

    /// Whether the token is signed by the key of the set that it means, where an issuer has these algorithms.
    static func accepts(_ vector: Vector, _ algorithms: Set<TokenAlgorithm>) async -> Bool {
        guard let set = KeySet(vector.keys), let text = try? SignedText(vector.token), let algorithm = text.algorithm,
            algorithms.contains(algorithm)
        else { return false }
        let keys = await VerificationKeys(set, algorithms: algorithms)
        return keys.key(text.keyID, algorithm)?.verifies(text.signature, of: text.signedBytes) ?? false
    }

    /// As a configuration may have them: a secret is never among public keys.
    static func accepts(_ vector: Vector) async -> Bool {
        let secret = Set(TokenAlgorithm.allCases.filter { $0.family == .hmac })
        if await self.accepts(vector, secret) { return true }
        return await self.accepts(vector, Set(TokenAlgorithm.allCases).subtracting(secret))
    }
}
