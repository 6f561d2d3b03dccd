import Foundation
import FreshetTesting
import JSON
import Testing

@testable import FreshetAccess

@Suite("JOSE suite", .enabled(if: JoseSuite.isPresent, "no suites: set FRESHET_SUITES"))
struct JoseSuiteTests {
    /// Where this gateway is stricter than the vectors, or reads them otherwise, and why.
    private static let exceptions: [String: String] = {
        let zeros = "the secret is 32 zeros, which this gateway refuses"
        let other = "the key names another algorithm than the token, or one that no RFC has"
        let signatures: [(String, String)] = [
            ("346 Figure20", other), ("347 Figure27", other), ("350 Figure20", other), ("351 Figure27", other),
            ("357 ValidMac", zeros), ("358 ValidEdgeCaseMac", zeros), ("359 ValidEdgeCaseMac", zeros),
            ("372 InvalidCharacterInsertedInHeader", zeros), ("373 InvalidCharacterInsertedInPayload", zeros),
            ("376 ValidSpacesInJsonHeader", zeros), ("377 ValidWhiteSpaceInJsonHeader", zeros),
        ]
        var exceptions: [String: String] = [:]
        for (name, reason) in signatures { exceptions["json_web_signature_test \(name)"] = reason }
        exceptions["json_web_key_test 4 rejectsDuplicateKid"] =
            "the second key is not base64url, so the first is the only one"
        return exceptions
    }()

    @Test(
        "Wycheproof's signatures are accepted and refused as it says",
        arguments: ["json_web_signature_test", "json_web_crypto_test", "json_web_key_test"]
    )
    func wycheproof(file: String) async throws {
        let vectors = try JoseSuite.wycheproof(file)
        var counts = (valid: 0, invalid: 0)
        for vector in vectors {
            let isAccepted = await JoseSuite.accepts(vector)
            if let reason = Self.exceptions[vector.name] {
                #expect(isAccepted != vector.isValid, "\(vector.name) is no exception any more: \(reason)")
            } else {
                #expect(isAccepted == vector.isValid, "\(vector.name)")
            }
            if isAccepted { counts.valid += 1 } else { counts.invalid += 1 }
        }
        #expect(counts.valid > 0 && counts.invalid > 0)
    }

    @Test("the examples of RFC 7515 verify, and the unsecured one does not", arguments: ["A1", "A2", "A3", "A4"])
    func examples(name: String) async throws {
        let example = try #require(try JoseSuite.document("rfc-examples.json")["rfc7515_\(name)"])
        let key = try #require(example["public_jwk"] ?? example["key_jwk"])
        let vector = JoseSuite.Vector(
            name: name,
            keys: Array(#"{"keys":["#.utf8) + key.text + Array("]}".utf8),
            token: try #require(example["jws"]?.utf8),
            isValid: true
        )
        #expect(await JoseSuite.accepts(vector))
        var changed = vector.token
        changed[changed.count - 5] ^= 1
        #expect(
            await !JoseSuite.accepts(JoseSuite.Vector(name: name, keys: vector.keys, token: changed, isValid: false))
        )
    }

    @Test("the unsecured example of RFC 7515 names no algorithm that a configuration could name")
    func unsecured() throws {
        let example = try #require(try JoseSuite.document("rfc-examples.json")["rfc7515_A5_unsecured"])
        let text = try SignedText(try #require(example["jws"]?.utf8))
        #expect(text.algorithm == nil && text.signature.isEmpty)
    }

    @Test("the cookbook's compact signatures verify, and its unencoded payloads are refused")
    func cookbook() async throws {
        let folder = Suites.folder.appending(path: "jose/cookbook-rfc7520")
        var verified = 0
        var refused = 0
        // What is not signed, or not in one piece.
        let others = ["4_5.signature_with_detached_content.json", "ecdh-es.json"]
        for part in ["jws", "curve25519", "rfc7797"] {
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: part).path)
            for name in names.sorted() where name.hasSuffix(".json") && !others.contains(name) {
                let file = try JoseSuite.document("cookbook-rfc7520/\(part)/\(name)")
                guard let key = file["input"]?["key"], key.kind == .object,
                    let compact = file["output"]?["compact"]?.utf8
                else { continue }
                // The files have the private keys; a set would have the public part.
                let hidden = ["d", "p", "q", "dp", "dq", "qi"]
                let members = key.members.filter { !hidden.contains($0.name) }
                    .map { #""\#($0.name)":\#(String(decoding: $0.value.text, as: UTF8.self))"# }
                let vector = JoseSuite.Vector(
                    name: name,
                    keys: Array(#"{"keys":[{\#(members.joined(separator: ","))}]}"#.utf8),
                    token: compact,
                    isValid: part != "rfc7797"
                )
                #expect(await JoseSuite.accepts(vector) == vector.isValid, "\(part)/\(name)")
                if vector.isValid { verified += 1 } else { refused += 1 }
            }
        }
        #expect(verified >= 5 && refused >= 1, "\(verified) verified, \(refused) refused")
    }
}
