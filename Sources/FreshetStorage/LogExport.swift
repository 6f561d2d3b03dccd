// A log as JSON lines: readable without this program, and the way to another file, machine or format.

import Foundation
package import FreshetCore
import JSON

/// The lines of an export. The first names the form and where the log stood, the last counts the others, so that a file
/// that was cut is noticed. In between: each source with its latest value, then every change in the order of the log, then
/// the idempotency keys of writes.
enum LogLine {
    /// The form that this version writes and reads. A higher one is refused.
    static let form = 1

    static func last(_ report: LogReport) -> [UInt8] {
        self.line { json in
            json.member("sources", report.sources)
            json.member("changes", report.changes)
            json.member("write_keys", report.writeKeys)
        }
    }

    static func line(of part: StoppedLog.Part) -> [UInt8] {
        self.line { json in
            switch part {
            case .head(let cursor):
                json.member("freshet_log", self.form)
                json.member("cursor", cursor.description)
            case .source(let row, let snapshot, let validators): self.write(row, snapshot, validators, to: &json)
            case .change(let change, let source): self.write(change, of: source, to: &json)
            case .writeKey(let key):
                json.member("write_key", Data(key.scope).base64EncodedString())
                json.member("fingerprint", Data(key.fingerprint).base64EncodedString())
                json.member("at", WallTime(milliseconds: key.at).description)
                json.member("state", Data(key.state).base64EncodedString())
            }
        }
    }

    private static func write(
        _ row: SourceRow,
        _ snapshot: SnapshotRow,
        _ validators: ValidatorsRow?,
        to json: inout JSONWriter
    ) {
        json.member("source", row.name ?? "")
        json.member("identity", row.identity)
        json.member("sequence", row.last)
        json.member("at", WallTime(milliseconds: snapshot.at).description)
        // Those of another value would make the next poll answer "not modified" to a value that is not there.
        if let validators, validators.sequence == row.last {
            let known = validators.validators
            if let etag = known.etag { json.member("etag", Data(etag).base64EncodedString()) }
            if let date = known.lastModified { json.member("last_modified", Data(date).base64EncodedString()) }
            if let url = known.url { json.member("url", url) }
            json.member("learned", Data(validators.learned).base64EncodedString())
        }
        json.member("value", raw: self.oneLine(snapshot.value))
    }

    private static func write(_ change: ChangeRow, of source: String, to json: inout JSONWriter) {
        json.member("change", change.sequence)
        json.member("of", source)
        json.member("at", WallTime(milliseconds: change.at).description)
        for (name, text) in [
            ("patch", change.patch), ("merge", change.merge), ("items", change.items), ("value", change.value),
        ] {
            if let text { json.member(name, raw: self.oneLine(text)) }
        }
    }

    private static func line(_ body: (inout JSONWriter) -> Void) -> [UInt8] {
        var json = JSONWriter()
        json.object { body(&$0) }
        return json.text + [0x0A]
    }

    /// Line breaks of JSON stand between values alone (RFC 8259 §2), where a blank serves as well.
    private static func oneLine(_ text: [UInt8]) -> [UInt8] {
        guard text.contains(where: { $0 == 0x0A || $0 == 0x0D }) else { return text }
        return text.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }
    }
}

extension StoppedLog {
    /// Hands the log on as JSON lines, each with its line feed.
    ///
    /// - Throws: `.corrupt` where anything is damaged, after what was handed on by then; and what `write` throws.
    package func export(_ write: ([UInt8]) throws -> Void) throws(StoreError) -> LogReport {
        let report = try self.walk { try write(LogLine.line(of: $0)) }
        if let problem = report.problems.first { throw StoreError(.corrupt, "the log is damaged: \(problem)") }
        do {
            try write(LogLine.last(report))
        } catch {
            throw StoreError(.io, "the export cannot be written: \(error)")
        }
        return report
    }
}
