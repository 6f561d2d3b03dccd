import FreshetCore
import JSON

/// The values of simulated sources: `{"n":K,"p":J,"pad":"…"}`, the K-th value of a source, which followed the J-th. So a
/// subscriber that holds J may be given a patch to K, any subscriber a snapshot, and nobody anything else.
struct SimulatedValue: Hashable, Sendable {
    var number: Int
    var previous: Int

    func document() throws -> Document {
        let pad = String(repeating: "x", count: 160)
        return try Document(parsing: Array(#"{"n":\#(self.number),"p":\#(self.previous),"pad":"\#(pad)"}"#.utf8))
    }

    /// The change from this value to the one with `number`.
    func change(to number: Int, at milliseconds: Int64 = 0) throws -> Change {
        let next = SimulatedValue(number: number, previous: self.number)
        let new = try next.document()
        guard self.number > 0 else { return Change(document: new, at: WallTime(milliseconds: milliseconds)) }
        let old = try self.document()
        let (patch, merge) = (old.patch(to: new), old.mergePatch(to: new))
        return Change(document: new, patch: patch.text, merge: merge, at: WallTime(milliseconds: milliseconds))
    }

    /// The change to the `number`-th value, from the one before it.
    static func change(to number: Int) throws -> Change {
        try SimulatedValue(number: number - 1, previous: max(0, number - 2)).change(to: number)
    }
}
