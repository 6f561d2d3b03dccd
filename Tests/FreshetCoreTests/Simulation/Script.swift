import FreshetCore
import JSON

extension SeededGenerator {
    mutating func chance(_ probability: Double) -> Bool {
        Double.random(in: 0..<1, using: &self) < probability
    }
}

/// The values of simulated sources: `{"n":K,"pad":"…"}`, where K counts the changes of the source. So a subscriber that
/// holds K may be given a patch to K + 1 or a snapshot, and nothing else.
enum SimulatedValue {
    static func change(to number: Int, at milliseconds: Int64 = 0) throws -> Change {
        let new = try self.document(number)
        guard number > 1 else {
            return Change(document: new, at: WallTime(milliseconds: milliseconds))
        }
        let patch = try self.document(number - 1).patch(to: new)
        let merge = try self.document(number - 1).mergePatch(to: new)
        return Change(document: new, patch: patch.text, merge: merge, at: WallTime(milliseconds: milliseconds))
    }

    private static func document(_ number: Int) throws -> Document {
        let pad = String(repeating: "x", count: 160)
        return try Document(parsing: Array(#"{"n":\#(number),"pad":"\#(pad)"}"#.utf8))
    }
}
