// Figures in columns that a person and `awk` can read.

/// Writes the rows of a table.
enum Table {
    static func row(_ cells: String...) {
        let padded = cells.enumerated().map { index, cell in
            let width = index == 0 ? 32 : 12
            let gap = String(repeating: " ", count: max(1, width - cell.count))
            return index == 0 ? cell + gap : gap + cell
        }
        print(padded.joined())
    }

    /// As ``ratio(_:)``, and a hyphen for what was not measured.
    static func text(_ value: Double) -> String { value.isFinite ? self.ratio(value) : "-" }

    /// Two digits after the point.
    static func ratio(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }
}

/// A benchmark could not be run to its end.
struct BenchmarkFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
