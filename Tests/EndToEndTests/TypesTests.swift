import Foundation
import FreshetTesting
import JSON
import Testing

/// `freshet types` through the program: what it prints compiles, and takes every value that the gateway had.
@Suite(
    "types, through the program",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built")
)
struct TypesTests {
    private static let isLong = ProcessInfo.processInfo.environment["FRESHET_EXHAUSTIVE"] != nil
    private static let tsc = "/usr/bin/tsc"
    /// Empty where there is none.
    private static let swiftc: String =
        ["/usr/bin/swiftc", "/opt/swift/usr/bin/swiftc"]
        .first { FileManager.default.isExecutableFile(atPath: $0) } ?? ""
    static let scripts = Self.isLong ? Suites.histories : ["dockerhub-repo", "usgs-quakes"]
    static let programs = Self.isLong ? Suites.histories : ["usgs-quakes"]
    /// Versions of a history that are seen and compiled.
    private static let count = Self.isLong ? 100 : 8

    /// The types of a history's source once its first versions were seen, and those values.
    private func types(of name: String, _ language: String) async throws -> (text: String, values: [[UInt8]]) {
        let replay = try await Replay(Suites.history(name), count: Self.count)
        let client = try await replay.gateway.client
        var values: [[UInt8]] = []
        try await replay.run { value, _ in
            values.append(value.text)
            // Each question takes in what changed since the last one.
            _ = try await client.get("/v1/sources/value/schema")
        }
        let port = try await replay.gateway.process.listeningPort()
        let arguments = ["types", "value", "--lang", language, "--gateway", "http://127.0.0.1:\(port)"]
        let process = try FreshetProcess(arguments)
        #expect(try await process.exitStatus() == .exited(0), "\(process.errors)")
        _ = try await replay.gateway.terminate()
        return (process.output, values)
    }

    @Test(
        "TypeScript: every value is of the type",
        .enabled(if: Suites.available, "the suites are not here"),
        .enabled(if: FileManager.default.isExecutableFile(atPath: Self.tsc), "no tsc: make setup installs it"),
        arguments: Self.scripts
    )
    func typeScript(name: String) async throws {
        let (text, values) = try await self.types(of: name, "ts")
        let folder = try TemporaryFolder()
        var program = text
        for (number, value) in values.enumerated() {
            program += "export const value\(number): Value = \(String(decoding: value, as: UTF8.self));\n"
        }
        let file = try folder.write(program, to: "value.ts")
        let options = ["--noEmit", "--strict", "--target", "es2020", file]
        let process = try FreshetProcess(options, binary: Self.tsc)
        #expect(try await process.exitStatus(timeout: .seconds(240)) == .exited(0), "\(process.output.prefix(2000))")
        // What is of another type is refused.
        let wrong = try folder.write(text + "export const wrong: Value = 7;\n", to: "wrong.ts")
        let refused = try FreshetProcess(["--noEmit", "--strict", wrong], binary: Self.tsc)
        #expect(try await refused.exitStatus(timeout: .seconds(240)) != .exited(0))
    }

    @Test(
        "Swift: every value is decoded, and encoded as the same value",
        .enabled(if: Suites.available, "the suites are not here"),
        .enabled(if: !Self.swiftc.isEmpty, "no swiftc"),
        arguments: Self.programs
    )
    func swift(name: String) async throws {
        let (text, values) = try await self.types(of: name, "swift")
        let folder = try TemporaryFolder()
        for (number, value) in values.enumerated() {
            try folder.write(String(decoding: value, as: UTF8.self), to: "\(number).json")
        }
        let types = try folder.write(text, to: "Types.swift")
        // Text of a program of its own, which ends with an error where a value does not come back the same.
        let main = try folder.write(
            """
            import Foundation

            for path in CommandLine.arguments.dropFirst() {
                let data = try Data(contentsOf: URL(fileURLWithPath: path))
                let value = try JSONDecoder().decode(Value.self, from: data)
                let again = try JSONDecoder().decode(Value.self, from: try JSONEncoder().encode(value))
                guard again == value else { fatalError(path) }
            }
            print("decoded", CommandLine.arguments.count - 1)
            """,
            to: "main.swift"
        )
        let program = folder.path("program")
        let compiled = try FreshetProcess([types, main, "-o", program], binary: Self.swiftc)
        #expect(try await compiled.exitStatus(timeout: .seconds(300)) == .exited(0), "\(compiled.errors.prefix(2000))")
        let files = values.indices.map { folder.path("\($0).json") }
        let process = try FreshetProcess(files, binary: program)
        #expect(try await process.exitStatus(timeout: .seconds(60)) == .exited(0), "\(process.errors.prefix(2000))")
        #expect(process.output == "decoded \(values.count)\n")
    }

    @Test("types of a configured schema, of a file, and of a source that is not there")
    func configured() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/a", respond: .json(#"{"n":1}"#))
        let folder = try TemporaryFolder()
        let schema = try folder.write(
            #"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#,
            to: "a.json"
        )
        let gateway = try Gateway("sources: { a: { url: \"\(upstream.url("/a"))\", schema: \"\(schema)\" } }")
        try await gateway.waitForValues(of: ["a"])
        let address = "http://127.0.0.1:\(try await gateway.process.listeningPort())"
        let process = try FreshetProcess(["types", "a", "--gateway", address])
        #expect(try await process.exitStatus() == .exited(0), "\(process.errors)")
        #expect(process.output == "export interface A {\n  n: number;\n}\n")
        let file = try FreshetProcess(["types", "a", "--lang", "swift", "--schema", schema])
        #expect(try await file.exitStatus() == .exited(0), "\(file.errors)")
        #expect(file.output.contains("public var n: Int"))
        let missing = try FreshetProcess(["types", "b", "--gateway", address])
        #expect(try await missing.exitStatus() == .exited(1))
        #expect(missing.errors.contains(address))
        _ = try await gateway.terminate()
    }
}
