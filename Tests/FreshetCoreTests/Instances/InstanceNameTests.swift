import Foundation
import Testing

@testable import FreshetCore

@Suite("Names of instances")
struct InstanceNameTests {
    @Test(
        "a name has one form, however its values are encoded",
        arguments: [
            ("user/42", "user/42", ["42"]), ("user/%34%32", "user/42", ["42"]), ("user/a%20b", "user/a%20b", ["a b"]),
            ("user/a b", "user/a%20b", ["a b"]), ("user/a%2fb", "user/a%2Fb", ["a/b"]),
            ("user/auth0%7C1", "user/auth0%7C1", ["auth0|1"]), ("user/auth0|1", "user/auth0%7C1", ["auth0|1"]),
            ("a.b-c/x/y/z", "a.b-c/x/y/z", ["x", "y", "z"]), ("user/%C3%A9", "user/%C3%A9", ["é"]),
            ("user/é", "user/%C3%A9", ["é"]), ("user/...", "user/...", ["..."]), ("user/%2525", "user/%2525", ["%25"]),
            ("user/a,b", "user/a%2Cb", ["a,b"]), ("user/*", "user/%2A", ["*"]),
        ]
    )
    func form(text: String, name: String, values: [String]) throws {
        let instance = try #require(InstanceName(text))
        #expect(instance.text == name)
        #expect(instance.values.map { Array($0.utf8) } == values.map { Array($0.utf8) })
        #expect(InstanceName(name) == instance, "the form is one of its own")
        #expect(name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !#""\,*"#.utf8.contains($0) })
    }

    @Test(
        "what is no name, whatever the templates are",
        arguments: [
            "user", "user/", "user//", "user/a/", "/42", "User/42", "us er/42", "user/.", "user/..", "user/%2e%2E",
            "user/%2E", "user/%", "user/%4", "user/%zz", "user/%C3", "user/%c0%ae", "user/%ff", "user/%00",
            "user/a%0ab",
            "user/%7f", "user/%C2%85", "user/1/2/3/4/5/6/7/8/9", "user/" + String(repeating: "a", count: 600),
            "user/" + String(repeating: "é", count: 100), "", "/", "%75ser/42",
        ]
    )
    func noName(text: String) {
        #expect(InstanceName(text) == nil)
    }

    @Test("texts that Swift takes for equal are two values")
    func canonicalEquivalence() throws {
        let (one, other) = (try #require(InstanceName("user/e%CC%81")), try #require(InstanceName("user/%C3%A9")))
        #expect(one.values == other.values, "as texts they are the same")
        #expect(one != other && one.text != other.text)
    }

    @Test("every value comes back out of its name", arguments: 0..<64)
    func roundTrip(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(seed))
        for _ in 0..<100 {
            let scalars = (0..<Int.random(in: 1...12, using: &generator)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0x20...0x2FF, using: &generator))
            }.filter { !(0x7F...0x9F).contains($0.value) }
            let value = String(String.UnicodeScalarView(scalars))
            guard !value.isEmpty, value != ".", value != ".." else { continue }
            let encoded = value.addingPercentEncoding(withAllowedCharacters: .alphanumerics)
            let name = try #require(InstanceName("t/\(encoded ?? "")"))
            #expect(name.values.first?.utf8.elementsEqual(value.utf8) == true)
            #expect(InstanceName(name.text)?.values.first?.utf8.elementsEqual(value.utf8) == true)
        }
    }
}

/// SplitMix64.
private struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var z = self.state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite("Selectors and grants of instances")
struct InstancePatternTests {
    private func pattern(_ text: String) throws -> SourcePattern { SourcePattern(try #require(SourceSelector(text))) }

    @Test(
        "who may read what",
        arguments: [
            ("*", "user/42", true), ("user", "user/42", true), ("user", "users/42", false),
            ("user/42", "user/42", true),
            ("user/42", "user/43", false), ("user/4*", "user/42", true), ("user/4*", "user/52", false),
            ("user/*", "user/42", true), ("user/*", "user", false), ("us*", "user/42", true),
            ("rates", "user/42", false),
            ("user/%34%32", "user/42", true), ("rates,user/42,b*", "user/42", true), ("a,user,z", "user/1/2", true),
        ]
    )
    func grants(grant: String, name: String, isGranted: Bool) throws {
        #expect(try self.pattern(grant).matches(name) == isGranted)
        let named = try self.pattern(name)
        #expect(try named.intersection(self.pattern(grant)) == (isGranted ? named : .none))
        #expect(try self.pattern(grant).covers(.exact(name)) == isGranted)
    }

    @Test("a prefix names no instance, and an instance that is named stays beside it")
    func prefixes() throws {
        let all = try self.pattern("*,user/42")
        #expect(all.instances == ["user/42"] && all.isAll)
        #expect(try self.pattern("*").intersection(self.pattern("user/42")).instances.isEmpty)
        #expect(all.intersection(try self.pattern("user")).terms.map(\.description) == ["user", "user/42"])
        #expect(all.filteringInstances { _ in false } == .all)
        #expect(all.names("user/42") && all.names("rates") && !all.names("user/43"))
        #expect(
            !all.filteringInstances { _ in false }.names("user/42"),
            "a stream that lost it does not keep it by its `*`"
        )
        #expect(try self.pattern("user/42,rates") == self.pattern("rates,user/%342,user/42"))
        #expect(try #require(SourceSelector("user/a%2Cb,rates")).terms == [.exact("user/a%2Cb"), .exact("rates")])
        for text in ["user/", "user/../x", "user/42/", "/x", "user/4**", "user/é*", "user/ *"] {
            #expect(SourceSelector(text) == nil, "\(text)")
        }
    }
}
