import Testing

@testable import FreshetStorage

@Suite("Checksum")
struct ChecksumTests {
    @Test(
        "XXH64 of published examples",
        arguments: [
            ("", 0xEF46_DB37_51D8_E999),
            ("a", 0xD24E_C4F1_A98C_6E5B),
            ("abc", 0x44BC_2CF5_AD77_0999),
            ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
        ] as [(String, UInt64)]
    )
    func vectors(text: String, expected: UInt64) {
        let hash = Array(text.utf8).withUnsafeBytes { XXH64.hash($0) }
        #expect(hash == expected)
    }

    @Test("a flipped bit, a moved boundary and a missing column each change the sum")
    func differs() {
        func sum(_ first: [UInt8]?, _ second: [UInt8]?) -> Int64 {
            var sum = Checksum(2)
            sum.add(first)
            sum.add(second)
            return sum.stored
        }
        let sums = [
            sum([1, 2, 3], [4]), sum([1, 2], [3, 4]), sum([1, 2, 3, 4], []), sum([1, 2, 3, 4], nil),
            sum([1, 2, 3], [5]),
            sum(nil, [1, 2, 3, 4]), sum([], [1, 2, 3, 4]),
        ]
        #expect(Set(sums).count == sums.count)
    }
}

@Suite("Failpoint")
struct FailpointTests {
    @Test(
        "the variable is a name, or a name and a count",
        arguments: [
            ("after-commit", "after-commit", 1), ("after-commit:3", "after-commit", 3), ("", nil, 0), (":3", nil, 0),
            ("x:0", nil, 0), ("x:-1", nil, 0), ("x:y", nil, 0), ("x:", nil, 0),
        ] as [(String, String?, Int)]
    )
    func parse(variable: String, name: String?, count: Int) {
        let armed = Armed(variable: variable)
        #expect(armed?.name == name)
        #expect(armed?.count ?? 0 == count)
    }
}
