import Testing

@testable import JSONSchema

@Suite("Patterns")
struct PatternTests {
    private static func matches(_ pattern: String, _ text: String, steps: Int = 1_000_000) throws -> Bool? {
        let compiled = try Pattern(pattern, maxSize: 10_000)
        var matcher = PatternMatcher(steps: steps)
        let found = Array(text.utf8).withUnsafeBufferPointer { matcher.matches(compiled, $0) }
        return matcher.steps < 0 ? nil : found
    }

    @Test(
        "what matches",
        arguments: [
            ("", "", true), ("a", "bab", true), ("^a", "ba", false), ("a$", "ab", false), ("^a*$", "aaa", true),
            ("^a+$", "", false), ("^(a|bc)+?$", "abca", true), ("^(a|bc)+$", "abcb", false), ("^a{2}$", "aa", true),
            ("^a{2}$", "aaa", false), ("^a{2,}$", "aaaa", true), ("^a{0,2}$", "", true), ("^a{1,2}$", "aaa", false),
            ("a{x}", "a{x}", true), ("^(a{2}){2}$", "aaaa", true), ("^(?:ab)?$", "ab", true),
            ("^(?<year>\\d{4})-\\d\\d$", "2026-11", true), ("^.$", "\n", false), ("^.$", "🐲", true),
            ("^[^a]$", "🐲", true), ("^[a-c]$", "b", true), ("^[a-c-]$", "-", true), ("^[\\w-]+$", "a-b", true),
            ("^[\\]]$", "]", true), ("^[^]$", "\n", true), ("[]", "a", false), ("^\\uD83D\\uDC32$", "🐲", true),
            ("^\\u{1F432}$", "🐲", true), ("^\\x41\\cJ\\0$", "A\n\0", true), ("^\\s$", "\u{FEFF}", true),
            ("^\\S$", "\u{2003}", false), ("^\\p{Letter}+$", "éЖ中", true), ("^\\P{L}$", "é", false),
            ("^\\p{gc=Nd}$", "٣", true), ("^\\p{Lu}$", "a", false), ("^[\\p{Lu}\\d]+$", "A1", true),
            ("\\bfoo\\b", "a foo b", true), ("\\bfoo\\b", "afoo", false), ("\\Bo", "foo", true),
            ("^(?=.*\\d)(?=.*[a-z]).{3,}$", "ab1", true), ("^(?=.*\\d)(?=.*[a-z]).{3,}$", "abc", false),
            ("^(?!.*foo)", "bar", true), ("^(?!.*foo)", "a foo", false), ("(?<=\\$)\\d", "$5", true),
            ("(?<=\\$)\\d", "5", false), ("(?<!a)b", "ab", false), ("(?<!a)b", "cb", true),
            ("^(?!(?=a)b)a", "a", true), ("^(?=(?!b)a)a$", "a", true), ("(?<=(?<!x)ab)c", "abc", true),
            ("(?<=(?<!x)ab)c", "xabc", false), ("^(?=ab|ba)(a|b)+$", "ba", true), ("a(?=bc)", "abd", false),
            ("(a*)*b", "aaab", true), ("(?:a?){3}$", "aa", true), ("^(|a)+$", "aa", true), ("^$", "", true),
            ("x*$", "xxy", true), ("^\\/\\-\\_\\\"$", "/-_\"", true), ("}]", "}]", true),
        ]
    )
    func matching(pattern: String, text: String, expected: Bool) throws {
        #expect(try Self.matches(pattern, text) == expected)
        // One that is asked for often is followed by another automaton.
        let compiled = try Pattern(pattern, maxSize: 10_000)
        var matcher = PatternMatcher(steps: 1_000_000)
        for _ in 0..<40 {
            let found = Array(text.utf8).withUnsafeBufferPointer { matcher.matches(compiled, number: 3, $0) }
            #expect(found == expected)
        }
    }

    @Test("states that are remembered are few, and what is forgotten is found again")
    func manyStates() throws {
        let compiled = try Pattern("^(?:a|b)*a(?:a|b){12}$", maxSize: 10_000)
        var lazy = try #require(LazyAutomaton(compiled))
        var steps = 100_000_000
        var state: UInt64 = 1
        var found = 0
        for _ in 0..<400 {
            let text = (0..<200).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return state >> 40 & 1 == 0 ? UInt8(ascii: "a") : UInt8(ascii: "b")
            }
            let isMatch = text.withUnsafeBufferPointer { lazy.matches($0, steps: &steps) }
            #expect(isMatch == (text[187] == UInt8(ascii: "a")))
            found += isMatch ? 1 : 0
        }
        #expect(found > 100 && found < 300)
        #expect(steps > 0)
    }

    @Test(
        "what is refused, and where",
        arguments: [
            ("(a)\\1", 3, "a backreference cannot be matched in linear time"),
            ("(?<a>b)\\k<a>", 7, "a backreference cannot be matched in linear time"),
            ("(a", 2, "a group is not closed"), ("a)", 1, "a ) closes nothing"), ("[a", 2, "a class is not closed"),
            ("*", 0, "there is nothing to repeat"), ("^*", 2, "there is nothing to repeat"),
            ("a{2,1}", 6, "a repetition has its bounds in the wrong order"),
            ("[b-a]", 4, "a range is in the wrong order"), ("\\a", 2, "this escape is not known"),
            ("\\p{Script=Greek}", 16, "this Unicode property is not known here"),
            ("\\u{110000}", 10, "\\u{…} is no character"), ("a\\", 2, "the pattern ends after a backslash"),
            ("(?x)", 0, "this kind of group is not known"),
            ("(a{100}){101}", 0, "with its repetitions it has more than 10000 states"),
            (String(repeating: "(", count: 60), 50, "groups are nested more than 50 deep"),
        ]
    )
    func refused(pattern: String, offset: Int, reason: String) throws {
        do throws(PatternError) {
            _ = try Pattern(pattern, maxSize: 10_000)
            Issue.record("\(pattern) is taken")
        } catch {
            #expect(error.reason == reason)
            #expect(error.offset == offset)
        }
    }

    @Test(
        "patterns that explode elsewhere take steps in proportion to the text (S29)",
        arguments: [
            "^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*x", "^(a*)*$",
            "(?=(a+)+$)(a|aa)+$", "(x+x+)+y", "^(?:.*a){12}$",
        ]
    )
    func explosions(pattern: String) throws {
        func steps(_ count: Int) throws -> Int {
            let compiled = try Pattern(pattern, maxSize: 10_000)
            var matcher = PatternMatcher(steps: 100_000_000)
            let text = Array(repeating: UInt8(ascii: "a"), count: count) + [UInt8(ascii: "!")]
            _ = text.withUnsafeBufferPointer { matcher.matches(compiled, $0) }
            return 100_000_000 - matcher.steps
        }
        let (small, large) = (try steps(1_000), try steps(10_000))
        #expect(small > 1_000)
        #expect(large < small * 11)
    }

    @Test("the budget ends a match")
    func budget() throws {
        #expect(try Self.matches("a*b", String(repeating: "a", count: 100_000), steps: 10_000) == nil)
        #expect(try Self.matches("(?=a*b)c", String(repeating: "a", count: 100_000), steps: 10_000) == nil)
    }
}
