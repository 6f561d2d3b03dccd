// Subjects and tokens that are refused whatever they present (CONTRACT §8).

import FreshetCore

/// The content of `auth.deny_file`: one `sub`, `jti` or `id` a line, as UTF-8.
///
/// White space around a line is cut. Empty lines and lines that begin with `#` are skipped. A line denies every caller with
/// this subject or `id`, whoever vouches for it, and every token with this `jti`; it is compared byte for byte. A value.
struct DenyList: Sendable {
    /// The longest file, in bytes.
    static let maxBytes = 8 << 20
    /// The shortest time between two looks at the file.
    private static let interval = Duration.seconds(1)

    let path: String?
    private var lines: Set<[UInt8]> = []
    private var stamp: SmallFile.Stamp?
    private var checkedAt: WallTime?
    /// Why the file could not be read when it was last looked at: the lines of the time before are in force.
    private(set) var problem: SmallFile.Problem?

    /// - Parameter path: `nil` denies no caller.
    init(path: String?) {
        self.path = path
    }

    /// How many lines are in force.
    var count: Int { self.lines.count }

    func denies(_ principal: Principal) -> Bool {
        guard !self.lines.isEmpty else { return false }
        switch principal.kind {
        case .anonymous, .administrator: return false
        case .key, .jwt, .certificate: break
        }
        return self.lines.contains(Array(principal.id.utf8))
            || principal.tokenID.map { self.lines.contains(Array($0.utf8)) } ?? false
    }

    /// Whether the file should be looked at.
    func isDue(now: WallTime) -> Bool {
        guard self.path != nil else { return false }
        guard let checkedAt else { return true }
        let (elapsed, overflow) = now.milliseconds.subtractingReportingOverflow(checkedAt.milliseconds)
        return overflow || elapsed < 0 || elapsed >= Self.interval.milliseconds
    }

    /// Looks at the file, at most once a second, and reads it where its time, size or inode changed.
    ///
    /// - Returns: whether other lines are in force than before.
    mutating func refresh(now: WallTime) -> Bool {
        guard let path, self.isDue(now: now) else { return false }
        self.checkedAt = now
        if self.problem == nil, let stamp, SmallFile.stamp(path) == stamp { return false }
        switch SmallFile.readStamped(path, maxBytes: Self.maxBytes) {
        case .success(let content):
            let lines = Self.lines(content.bytes)
            self.stamp = content.stamp
            self.problem = nil
            guard lines != self.lines else { return false }
            self.lines = lines
            return true
        case .failure(let problem):
            self.problem = problem
            return false
        }
    }

    private static func lines(_ bytes: [UInt8]) -> Set<[UInt8]> {
        var lines: Set<[UInt8]> = []
        for part in bytes.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }) {
            let start = part.drop(while: Secret.isWhiteSpace)
            guard let end = start.lastIndex(where: { !Secret.isWhiteSpace($0) }), start.first != UInt8(ascii: "#")
            else { continue }
            lines.insert(Array(start[...end]))
        }
        return lines
    }
}
