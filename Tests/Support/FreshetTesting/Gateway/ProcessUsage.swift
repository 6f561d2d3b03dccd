import Foundation

/// What a running process takes from the machine, by the kernel's account.
package struct ProcessUsage: Hashable, Sendable {
    /// Memory in RAM, in bytes.
    package var residentBytes: Int
    /// CPU time of all threads, of user and kernel.
    package var cpu: Duration
    /// Open descriptors.
    package var descriptors: Int
    package var threads: Int

    /// - Throws: `TestingError` when the process has ended.
    package init(pid: Int32) throws {
        let folder = "/proc/\(pid)"
        guard let stat = try? String(contentsOfFile: "\(folder)/stat", encoding: .utf8),
            let open = try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/fd")
        else {
            throw TestingError(.process, "no process \(pid)")
        }
        // The second field is the program's name in parentheses, which may hold anything: count from behind it.
        let fields = stat.split(separator: ")").last.map { $0.split(separator: " ").map(String.init) } ?? []
        guard fields.count > 21, let user = Int(fields[11]), let system = Int(fields[12]),
            let threads = Int(fields[17]),
            let pages = Int(fields[21])
        else {
            throw TestingError(.process, "/proc/\(pid)/stat: \(stat)")
        }
        self.residentBytes = pages * Int(sysconf(Int32(_SC_PAGESIZE)))
        self.cpu = .milliseconds((user + system) * 1_000 / max(1, Int(sysconf(Int32(_SC_CLK_TCK)))))
        self.descriptors = open.count
        self.threads = threads
    }
}

extension FreshetProcess {
    /// What the program takes from the machine now.
    ///
    /// - Throws: `TestingError` when it has ended.
    package func usage() throws -> ProcessUsage { try ProcessUsage(pid: self.pid) }
}
