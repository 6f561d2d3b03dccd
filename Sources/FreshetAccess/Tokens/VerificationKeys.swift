// The keys of one issuer, ready to verify: for each `kid` and algorithm exactly one.

import Foundation
import FreshetCore
import JWTKit

/// A key that verifies with one algorithm.
struct VerificationKey: Sendable {
    /// From a collection that holds this key and no other.
    private let verifier: any JWTAlgorithm
    let fingerprint: Fingerprint

    /// `nil` where key and algorithm do not fit.
    ///
    /// JWTKit gives its verifiers out only by way of a collection. The collection's own look-up is not used: it falls back
    /// to the first key that was added, and it trusts the token's `alg` where a key has none.
    init?(_ key: JSONWebKey, _ algorithm: TokenAlgorithm) async {
        guard key.fits(algorithm) else { return nil }
        let collection = JWTKeyCollection()
        let digest = algorithm.digest
        switch key.material {
        case .p256(let key): await collection.add(ecdsa: key)
        case .p384(let key): await collection.add(ecdsa: key)
        case .p521(let key): await collection.add(ecdsa: key)
        case .rsa(let key) where algorithm.isPSS: await collection.add(pss: key, digestAlgorithm: digest)
        case .rsa(let key): await collection.add(rsa: key, digestAlgorithm: digest)
        case .ed25519(let key): await collection.add(eddsa: key)
        case .secret(let bytes): await collection.add(hmac: HMACKey(from: bytes), digestAlgorithm: digest)
        }
        guard let verifier = try? await collection.getKey(), verifier.name == algorithm.rawValue else { return nil }
        self.verifier = verifier
        self.fingerprint = key.fingerprint
    }

    /// Whether the signature is this key's. Takes some 0.1 ms of the thread.
    func verifies(_ signature: [UInt8], of text: ArraySlice<UInt8>) -> Bool {
        (try? self.verifier.verify(signature, signs: text)) ?? false
    }
}

extension TokenAlgorithm {
    var isPSS: Bool {
        switch self {
        case .ps256, .ps384, .ps512: true
        case .es256, .es384, .es512, .rs256, .rs384, .rs512, .edDSA, .hs256, .hs384, .hs512: false
        }
    }

    var digest: DigestAlgorithm {
        switch self {
        case .es256, .rs256, .ps256, .hs256: .sha256
        case .es384, .rs384, .ps384, .hs384: .sha384
        case .es512, .rs512, .ps512, .hs512, .edDSA: .sha512
        }
    }
}

/// The keys of one issuer by `kid` and algorithm. A value; any thread.
struct VerificationKeys: Sendable {
    private struct Slot: Hashable {
        let keyID: [UInt8]?
        let algorithm: TokenAlgorithm
    }

    /// A slot without a key is one that two different keys claim.
    private var slots: [Slot: VerificationKey?] = [:]
    /// Whether its only key answers to every `kid`: the shared secret of an issuer.
    private let ignoresKeyID: Bool
    private(set) var skipped: [KeySet.Skipped]
    /// Of the keys that are used.
    private(set) var fingerprints: Set<Fingerprint> = []

    /// Takes the keys of a set that fit one of the algorithms at least.
    init(_ set: KeySet, algorithms: Set<TokenAlgorithm>, ignoringKeyID: Bool = false) async {
        self.ignoresKeyID = ignoringKeyID
        self.skipped = set.skipped
        for (index, key) in set.keys.enumerated() {
            let fitting = algorithms.filter(key.fits)
            if fitting.isEmpty { self.skipped.append(KeySet.Skipped(index: index, reason: .unsupported)) }
            for algorithm in fitting {
                let slot = Slot(keyID: key.keyID, algorithm: algorithm)
                if let other = self.slots[slot] {
                    // The same key twice does no harm. Of two keys it is unknown which one a token means.
                    if other?.fingerprint == key.fingerprint { continue }
                    self.slots[slot] = .some(nil)
                    self.skipped.append(KeySet.Skipped(index: index, reason: .ambiguous))
                } else if let verifier = await VerificationKey(key, algorithm) {
                    self.slots[slot] = verifier
                }
            }
        }
        self.fingerprints = Set(self.slots.values.compactMap { $0?.fingerprint })
    }

    /// The one key that a token may be signed with: of this `kid`; for a token without one, the only key that fits.
    func key(_ keyID: [UInt8]?, _ algorithm: TokenAlgorithm) -> VerificationKey? {
        if let keyID, !self.ignoresKeyID { return self.slots[Slot(keyID: keyID, algorithm: algorithm)] ?? nil }
        let fitting = self.slots.filter { $0.key.algorithm == algorithm }
        return fitting.count == 1 ? fitting.first?.value ?? nil : nil
    }
}
