// Texts and small parts: cursors, queries, URLs, the two forms of a stream, the buffer.

import Testing

@testable import FreshetClient

@Suite("Forms")
struct FormTests {
    @Test(
        "cursors",
        arguments: [
            ("k3f9q-41", "k3f9q", 41), ("a-b-7", "a-b", 7), ("e-0", "e", 0),
            ("e-18446744073709551615", "e", UInt64.max),
        ] as [(String, String, UInt64)]
    )
    func cursors(text: String, epoch: String, sequence: UInt64) throws {
        let cursor = try #require(FreshetClient.Cursor(text))
        #expect(cursor.epoch == epoch)
        #expect(cursor.sequence == sequence)
        #expect(cursor.description == text)
    }

    @Test(
        "what is not a cursor",
        arguments: [
            "", "-", "e-", "-1", "e", "e-x", "e-+1", "e-1\r\n", "e 1-1", "e~-1", "é-1", "e-18446744073709551616",
        ]
            + [String(repeating: "e", count: 63) + "-1"]
    )
    func foreign(text: String) {
        #expect(FreshetClient.Cursor(text) == nil)
    }

    @Test("cursors of one epoch are compared by their sequence")
    func comparison() throws {
        let texts = ["e-1", "e-2", "f-1"]
        let cursors = try texts.map { try #require(FreshetClient.Cursor($0)) }
        #expect(cursors[1].reaches(cursors[0]) == true)
        #expect(cursors[1].reaches(cursors[1]) == true)
        #expect(cursors[0].reaches(cursors[1]) == false)
        #expect(cursors[2].reaches(cursors[0]) == nil)
    }

    @Test(
        "parts of a source as a query",
        arguments: [
            (.whole, ""), (.pointer("/a b/ü"), "&pointer=%2Fa%20b%2F%C3%BC"),
            (.items(["1", "a,b"]), "&item=1&item=%22a%2Cb%22"),
            (.itemsWhere(pointer: "/status", equals: "open&x"), "&where=%2Fstatus%3Aopen%26x"),
        ] as [(FreshetClient.View, String)]
    )
    func views(view: FreshetClient.View, query: String) {
        let names = ["rates", "user/a%2Fb", "bike-*"]
        let stream = StreamQuery(names: names, mode: .items, start: .snapshot, view: view)
        #expect(stream.path == "/v1/streams/rates,user%2Fa%252Fb,bike-*?mode=items\(query)")
    }

    @Test(
        "URLs that are none of a gateway",
        arguments: [
            "", "gateway", "ftp://a", "http://", "http:///a", "http://a?b", "http://a#b", "http://a b", "http://a\n",
            "unix:",
        ]
    )
    func urls(url: String) {
        let error = #expect(throws: FreshetClientError.self) { try FreshetClient(url) }
        #expect(error?.code == .unusableURL)
    }

    private static let hello = #"{"event":"hello","data":{"cursor":"e-0","heartbeat":15}}"#
    private static let snapshot =
        #"{"id":"e-1","event":"snapshot","data":{"source":"s","at":"2026-11-23T06:00:00.123Z","value":{"a":[1.0,"é"]}}}"#
    private static let status = #"{"event":"status","data":{"source":"s","state":"ok"}}"#
    private static let patch = #"{"id":"e-2","event":"patch","data":{"source":"s","patch":[]}}"#

    private static let events =
        """
        retry: 2000

        event: hello
        data: {"cursor":"e-0","heartbeat":15}

        id: e-1
        event: snapshot
        data: {"source":"s","at":"2026-11-23T06:00:00.123Z","value":{"a":[1.0,"é"]}}

        : 
        event: status
        data: {"source":"s","state":"ok"}

        id: e-2
        event: patch
        data: {"source":"s","patch":[]}


        """

    @Test("both forms give the same events, however they are cut", arguments: [1, 2, 3, 7, 4096])
    func forms(size: Int) throws {
        let lines = [Self.hello, #"{"event":"heartbeat"}"#, Self.snapshot, "", Self.status, Self.patch]
        let texts = [
            ("text/event-stream; charset=utf-8", Self.events),
            ("application/x-ndjson", lines.map { $0 + "\n" }.joined()),
        ]
        for (type, text) in texts {
            var reader = try #require(StreamReader(contentType: type, maxEventBytes: 1000))
            var found: [String] = []
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                let events = try reader.push(Array(bytes[start..<min(start + size, bytes.count)]))
                found += events.map { String(decoding: $0.line, as: UTF8.self) }
            }
            #expect(found == [Self.hello, Self.snapshot, Self.status, Self.patch], "\(type)")
        }
    }

    @Test("a line without an end is given up at the limit")
    func endless() throws {
        for type in ["text/event-stream", "application/x-ndjson"] {
            var reader = try #require(StreamReader(contentType: type, maxEventBytes: 100))
            let error = #expect(throws: FreshetClientError.self) {
                for _ in 0..<20 { _ = try reader.push(Array("data: aaaa".utf8)) }
            }
            #expect(error?.code == .tooLarge)
        }
        #expect(StreamReader(contentType: "text/html", maxEventBytes: 100) == nil)
        #expect(StreamReader(contentType: nil, maxEventBytes: 100) == nil)
    }

