// What the machine lacks for what the configuration wants.

/// What the machine allows, as it was read.
package struct HostReading: Hashable, Sendable {
    /// Open files that the process may have.
    package var openFiles: Int
    /// Streams that those allow.
    package var possibleSubscribers: Int
    /// `limits.max_subscribers`, if it is set.
    package var wantedSubscribers: Int?
    /// New connections that the kernel keeps until they are accepted; `nil` where it does not say.
    package var backlog: Int?
    /// Bytes that the process may take.
    package var memory: Int
    /// `cache.max_bytes`.
    package var cacheBytes: Int

    package init(
        openFiles: Int,
        possibleSubscribers: Int,
        wantedSubscribers: Int?,
        backlog: Int?,
        memory: Int,
        cacheBytes: Int
    ) {
        self.openFiles = openFiles
        self.possibleSubscribers = possibleSubscribers
        self.wantedSubscribers = wantedSubscribers
        self.backlog = backlog
        self.memory = memory
        self.cacheBytes = cacheBytes
    }
}

/// Findings about the host.
package enum HostFindings {
    /// Fewer open files than this are few for a gateway.
    package static let fewOpenFiles = 1024
    /// With a shorter queue, many clients that return at once are refused for a moment.
    package static let shortBacklog = 1024

    /// - Returns: None for a host that has what is wanted of it.
    package static func all(_ host: HostReading) -> [Finding] {
        var findings: [Finding] = []
        if let wanted = host.wantedSubscribers, wanted > host.possibleSubscribers {
            findings.append(
                Finding(
                    .openFiles,
                    "limits",
                    "max_subscribers is \(wanted), and \(host.openFiles) open files allow \(host.possibleSubscribers) streams",
                    line: "max_subscribers: \(host.possibleSubscribers)",
                    advice: "Or `LimitNOFILE=\(wanted * 2)` in the unit, `ulimit -n` in a shell."
                )
            )
        } else if host.openFiles < Self.fewOpenFiles {
            findings.append(
                Finding(
                    .openFiles,
                    "host",
                    "\(host.openFiles) open files allow \(host.possibleSubscribers) streams",
                    line: "LimitNOFILE=65536",
                    advice: "That is for the systemd unit; in a shell, `ulimit -n 65536`."
                )
            )
        }
        if let backlog = host.backlog, backlog < Self.shortBacklog {
            findings.append(
                Finding(
                    .backlog,
                    "host",
                    "the kernel keeps \(backlog) new connections until they are accepted: a burst of clients is refused",
                    line: "net.core.somaxconn = 4096",
                    advice: "That is for /etc/sysctl.d/freshet.conf."
                )
            )
        }
        if host.memory > 0, host.cacheBytes > host.memory / 2 {
            let mebibytes = max(1, host.memory / 4 / (1 << 20))
            findings.append(
                Finding(
                    .memory,
                    "cache",
                    "max_bytes is \(host.cacheBytes), more than half of the \(host.memory) bytes that the process may take",
                    line: "max_bytes: \(mebibytes)MiB"
                )
            )
        }
        return findings
    }
}
