// What separates the columns of a table that does not say so.

import HTTPFields

/// Finds the separator that fits the first records of a table.
///
/// A candidate fits where it cuts all of them into the same number of columns, more than one, with quotes considered. Of
/// several that fit, commas come last if all of theirs stand inside of numbers (`1,5`) or before a blank (`Ort, Land`);
/// then the one with the most columns wins, then the rarer in text.
///
/// Where none fits, it is the one that stands most often in the first record, so that a table with a record of another
/// length is refused and not read as one column.
enum SeparatorSearch {
    /// The rarest in text first.
    private static let candidates: [UInt8] = [0x09, UInt8(ascii: ";"), UInt8(ascii: "|"), UInt8(ascii: ",")]
    /// How much of the table is looked at.
    private static let maxRecords = 25
    private static let maxBytes = 64 << 10

    static func separator(of bytes: [UInt8], from start: Int) -> UInt8 {
        let head = bytes.count - start > self.maxBytes ? Array(bytes[..<(start + self.maxBytes)]) : bytes
        let isWhole = head.count == bytes.count
        let trials = self.candidates.map { Trial(head, from: start, separator: $0, isWhole: isWhole) }
        let fitting = trials.filter(\.fits)
        let clear = fitting.count > 1 ? fitting.filter { !$0.isPunctuation } : fitting
        if let best = (clear.isEmpty ? fitting : clear).max(by: { $0.columns < $1.columns }) {
            return best.separator
        }
        guard let best = trials.max(by: { $0.columns < $1.columns }), best.columns > 1 else {
            return UInt8(ascii: ",")
        }
        return best.separator
    }

    /// A candidate, and what it makes of the first records.
    private struct Trial {
        let separator: UInt8
        /// Fields of the first record; 0 where it cannot be read.
        private(set) var columns = 0
        private(set) var fits = false
        /// It is the comma, and each one stands inside of a number or before a blank.
        private(set) var isPunctuation = false

        init(_ bytes: [UInt8], from start: Int, separator: UInt8, isWhole: Bool) {
            self.separator = separator
            var isEven = true
            var records = 0
            let end = bytes.withUnsafeBufferPointer { bytes in
                var table = TableReader(bytes, from: start, separator: separator)
                do throws(UpstreamError) {
                    while records < SeparatorSearch.maxRecords, table.beginRecord() {
                        var fields = NoFields()
                        var columns = 0
                        repeat {
                            try table.field(into: &fields)
                            columns += 1
                        } while table.passSeparator()
                        // The record in which the look ends may be cut.
                        guard isWhole || table.offset < bytes.count || records == 0 else { break }
                        records += 1
                        if records == 1 { self.columns = columns }
                        isEven = isEven && columns == self.columns
                    }
                } catch {
                    // A quote that does not close within what is looked at is no fault after a few records.
                    isEven = isEven && !isWhole && records > 0
                }
                return table.offset
            }
            self.fits = isEven && self.columns > 1
            self.isPunctuation =
                separator == UInt8(ascii: ",") && Self.isPunctuation(in: bytes[start..<max(start, end)])
        }

        private static func isPunctuation(in bytes: ArraySlice<UInt8>) -> Bool {
            var rest = bytes
            while let comma = rest.firstIndex(of: UInt8(ascii: ",")) {
                let before = comma > bytes.startIndex ? bytes[comma - 1] : 0
                let after = comma + 1 < bytes.endIndex ? bytes[comma + 1] : 0
                guard after == 0x20 || before.isDigit && after.isDigit else { return false }
                rest = rest[(comma + 1)...]
            }
            return true
        }
    }
}