    @Test("a buffer keeps the order over many takes, and the newest of each key")
    func buffer() async throws {
        let mailbox = Mailbox<Int>(maxCount: 1000, maxBytes: 1000)
        var taken: [Int] = []
        var next = 0
        for round in 0..<300 {
            for _ in 0..<(round % 7) {
                #expect(mailbox.put(next, bytes: 1) == .accepted)
                next += 1
            }
            for _ in 0..<(round % 5) where taken.count < next {
                taken.append(try #require(try await mailbox.take()))
            }
        }
        while taken.count < next { taken.append(try #require(try await mailbox.take())) }
        #expect(taken == Array(0..<next))

        let keyed = Mailbox<String>(maxCount: 1, maxBytes: 0)
        for number in 0..<500 { _ = keyed.put("\(number)", key: "k\(number % 200)", bytes: 0) }
        var newest: [String] = []
        for _ in 0..<100 { newest.append(try #require(try await keyed.take())) }
        #expect(newest == (400..<500).map { "\($0)" })
        for number in 500..<550 { _ = keyed.put("\(number)", key: "k\(number % 200)", bytes: 0) }
        newest = []
        for _ in 0..<100 { newest.append(try #require(try await keyed.take())) }
        #expect(newest == (Array(500..<550) + Array(350..<400)).map { "\($0)" })
        keyed.finish()
        #expect(try await keyed.take() == nil)
    }

    @Test("a chunk queue stops its thread when it is full, and lets it go on when the reader has taken")
    func backPressure() async throws {
        let resumed = Mailbox<Bool>(maxCount: 10, maxBytes: 10)
        let cancelled = Mailbox<Bool>(maxCount: 10, maxBytes: 10)
        let queue = ChunkQueue(
            maxBytes: 4,
            resume: { _ = resumed.put(true, bytes: 0) },
            cancel: { _ = cancelled.put(true, bytes: 0) }
        )
        var iterator = queue.stream.makeAsyncIterator()
        #expect(queue.put([1, 2, 3]))
        #expect(queue.put([4, 5, 6]), "what fits in part is taken")
        #expect(!queue.put([7]))
        #expect(try await iterator.next() == [1, 2, 3, 4, 5, 6])
        _ = try await resumed.take()
        #expect(queue.put([7]))
        #expect(try await iterator.next() == [7])
        // The iterator is the last that reads.
        iterator = ChunkQueue(maxBytes: 1, resume: {}, cancel: {}).stream.makeAsyncIterator()
        _ = try await cancelled.take()
    }
}
