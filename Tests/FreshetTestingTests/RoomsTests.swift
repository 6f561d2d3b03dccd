import Foundation
import FreshetTesting
import Testing

/// `.ci/rooms` on a project that breaks one rule: a check that cannot fail checks nothing.
@Suite("The rules of the rooms", .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/perl")))
struct RoomsTests {
    private static let script = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appending(
            path: ".ci/rooms"
        )

    /// Runs the check once on some files of one room, `File0.swift` and so on. One run takes half a second.
    private func check(_ texts: [String], in room: String, package: String? = nil) throws -> (
        isFine: Bool, output: String
    ) {
        let folder = try TemporaryFolder()
        if let package { try Data(package.utf8).write(to: URL(filePath: folder.path("Package.swift"))) }
        let place = folder.path("Sources/\(room)")
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        for (number, text) in texts.enumerated() {
            try Data(text.utf8).write(to: URL(filePath: place).appending(path: "File\(number).swift"))
        }
        let process = Process()
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = [Self.script.path, folder.path]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus == 0, text)
    }

    /// Which of the texts a run complains of, in a room's files.
    private func complaints(of texts: [String], in room: String) throws -> [Bool] {
        let output = try self.check(texts, in: room).output
        return texts.indices.map { output.contains("Sources/\(room)/File\($0).swift") }
    }

    private static let imports = [
        "import Foundation", "import struct Foundation.Date", "import class Foundation.JSONDecoder",
        "import enum Dispatch.DispatchTimeInterval", "import func Glibc.open", "import var Glibc.errno",
        "import let Foundation.NSNotFound", "import protocol NIOCore.Channel", "import typealias Glibc.size_t",
        "@preconcurrency import Foundation", "@_exported import Glibc", "@_spi(Private) import NIOCore",
        "@preconcurrency\nimport Logging", "package import Foundation",
        "fileprivate import struct NIOCore.ByteBuffer",
        "@testable public import class GRDB.DatabaseQueue", "#if os(Linux)\n    import Glibc\n#endif",
        "import JSON; import Foundation", "import\n    Foundation", "import /* why */ Foundation", "import  CLinux",
        "import `Foundation`", "import Foundation // only for tests", "import FoundationEssentials",
        "import NIOPosix",
        "let a = \"//\"\nimport Foundation", "/* a */ import Foundation", "\timport Foundation",
    ]

    @Test("A25 every form of an import is seen")
    func imports() throws {
        let seen = try self.complaints(of: Self.imports.map { "// A file.\n\($0)\n" }, in: "FreshetCore")
        for (text, isSeen) in zip(Self.imports, seen) { #expect(isSeen, "\(text)") }
    }

    @Test(
        "A25 rooms of layer 2 import each other in no form",
        arguments: ["import FreshetStorage", "import struct FreshetStorage.X"]
    )
    func neighbours(text: String) throws {
        #expect(try !self.check([text], in: "FreshetPolling").isFine)
        #expect(try !self.check([text], in: "FreshetHTTP").isFine)
        #expect(try self.check(["import FreshetStreaming"], in: "FreshetHTTP").isFine)
    }

    /// Code as text, which the check must refuse; none of it runs.
    private static let traps = [
        "let a = b!", "let a = b()!.c", "let a = b[0]!", "let a = b! + 1", "let a = try! b()", "let a = b as! Int",
        "var a: Int!", "var a: [Int]!", "fatalError()", "fatalError (\"\")", "abort()",
        "let a = b.unsafelyUnwrapped",
        "precondition(a > 0)", "Swift.precondition(a)", "preconditionFailure()", "assert(a)", "assertionFailure()",
        "call(a!)", "let a = \"\" + b!", "unowned(unsafe) let a: B", "let a = `default`!",
        "let a = \"\\(b!)\"", "let a = \"x \\(b(c)[0]!.d) y\"", "let a = \"\"\"\n\\(b!)\n\"\"\"",
    ]

    @Test("A25 what ends the process is seen", arguments: ["JSON", "freshet"])
    func traps(room: String) throws {
        let seen = try self.complaints(of: Self.traps.map { "func f() {\n    \($0)\n}\n" }, in: room)
        for (text, isSeen) in zip(Self.traps, seen) { #expect(isSeen, "\(text)") }
    }

    /// Code as text, which only looks like that.
    private static let harmless = [
        "let a = !b", "if a != b {}", "if a! = b {}".replacing("! =", with: " !="), "// import Foundation",
        "let a = \"b!\"",
        "/* import Foundation\nimport Glibc */", "let a = \"\"\"\nimport Foundation\nb!\n\"\"\"", "import JSON",
        "let important = 1", "/// try! is not for us: a!", "let a = #\"b! \"c\"! \"#",
        "import struct JSON.Document",
        "func importFoundation() {}", "let a = (!b)", "let a = \"\\\"b!\"",
    ]

    @Test("A25 what only looks like it is none")
    func harmless() throws {
        let (isFine, output) = try self.check(Self.harmless.map { $0 + "\n" }, in: "FreshetCore")
        #expect(isFine, "\(output)")
    }

    @Test("a file of more than 450 lines is seen", arguments: [(450, true), (451, false)])
    func length(lines: Int, isFine: Bool) throws {
        let result = try self.check([String(repeating: "// a line\n", count: lines)], in: "FreshetCore")
        #expect(result.isFine == isFine && result.output.contains("at most 450 lines") == !isFine)
    }

    @Test(
        "an import that is not declared is seen, and a dependency that is not imported",
        arguments: [
            (#"["JSON"]"#, "import JSON", ""), ("[]", "import JSON", "not declared: JSON"),
            (#"["JSON"]"#, "", "imported nowhere: JSON"),
        ]
    )
    func dependencies(declared: String, text: String, expected: String) throws {
        let package = """
            // swift-tools-version: 6.2
            import PackageDescription
            let package = Package(
                name: "a",
                targets: [.target(name: "JSON"), .target(name: "FreshetCore", dependencies: \(declared))]
            )
            """
        let result = try self.check(["// A file.\n\(text)\n"], in: "FreshetCore", package: package)
        #expect(
            result.isFine == expected.isEmpty && (expected.isEmpty || result.output.contains(expected)),
            "\(result.output)"
        )
    }
}
