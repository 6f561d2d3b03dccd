// A JSON Web Key Set (RFC 7517 §5): the keys of one issuer, as it publishes them.

import JSON

/// The usable keys of a set, and why the others are not.
struct KeySet: Sendable {
    /// The longest set, in bytes: 100 RSA keys of 8192 bits with their certificates.
    static let maxBytes = 512 << 10
    /// The most keys of a set; later ones are not used.
    static let maxKeys = 100
    private static let maxNodes = 20_000

    /// A key that is not used, by its place in the set.
    struct Skipped: Hashable, Sendable {
        let index: Int
        let reason: JSONWebKey.Unusable
    }

    private(set) var keys: [JSONWebKey] = []
    private(set) var skipped: [Skipped] = []

    /// `nil` for what is no key set at all: too long, not JSON, no object, a name twice, no array `keys`.
    init?(_ bytes: [UInt8]) {
        guard let set = StrictJSON.object(bytes, maxBytes: Self.maxBytes, maxNodes: Self.maxNodes),
            let keys = set["keys"], keys.kind == .array
        else { return nil }
        for (index, value) in keys.elements.enumerated() {
            guard index < Self.maxKeys else {
                self.skipped.append(Skipped(index: index, reason: .tooMany))
                break
            }
            do throws(JSONWebKey.Unusable) {
                self.keys.append(try JSONWebKey(value))
            } catch {
                self.skipped.append(Skipped(index: index, reason: error))
            }
        }
        self.skipSecretsAmongOthers()
    }

    private mutating func skipSecretsAmongOthers() {
        guard self.keys.contains(where: \.isSecret), !self.keys.allSatisfy(\.isSecret) else { return }
        for index in self.keys.indices where self.keys[index].isSecret {
            self.skipped.append(Skipped(index: index, reason: .published))
        }
        self.keys.removeAll(where: \.isSecret)
    }

    /// One secret that every `kid` names.
    init(secret: [UInt8]) {
        self.keys = [JSONWebKey(secret: secret)]
    }
}
