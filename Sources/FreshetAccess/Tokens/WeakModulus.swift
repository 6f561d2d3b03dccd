// RSA keys that can be factored by anybody (CVE-2017-15361).

/// Finds moduli of the RSA library of Infineon, whose primes have few possible values: "The Return of Coppersmith's Attack",
/// Nemec and others, CCS 2017.
enum WeakModulus {
    /// For each small prime the powers of 65537, of which such a modulus is always one.
    private static let residues: [(prime: Int, powers: Set<Int>)] = [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ].map { prime in
        var powers: Set<Int> = []
        var power = 1
        while powers.insert(power).inserted { power = power * 65_537 % prime }
        return (prime, powers)
    }

    /// Whether a modulus, most significant byte first, is one of them; of others one in a hundred million seems so.
    static func isOfROCA(_ modulus: [UInt8]) -> Bool {
        self.residues.allSatisfy { prime, powers in
            powers.contains(modulus.reduce(0) { ($0 << 8 | Int($1)) % prime })
        }
    }
}
