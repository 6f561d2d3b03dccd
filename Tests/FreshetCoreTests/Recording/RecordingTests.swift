import Testing

@testable import FreshetCore

@Suite("Recordings")
struct RecordingTests {
    private func index(_ text: String) throws -> RecordingIndex { try RecordingIndex(parsing: Array(text.utf8)) }

    @Test("an index that was written is read back the same, byte-exact validators included")
    func roundTrip() throws {
        var index = RecordingIndex(name: "rates", url: "https://api.example.com/rates?key=***")
        let time = WallTime(milliseconds: 1_800_000_000_123)
        index.versions = [
            RecordingIndex.Version(
                file: "0000.json",
                bytes: 3,
                at: time,
                etag: "W/\"\u{E9}\"",
                contentType: "text/csv"
            ),
            RecordingIndex.Version(file: "0000.json", bytes: 3, at: time, lastModified: "yesterday"),
            RecordingIndex.Version(file: "0002.json", bytes: 0, at: WallTime(milliseconds: 1_800_000_001_000)),
        ]
        #expect(try RecordingIndex(parsing: index.text) == index)
        let served = ReplayedVersion(index.versions[0], bytes: [1, 2, 3])
        #expect(served.etag == Array("W/\"".utf8) + [0xE9, 0x22], "one byte for each character")
    }

    @Test("times of a shared recording are seconds")
    func committed() throws {
        let index = try self.index(#"{"name":"A b","files":[{"file":"0.json","bytes":1,"committed_unix":60}]}"#)
        #expect(index.versions.first?.at == WallTime(milliseconds: 60_000))
        #expect(index.name == "recording", "a name that no source can have")
    }

    @Test(
        "an index that leads elsewhere, or says too little, is refused",
        arguments: [
            "", "[]", "{}", #"{"files":[]}"#, #"{"files":[{}]}"#,
            #"{"files":[{"file":"../secret","bytes":1,"committed_unix":1}]}"#,
            #"{"files":[{"file":".hidden","bytes":1,"committed_unix":1}]}"#,
            #"{"files":[{"file":"","bytes":1,"committed_unix":1}]}"#,
            #"{"files":[{"file":"a/b","bytes":1,"committed_unix":1}]}"#,
            #"{"files":[{"file":"a\u0000b","bytes":1,"committed_unix":1}]}"#,
            #"{"files":[{"file":"a","bytes":-1,"committed_unix":1}]}"#,
            #"{"files":[{"file":"a","bytes":1}]}"#,
            #"{"files":[{"file":"a","bytes":1,"committed_unix":9223372036854775807}]}"#,
        ]
    )
    func refused(text: String) {
        #expect(throws: RecordingIndex.Failure.self) { try self.index(text) }
    }

    @Test("a validator with a control character is as if it were not there")
    func fields() throws {
        let text = #"{"files":[{"file":"a","bytes":1,"committed_unix":1,"etag":"\"a\"\r\nX: y"}]}"#
        #expect(try self.index(text).versions.first?.etag == nil)
    }

    @Test(
        "a version is served at its time",
        arguments: [
            (1.0, 0, 0), (1, 9, 0), (1, 10, 1), (1, 29, 1), (1, 30, 2), (1, 1_000_000, 2), (10, 1, 1), (10, 3, 2),
        ]
    )
    func schedule(speed: Double, seconds: Int, version: Int) {
        var index = RecordingIndex(name: "x")
        // The third stands before the second, as after a step of the recorder's clock.
        for start in [100, 110, 130] {
            index.versions.append(.init(file: "a", bytes: 1, at: WallTime(milliseconds: Int64(start) * 1000)))
        }
        let schedule = ReplaySchedule(index, speed: speed)
        #expect(schedule.version(after: .seconds(seconds)) == version)
    }

    @Test("times that go backwards, or are as far apart as can be, do no harm")
    func strangeTimes() {
        var index = RecordingIndex(name: "x")
        for time in [Int64.min, 0, -5, Int64.max] {
            index.versions.append(.init(file: "a", bytes: 1, at: WallTime(milliseconds: time)))
        }
        let schedule = ReplaySchedule(index, speed: 0)
        #expect(schedule.version(after: .zero) == 0)
        #expect(ReplaySchedule(RecordingIndex(name: "x"), speed: .nan).version(after: .seconds(1)) == 0)
    }

    @Test(
        "304 by RFC 9110",
        arguments: [
            ("\"a\"", nil, true), ("W/\"a\"", nil, true), ("\"b\", \"a\"", nil, true), ("*", nil, true),
            ("\"b\"", nil, false), ("\"b\"", "Fri, 15 Jan 2027 08:00:00 GMT", false),
            (nil, "Fri, 15 Jan 2027 08:00:00 GMT", true), (nil, "Fri, 15 Jan 2027 07:59:59 GMT", false),
            (nil, "yesterday", false), (nil, nil, false),
        ] as [(String?, String?, Bool)]
    )
    func conditions(tag: String?, date: String?, isCurrent: Bool) {
        let time = WallTime(milliseconds: 1_800_000_000_000)
        let version = ReplayedVersion(.init(file: "a.json", bytes: 1, at: time, etag: "\"a\""), bytes: [1])
        let answer = version.isCurrent(
            ifNoneMatch: tag.map { Array($0.utf8) },
            ifModifiedSince: date.map { Array($0.utf8) },
            wallNow: 1_800_000_100
        )
        #expect(answer == isCurrent)
    }

    @Test(
        "files are named by what they hold",
        arguments: [
            ("application/json; charset=utf-8", "json"), ("text/csv", "csv"),
            ("application/vnd.google-earth.kml+xml", "xml"),
            ("application/x-ndjson", "ndjson"), ("text/plain", "txt"), ("image/png", "bin"),
            ("text/tab-separated-values", "tsv"),
        ]
    )
    func extensions(type: String, ending: String) {
        #expect(ReplayedVersion.fileExtension(ofContentType: Array(type.utf8)) == ending)
    }
}
