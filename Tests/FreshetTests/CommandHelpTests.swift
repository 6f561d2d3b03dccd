// What the program says of its verbs: each has an example, a line in the manual page, and its place in the completions.

import ArgumentParser
import Foundation
import FreshetTesting
import JSON
import Testing

@testable import freshet

@Suite("The help of the verbs")
struct CommandHelpTests {
    /// A verb, and the words that name it.
    struct Verb: Sendable, CustomTestStringConvertible {
        var path: [String]
        var type: any ParsableCommand.Type

        var testDescription: String { self.path.joined(separator: " ") }
    }

    private static func verbs(of type: any ParsableCommand.Type, _ path: [String]) -> [Verb] {
        type.configuration.subcommands.flatMap { inner -> [Verb] in
            let path = path + [inner.configuration.commandName ?? ""]
            return [Verb(path: path, type: inner)] + Self.verbs(of: inner, path)
        }
    }

    static let all = Self.verbs(of: FreshetCommand.self, [])

    @Test("every verb has an example", arguments: Self.all)
    func example(verb: Verb) {
        let help = FreshetCommand.helpMessage(for: verb.type)
        let example = help.split(separator: "\n").drop { !$0.contains("Example") }.dropFirst()
        #expect(!example.isEmpty, "\(help)")
        #expect(example.contains { $0.contains("freshet") }, "\(help)")
    }

    @Test(
        "CONTRACT §1 has them all",
        arguments: [
            "serve", "try", "demo", "validate", "init", "doctor", "tail", "token", "config", "healthcheck", "record",
            "replay",
            "types",
        ]
    )
    func contract(name: String) {
        #expect(Self.all.contains { $0.path == [name] })
    }

    @Test(
        "the manual page has a section for each verb",
        .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3"), "no python3")
    )
    func manual() async throws {
        let folder = try TemporaryFolder()
        let script = Suites.packageRoot.appending(path: "Deploy/debian/manual").path
        let arguments = [script, try FreshetProcess.locateBinary(), folder.path, "2026-01-01"]
        let process = try FreshetProcess(arguments, binary: "/usr/bin/python3")
        #expect(try await process.exitStatus(timeout: .seconds(60)) == .exited(0), "\(process.errors)")
        let page = try String(contentsOfFile: folder.path("freshet.1"), encoding: .utf8)
        let lines = Set(page.split(separator: "\n").map(String.init))
        for verb in Self.all {
            let heading = ".SS " + verb.path.joined(separator: " ").replacing("-", with: "\\-")
            #expect(lines.contains(heading), "\(heading)")
        }
    }

    @Test(
        "completions are scripts of their shells, and know the verbs",
        .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
        arguments: ["bash", "zsh", "fish"]
    )
    func completions(shell: String) async throws {
        let process = try FreshetProcess(["--generate-completion-script", shell])
        #expect(try await process.exitStatus(timeout: .seconds(60)) == .exited(0))
        for name in ["init", "doctor", "record", "replay", "types"] {
            #expect(process.output.contains(name), "\(shell) does not know \(name)")
        }
        let places = ["/bin/\(shell)", "/usr/bin/\(shell)"]
        guard let binary = places.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            print("skipped: no \(shell) to read its completions")
            return
        }
        let folder = try TemporaryFolder()
        let file = try folder.write(process.output, to: "completions")
        let check = try FreshetProcess(["-n", file], binary: binary)
        #expect(try await check.exitStatus(timeout: .seconds(60)) == .exited(0), "\(check.errors)")
    }
}
