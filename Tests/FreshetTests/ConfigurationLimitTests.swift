// Configurations that are too much: size, depth, number, cycles. Files are made up in memory.

import FreshetCore
import System
import Testing

@testable import FreshetConfiguration
@testable import freshet

/// Files in memory.
struct MadeUpFiles: Sendable {
    var texts: [String: String]

    var files: ConfigurationFiles {
        let texts = self.texts
        return ConfigurationFiles(
            read: { (path, limit, _) throws(ConfigurationFiles.Failure) in
                guard let text = texts[path] else {
                    throw ConfigurationFiles.Failure(what: "does not exist", fix: "check the path")
                }
                guard text.utf8.count <= limit else {
                    throw ConfigurationFiles.Failure(what: "is larger than allowed", fix: "split it")
                }
                return Array(text.utf8)
            },
            list: { directory in
                let prefix = directory == "." ? "" : directory + "/"
                return texts.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
                    .filter { !$0.contains("/") }.sorted()
            },
            identity: { $0 }
        )
    }

    /// What is said of "main.yaml".
    func problems() -> [String] {
        do throws(ConfigurationErrors) {
            return try ConfigurationLoader.load("main.yaml", environment: { _ in nil }, files: self.files)
                .warnings.map(\.description)
        } catch {
            return error.problems.map(\.description)
        }
    }
}

@Suite("Limits of a configuration")
struct ConfigurationLimitTests {
    private static let source = "sources: {a: {url: \"http://localhost/\"}}\n"

    @Test("a file of more than a mebibyte is refused")
    func largeFile() {
        let files = MadeUpFiles(texts: ["main.yaml": Self.source + String(repeating: "#", count: 1 << 20)])
        #expect(files.problems() == ["main.yaml is larger than allowed; split it"])
    }

    @Test("deep nesting is an error and no crash", arguments: ["[", "{a: ", "- ", "? "])
    func deep(opening: String) {
        let files = MadeUpFiles(texts: ["main.yaml": "sources: \(String(repeating: opening, count: 100_000))\n"])
        #expect(files.problems().count >= 1)
        #expect(!files.problems().contains { $0.contains("yaml_") }, "that is the parser's own name for it")
    }

    @Test("many values are refused")
    func many() {
        let list = "ignore: [" + String(repeating: "/a,", count: 120_000) + "]"
        let files = MadeUpFiles(texts: ["main.yaml": "defaults: {\(list)}\n" + Self.source])
        #expect(files.problems().first?.contains("more than 100000 values in one file") == true)
    }

    @Test(
        "aliases are refused before anything is built of them",
        arguments: [
            "a: &a [x]\nb: *a\n", "? *a\n: b\n", "- *a\n", "{x: *a}\n", "k:   *a\n", "[a, *a]\n", "\"q\": *a\n",
            "? - *a\n", "x: |\n  text\ny: *a\n",
            "x: 'it''s'\ny: *a\n", "x: \"a \\\" b\"\ny: *a\n", "- a: |\n    text\n  b: *a\n",
            "x: \"one\n  two\"\ny: *a\n",
        ]
    )
    func aliases(text: String) {
        #expect(!YAMLGuard.findings(in: text).isEmpty)
    }

    @Test(
        "what only looks like an alias, an anchor or a tag is a text",
        arguments: [
            "url: http://h/a?x=1&y=2\n", "a: x *y &z !w\n", "a: \"*x\"\n", "a: '&x'\n", "# *x\na: b # &y\n",
            "a: |\n  *x\n  &y\nb: c\n",
            "a: \"one\n  *two\"\n", "ignore: [/*/x, a*b]\n", "- >-\n  !x\n- b\n", "a: b\r\n\r\nc: d\r\n",
        ]
    )
    func lookalikes(text: String) {
        #expect(YAMLGuard.findings(in: text) == [])
    }

    @Test("an include that includes itself is reported once")
    func cycle() {
        let files = MadeUpFiles(texts: [
            "main.yaml": "include: sub/one.yaml\n" + Self.source, "sub/one.yaml": "include: two.yaml\n",
            "sub/two.yaml": "include: one.yaml\n",
        ])
        #expect(
            files.problems() == [
                "sub/two.yaml:1:10: include: sub/one.yaml is included twice, or includes itself; include it once"
            ]
        )
    }

    @Test("includes nest eight deep and no deeper")
    func depth() {
        func files(_ count: Int) -> MadeUpFiles {
            var texts = ["main.yaml": "include: 1.yaml\n" + Self.source]
            for number in 1...count {
                texts["\(number).yaml"] = number < count ? "include: \(number + 1).yaml\n" : "heartbeat: 20s\n"
            }
            return MadeUpFiles(texts: texts)
        }
        #expect(files(8).problems() == [])
        #expect(
            files(9).problems() == [
                "8.yaml:1:10: include: includes nest more than 8 deep; include the files from fewer levels"
            ]
        )
    }

    @Test("a pattern takes the visible files that match, in the order of their names")
    func pattern() throws {
        let files = MadeUpFiles(texts: [
            "main.yaml": "include: d/*.yaml\n", "d/b.yaml": "sources: {b: {url: \"http://localhost/\"}}",
            "d/a.yaml": "sources: {a: {url: \"http://localhost/\"}}", "d/.hidden.yaml": "no: yes", "d/c.yml": "no: yes",
        ])
        let loaded = try ConfigurationLoader.load("main.yaml", environment: { _ in nil }, files: files.files)
        #expect(loaded.configuration.sources.map(\.name) == ["a", "b"])
    }

    @Test("a pattern without a file is a warning")
    func emptyPattern() {
        let files = MadeUpFiles(texts: ["main.yaml": "include: d/*.yaml\n" + Self.source, "d/x": ""])
        #expect(files.problems() == ["main.yaml:1:10: warning: include: \"d/*.yaml\" matches no file; check the path"])
    }

    @Test("what is wrong with a default is said once, however many sources use it")
    func defaultsOnce() {
        let files = MadeUpFiles(texts: [
            "main.yaml":
                "defaults: {interval: 5}\nsources: {a: {url: \"http://localhost/\"}, b: {url: \"http://localhost/\"}}\n"
        ])
        #expect(files.problems() == ["main.yaml:1:22: defaults.interval: 5 has no unit; write 5s for seconds, or 5ms"])
    }

    @Test("random bytes are refused and nothing traps")
    func garbage() {
        var generator = SplitMix64(seed: 1)
        let alphabet = Array("aks:-[]{}&*!|>'\"#%@`,? \n\t\r\\0~${}/\u{85}é")
        for _ in 0..<3000 {
            let text = String(
                (0..<Int.random(in: 0...60, using: &generator)).map { _ in
                    alphabet.randomElement(using: &generator) ?? "a"
                }
            )
            // Nothing random names a source, so that something is always wrong.
            #expect(!MadeUpFiles(texts: ["main.yaml": text]).problems().isEmpty, "\(text.debugDescription)")
        }
    }
}
