import Testing

@testable import FreshetCore

@Suite("Grants")
struct GrantsTests {
    /// Every pattern of up to two terms over a small alphabet.
    private static let names = ["a", "b", "aa", "ab", "abb"]
    private static let patterns: [SourcePattern] = {
        let terms = [.prefix("")] + names.flatMap { [SourceSelector.Term.exact($0), .prefix($0)] }
        let pairs = terms.indices.flatMap { first in terms[first...].map { SourcePattern([terms[first], $0]) } }
        return [.none] + Set(pairs)
    }()

    @Test("an intersection names what both name, whichever comes first")
    func intersection() {
        #expect(Self.patterns.count > 40)
        for left in Self.patterns {
            for right in Self.patterns {
                let both = left.intersection(right)
                let wrong = (Self.names + ["c", "abc", "aaa"]).filter {
                    both.matches($0) != (left.matches($0) && right.matches($0))
                }
                #expect(wrong.isEmpty && both == right.intersection(left), "\(left.terms) and \(right.terms)")
            }
        }
    }

    @Test("what is not granted is not allowed")
    func nothingByDefault() {
        let grants = Grants()
        #expect(!grants.read.matches("a") && !grants.write.matches("a") && !grants.publish.matches("a"))
        #expect(!grants.admin)
        #expect(Grants.open.read.matches("a") && !Grants.open.admin)
    }

    @Test("a credential is dead at the time that it names, and not before")
    func expiry() {
        let principal = Principal(kind: .jwt, id: "x", grants: Grants(), validUntil: WallTime(milliseconds: 1000))
        #expect(!principal.isExpired(at: WallTime(milliseconds: 999)))
        #expect(principal.isExpired(at: WallTime(milliseconds: 1000)))
    }
}
