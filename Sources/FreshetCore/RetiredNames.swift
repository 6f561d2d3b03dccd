// What is left of removed sources: how far the log had come.

/// The end of each source that was removed, by name. What the store still has of it is not of the next source of that
/// name, and who was in the middle of it must not take the next for its continuation.
struct RetiredNames: Sendable {
    private var ends: [String: UInt64] = [:]
    /// Every name counts as retired here at least; 0 for none.
    private var floor: UInt64 = 0
    /// The same for every name of an instance: of those that come and go no name is remembered.
    private var instanceFloor: UInt64 = 0

    /// The most names that are remembered. Past it every name that is not in use counts as retired, which costs whoever
    /// adds it a needless gap; sources that are there know their own beginning.
    static let maxNames = 10_000

    mutating func retire(_ name: String, at sequence: UInt64) {
        if self.ends.count >= Self.maxNames, self.ends[name] == nil {
            self.floor = max(self.floor, self.ends.values.max() ?? 0)
            self.ends = [:]
        }
        self.ends[name] = sequence
    }

    /// An instance of a template is gone.
    mutating func retireInstances(at sequence: UInt64) {
        self.instanceFloor = max(self.instanceFloor, sequence)
    }

    /// Where the log stood when the last source of this name ended; 0 where there was none.
    func end(of name: String) -> UInt64 {
        if InstanceName.isInstance(name) { return self.instanceFloor }
        return max(self.ends[name] ?? 0, self.floor)
    }
}
