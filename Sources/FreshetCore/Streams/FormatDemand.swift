// In which formats a source is listened to: what a publisher encodes.

/// The subscribers of one source, counted by format.
struct FormatDemand: Sendable {
    // A list, not a table: there are twenty formats, and nearly always one is asked for.
    private(set) var counts: [(format: StreamFormat, subscribers: Int)] = []

    var isEmpty: Bool { self.counts.isEmpty }

    var subscribers: Int { self.counts.reduce(0) { $0 + $1.subscribers } }

    /// Counts subscribers in.
    mutating func add(_ count: Int, in format: StreamFormat) {
        guard count > 0 else { return }
        guard let index = self.counts.firstIndex(where: { $0.format == format }) else {
            self.counts.append((format, count))
            return
        }
        self.counts[index].subscribers += count
    }

    /// Counts subscribers out. A format without subscribers is no longer listed.
    mutating func remove(_ count: Int, in format: StreamFormat) {
        guard let index = self.counts.firstIndex(where: { $0.format == format }) else { return }
        self.counts[index].subscribers -= count
        if self.counts[index].subscribers <= 0 { self.counts.remove(at: index) }
    }
}
