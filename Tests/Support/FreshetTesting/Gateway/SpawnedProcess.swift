import CLinux
import Glibc

/// A process that has just been started, with the reading ends of its outputs.
struct SpawnedProcess {
    var pid: Int32
    var output: Int32
    var errors: Int32

    /// Starts the program at `path` with nothing to read, the default signal handling, and no descriptor of this process.
    ///
    /// - Throws: `TestingError` when that fails.
    static func spawn(
        _ path: String,
        arguments: [String],
        environment: [String: String],
        workingDirectory: String?
    ) throws -> SpawnedProcess {
        var (output, errors): (Int32, Int32) = (-1, -1)
        let variables = environment.map { "\($0.key)=\($0.value)" }
        let pid = self.withCStrings([path] + arguments) { argv in
            self.withCStrings(variables) { envp in
                clinux_spawn(path, argv, envp, workingDirectory, &output, &errors)
            }
        }
        guard pid > 0 else { throw TestingError(.process, "\(path): \(errorText(Int(pid)))") }
        return SpawnedProcess(pid: pid, output: output, errors: errors)
    }

    /// Calls `body` with an array of C strings that ends in a null pointer.
    private static func withCStrings<Result>(
        _ strings: [String],
        _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        let pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers)
    }
}
