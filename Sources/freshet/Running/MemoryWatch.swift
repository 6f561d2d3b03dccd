// What the process takes of the memory that it may have, as the kernel tells it.

import CLinux
import Foundation
import FreshetCore

/// Measures memory against `limits.max_memory`, the limit of the control group (version 2), or what the machine has.
struct MemoryWatch: Sendable {
    struct Reading: Hashable, Sendable {
        /// Bytes.
        var used: Int
        /// Bytes.
        var limit: Int
    }

    private let configured: Int?
    /// The folder of the process's control group, where that has a limit.
    private let group: String?
    private let groupLimit: Int?
    private let machine: Int

    /// - Parameters:
    ///   - configured: `limits.max_memory`.
    ///   - root: Where control groups are mounted.
    ///   - membership: The text of `/proc/self/cgroup`; `nil` reads it.
    init(configured: Int?, root: String = "/sys/fs/cgroup", membership: String? = nil) {
        self.configured = configured
        let membership = membership ?? Self.text("/proc/self/cgroup") ?? ""
        let found = Self.folders(root: root, membership: membership).compactMap { folder in
            Self.number("\(folder)/memory.max").map { (folder, $0) }
        }.min { $0.1 < $1.1 }
        self.group = found?.0
        self.groupLimit = found?.1
        self.machine = max(0, sysconf(Int32(_SC_PHYS_PAGES))) * Self.pageBytes
    }

    /// What is taken of the tightest limit: of the group all that it cannot give back, else the process's own pages.
    var reading: Reading {
        let own = min(self.configured ?? .max, self.machine)
        if let group, let groupLimit, groupLimit <= own, let current = Self.number("\(group)/memory.current") {
            return Reading(used: max(0, current - Self.reclaimable("\(group)/memory.stat")), limit: groupLimit)
        }
        return Reading(used: Self.residentBytes, limit: own)
    }

    /// The group and those that it is in: each may have a limit.
    private static func folders(root: String, membership: String) -> [String] {
        guard let line = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return [] }
        let names = line.dropFirst(4).split(separator: "/")
        return (0...names.count).map { count in ([root] + names.prefix(count).map(String.init)).joined(separator: "/") }
    }

    /// Pages of files that the kernel reclaims under pressure.
    private static func reclaimable(_ path: String) -> Int {
        let line = Self.text(path)?.split(separator: "\n").first { $0.hasPrefix("inactive_file ") }
        return line.flatMap { Int($0.dropFirst("inactive_file ".count)) } ?? 0
    }

    private static var residentBytes: Int {
        let pages = Self.text("/proc/self/statm")?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return (pages ?? 0) * Self.pageBytes
    }

    private static let pageBytes = max(1, sysconf(Int32(_SC_PAGESIZE)))

    private static func text(_ path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }

    /// `nil` for `max`, which is no limit, and if absent.
    private static func number(_ path: String) -> Int? {
        Self.text(path).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }
}
