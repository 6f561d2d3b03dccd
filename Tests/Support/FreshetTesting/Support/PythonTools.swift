package import Foundation

/// A Python of other people's libraries, in a folder of the package; and commands that end by themselves.
package enum PythonTools {
    /// How a command ended, and what it wrote; standard error is in the output where that was asked for.
    package struct Outcome: Sendable {
        package var status: Int32
        package var output: Data

        package var text: String { String(decoding: self.output, as: UTF8.self) }
    }

    /// The folder of programs of an environment, `.build-python-NAME` of the package, which is made at the first use; it takes what
    /// pip takes.
    ///
    /// - Parameters:
    ///   - name: of the environment; environments of different names share nothing.
    ///   - check: what Python imports where all is there.
    ///   - libraries: as pip takes them, with their versions.
    /// - Returns: `nil` where there is no Python, or pip cannot install.
    package static func programs(_ name: String, check: String, libraries: [String]) -> String? {
        let folder = Suites.packageRoot.appending(path: ".build-python-\(name)").path
        let python = "\(folder)/bin/python"
        let isThere = { self.run([python, "-c", "import \(check)"])?.status == 0 }
        if isThere() { return "\(folder)/bin" }
        guard self.run(["python3", "-m", "venv", folder])?.status == 0,
            self.run([python, "-m", "pip", "install", "--quiet"] + libraries)?.status == 0, isThere()
        else { return nil }
        return "\(folder)/bin"
    }

    /// The Python of an environment, as ``programs(_:check:libraries:)`` makes it.
    package static func python(_ name: String, check: String, libraries: [String]) -> String? {
        self.programs(name, check: check, libraries: libraries).map { "\($0)/python" }
    }

    /// Runs a command to its end. Blocks.
    ///
    /// - Parameters:
    ///   - arguments: the command, found in `PATH`, and its arguments.
    ///   - environment: in place of, or beside, what this process has.
    ///   - folder: where it runs; the default is where this process does.
    ///   - withErrors: standard error goes where standard output does; it is thrown away otherwise.
    /// - Returns: `nil` where it cannot be started.
    package static func run(
        _ arguments: [String],
        environment: [String: String] = [:],
        in folder: URL? = nil,
        withErrors: Bool = false
    ) -> Outcome? {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let folder { process.currentDirectoryURL = folder }
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = withErrors ? pipe : FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(status: process.terminationStatus, output: output)
    }

    /// What a command writes, where it ends well. Blocks.
    package static func output(_ arguments: [String]) -> Data? {
        self.run(arguments).flatMap { $0.status == 0 ? $0.output : nil }
    }
}
