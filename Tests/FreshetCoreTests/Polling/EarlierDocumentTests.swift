import FreshetCore
import JSON
import Testing

@Suite("Representation after an earlier document")
struct EarlierDocumentTests {
    private static let rows = (0..<60).map { "\($0),Station number \($0) of sixty,\($0 * 7 % 40)" }
    private static let records = (0..<60).map {
        #"{"id":\#($0),"name":"Station number \#($0) of sixty","bikes":\#($0 % 7)}"#
    }

    /// Two versions of one text in each format.
    private static let versions: [(format: SourceConfiguration.Format, before: String, after: String)] = [
        (.json, "[\(records.joined(separator: ",\n "))]", "[\(records.dropFirst(3).joined(separator: ",\n "))]"),
        (.ndjson, records.joined(separator: "\n"), records.reversed().joined(separator: "\n")),
        (
            .csv, "id,name,bikes\n\(rows.joined(separator: "\n"))",
            "id,name,bikes\n\(rows.dropLast(2).joined(separator: "\n"))"
        ),
        (
            .xml, "<a>\(rows.map { "<b>\($0)</b>" }.joined())</a>",
            "<a>\(rows.map { "<b>\($0 == rows[9] ? "new" : $0)</b>" }.joined())</a>"
        ),
        (.text, rows.joined(), rows.dropFirst().joined()),
    ]

    @Test("what is read does not depend on it, in any format", arguments: versions)
    func formats(format: SourceConfiguration.Format, before: String, after: String) throws {
        func read(_ text: String, after last: Document?) throws -> Document {
            var hints = Representation.Hints()
            hints.last = last
            return try Representation.document(
                from: Array(text.utf8),
                format: format,
                limits: ParseLimits(),
                hints: &hints
            )
        }
        let (old, plain) = (try read(before, after: nil), try read(after, after: nil))
        let new = try read(after, after: old)
        #expect(new.text == plain.text && new.hash == plain.hash && new.nodeCount == plain.nodeCount)
        #expect(old.patch(to: new) == old.patch(to: plain))
        #expect(try read(before, after: new) == old)
    }

    @Test("a value under `root` is compared where it stands in the payload")
    func root() throws {
        let root = try #require(Pointer("/data/stations"))
        func read(_ records: [String], _ time: Int, after last: Document?) throws -> Document {
            var hints = Representation.Hints()
            hints.last = last
            hints.lastPlace = root
            let text = #"{"time":\#(time),"data":{"stations":[\#(records.joined(separator: ","))],"more":false}}"#
            let payload = try Representation.document(
                from: Array(text.utf8),
                format: .json,
                limits: ParseLimits(),
                hints: &hints
            )
            #expect(payload.text == Array(text.utf8))
            return try #require(payload.extracting(root))
        }
        var last: Document?
        for time in 0..<10 {
            let records = Array(Self.records[time...])
            let value = try read(records, time, after: last)
            #expect(try value.text == read(records, time, after: nil).text)
            last = value
        }
    }

    @Test("an error is the same, at the same byte")
    func errors() throws {
        let text = Self.versions[0].before
        let old = try Document(parsing: Array(text.utf8))
        for broken in [
            text + "]", String(text.dropLast()), text.replacing(":17,", with: ":1 7,"),
            text.replacing("Station number 31", with: "\u{1}"),
        ] {
            func failure(after last: Document?) -> UpstreamError? {
                var hints = Representation.Hints()
                hints.last = last
                do throws(UpstreamError) {
                    _ = try Representation.document(
                        from: Array(broken.utf8),
                        format: .json,
                        limits: ParseLimits(),
                        hints: &hints
                    )
                    return nil
                } catch {
                    return error
                }
            }
            let expected = try #require(failure(after: nil))
            let found = try #require(failure(after: old))
            #expect(found.kind == expected.kind && found.message == expected.message)
        }
    }
}
