import Foundation
import FreshetTesting
import Testing

/// What is JavaScript is tested as JavaScript: `node --test` over `Tests/CWebTests`.
@Suite("JavaScript", .enabled(if: NodeRun.isInstalled, "no node: apt install nodejs"))
struct JavaScriptTests {
    @Test("the tests of the page and the client pass in node", arguments: NodeRun.files)
    func node(file: String) throws {
        let run = try NodeRun(file)
        for failure in run.failures { Issue.record("\(file): \(failure)") }
        #expect(run.passed > 0, "\(run.output)")
        #expect(run.status == 0, "\(run.output)")
    }

    @Test("a test that fails there fails here")
    func failing() throws {
        let folder = try TemporaryFolder()
        let test = """
            import { test } from "node:test";
            test("one", () => {});
            test("two", () => { throw new Error("on purpose"); });

            """
        let run = try NodeRun(folder.write(test, to: "failing.test.mjs"))
        #expect(run.passed == 1 && run.failures.count == 1 && run.status != 0, "\(run.output)")
        #expect(run.failures.allSatisfy { $0.contains("two") && $0.contains("on purpose") }, "\(run.failures)")
    }
}

/// One file of tests, run by node.
private struct NodeRun {
    let output: String
    let status: Int32

    private static let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .map { "\($0)/node" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    static var isInstalled: Bool { self.path != nil }

    private static let folder = Suites.packageRoot.appending(path: "Tests/CWebTests")
    static let files: [String] = ((try? FileManager.default.contentsOfDirectory(atPath: Self.folder.path)) ?? [])
        .filter { $0.hasSuffix(".test.js") }.sorted()

    /// `file`: in the folder of these tests, or an absolute path.
    init(_ file: String) throws {
        let process = Process()
        // Node 18, which Debian 12 has, knows no limit of its own.
        process.executableURL = URL(filePath: "/usr/bin/env")
        let test = file.hasPrefix("/") ? file : Self.folder.appending(path: file).path
        let isLong = ProcessInfo.processInfo.environment["FRESHET_HISTORIES"] != nil
        process.arguments = [
            "timeout", isLong ? "7200" : "600", Self.path ?? "node", "--test", "--test-reporter=tap", test,
        ]
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["FRESHET_SUITES": Suites.folder.path],
            uniquingKeysWith: { _, new in new }
        )
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        self.output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        self.status = process.terminationStatus
    }

    // Node 18 indents the tests of a file below the file itself, later versions do not.
    private var lines: [Substring] { self.output.split(separator: "\n").map { $0.drop { $0 == " " } } }

    /// How many tests passed; one that was skipped did not.
    var passed: Int { self.lines.count { $0.hasPrefix("ok ") && !$0.contains("# SKIP") } }

    /// What node says of each test that failed.
    var failures: [String] {
        let lines = self.lines
        return lines.indices.filter { lines[$0].hasPrefix("not ok ") }.map { start in
            let end = lines[start...].firstIndex { $0 == "..." } ?? lines.endIndex
            return lines[start..<end].joined(separator: "\n")
        }.filter { !$0.contains("'subtestsFailed'") }
    }
}
