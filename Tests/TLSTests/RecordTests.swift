import CTLS
import Foundation
import FreshetTesting
import Testing

@testable import TLS

/// A server's session and a client's over made-up secrets, so that the client can say what no library would.
final class RecordPair {
    let workspace = TLSWorkspace()
    private let client: OpaquePointer
    private let sealer: OpaquePointer
    private var server: DetachedSession
    private var number: UInt64

    init(
        server: [UInt8] = [UInt8](repeating: 1, count: 32),
        client: [UInt8] = [UInt8](repeating: 2, count: 32),
        sent: UInt64 = 0,
        received: UInt64 = 0
    ) throws {
        let keys = try #require(ctls_detached_new(0, server, client))
        self.client = try #require(ctls_detached_new(0, client, server))
        self.sealer = try #require(ctls_sealer_new())
        self.server = DetachedSession(keys, sent: sent, received: received, recordsPerKey: 1 << 23)
        self.number = received
    }

    deinit {
        ctls_detached_free(self.client)
        ctls_sealer_free(self.sealer)
    }

    /// A record of the client. `padding`: zeros behind the type.
    func record(_ type: UInt8, _ content: [UInt8], padding: Int = 0) -> [UInt8] {
        var output = ctls_output()
        defer { ctls_output_free(&output) }
        let padded = padding == 0 ? content : content + [type] + [UInt8](repeating: 0, count: padding - 1)
        let last = padding == 0 ? type : 0
        let result = ctls_detached_seal(
            self.client,
            self.sealer,
            self.number,
            last,
            padded,
            padded.count,
            &output
        )
        #expect(result == 1)
        self.number += 1
        return Array(UnsafeBufferPointer(start: output.bytes, count: output.count))
    }

    func give(_ bytes: [UInt8]) -> DetachedInput {
        bytes.withUnsafeBytes { self.server.receive($0, with: self.workspace, seconds: 0) }
    }

    func seal(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.withUnsafeBytes({ self.server.seal($0, with: self.workspace) }) else {
            self.workspace.dropSealed()
            return nil
        }
        return self.workspace.takeSealed { Array($0) }
    }

    func close() -> [UInt8] {
        self.server.close(with: self.workspace)
        return self.workspace.takeSealed { Array($0) }
    }

    /// The memory of the server's keys.
    var keys: OpaquePointer { self.server.keys }
}

@Suite("Records")
struct RecordTests {
    private static func bytes(_ hex: String) -> [UInt8] {
        hex.split(whereSeparator: \.isWhitespace).compactMap { UInt8($0, radix: 16) }
    }

    @Test("the records of RFC 8448, section 3, are sealed and opened")
    func vectors() throws {
        let pair = try RecordPair(
            server: Self.bytes(
                """
                a1 1a f9 f0 55 31 f8 56 ad 47 11 6b 45 a9 50 32 82 04 b4 f4 4b fb 6b 3a 4b 4f 1f 3f cb 63 16 43
                """
            ),
            client: Self.bytes(
                """
                9e 40 64 6c e7 9a 7f 9d c0 5a f8 88 9b ce 65 52 87 5a fa 0b 06 df 00 87 f7 92 eb b7 c1 75 04 a5
                """
            ),
            // A ticket went before it.
            sent: 1
        )
        let application = Self.bytes(
            """
            17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc ab 3f 2b 98 19 a8
            a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d ea e6 3a ee bb 21 69 49 15 e4
            """
        )
        let alert = Self.bytes("17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3")
        #expect(pair.give(application) == .open(count: 51))
        let answer = Self.bytes(
            """
            17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82 aa 1b 36 e3 0e fa f9
            7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3 32 54 0d d0 32 e1 67 c2 95 5d
            """
        )
        #expect(pair.seal((0..<50).map { UInt8($0) }) == answer)
        #expect(pair.give(alert) == .closed)
        let end = Self.bytes("17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9")
        #expect(pair.close() == end)
    }

    private static let keyUpdate: [UInt8] = [24, 0, 0, 1, 0]

    @Test("what may come: data, padded or empty, which counts; a KeyUpdate; user_canceled")
    func allowed() throws {
        let pair = try RecordPair()
        #expect(pair.give(pair.record(23, [1, 2, 3])) == .open(count: 4))
        #expect(pair.give(pair.record(23, [])) == .open(count: 1))
        #expect(pair.give(pair.record(23, [1], padding: 100)) == .open(count: 102))
        #expect(pair.give(pair.record(23, [UInt8](repeating: 0, count: 16_384))) == .open(count: 16_385))
        #expect(pair.give(pair.record(21, [1, 90])) == .open(count: 3))
        #expect(pair.give(pair.record(22, Self.keyUpdate, padding: 3)) == .open(count: 0))
        #expect(pair.give(pair.record(23, [1])) == .failed, "it was sealed with the key before")
    }

    @Test(
        "what may not come ends the session, with an alert",
        arguments: [
            (22, [UInt8]()), (22, [24]), (22, [24, 0, 0, 1]), (22, [24, 0, 0, 1, 2]),
            (22, [24, 0, 0, 1, 0, 24, 0, 0, 1, 0]),
            (22, [1, 0, 0, 0]), (22, [4, 0, 0, 0]), (22, [13, 0, 0, 0]), (20, [1]), (24, [1]), (255, [1]),
            (0, [0, 0, 0]),
            (21, [UInt8]()), (21, [1]), (21, [1, 0, 1]),
        ] as [(UInt8, [UInt8])]
    )
    func refused(type: UInt8, content: [UInt8]) throws {
        let pair = try RecordPair()
        #expect(pair.give(pair.record(type, content)) == .failed)
        #expect(pair.workspace.sealedCount == 5 + 2 + 1 + 16)
        #expect(pair.seal([1]) == nil)
    }

    @Test("an alert of the client ends the session without another")
    func alert() throws {
        let pair = try RecordPair()
        #expect(pair.give(pair.record(21, [2, 20])) == .failed)
        #expect(pair.workspace.sealedCount == 0)
        #expect(pair.seal([1]) == nil)
    }

    @Test("what follows close_notify is not looked at")
    func afterEnd() throws {
        let pair = try RecordPair()
        #expect(pair.give(pair.record(23, [1]) + pair.record(21, [1, 0]) + [9, 9, 9]) == .closed)
    }

    @Test("keys are wiped when their session goes")
    func wiped() throws {
        func memory(of keys: OpaquePointer) -> [UInt8] {
            Array(UnsafeRawBufferPointer(start: UnsafeRawPointer(keys), count: 128))
        }
        var pair: RecordPair? = try RecordPair()
        let keys = try #require(pair).keys
        #expect(memory(of: keys).dropFirst(8).filter { $0 != 0 }.count > 80)
        pair = nil
        // Entries that are free are a list; the client's was freed after it and is its head.
        #expect(memory(of: keys).dropFirst(8).allSatisfy { $0 == 0 })
    }
}

@Suite("Record numbers")
struct RecordNumberTests {
    @Test("each is given out once, and none past the limit")
    func once() {
        var numbers = RecordNumbers(after: UInt64(RecordNumbers.limit) - 3)
        var given: [UInt64] = []
        while let number = numbers.take() { given.append(number.spend()) }
        #expect(given == (UInt64(RecordNumbers.limit) - 3..<UInt64(RecordNumbers.limit)).map { $0 })
        let isUsedUp = numbers.take() == nil
        #expect(isUsedUp)
        var over = RecordNumbers(after: .max)
        let isOver = over.take() == nil
        #expect(isOver)
    }

    @Test("a session whose numbers are used up seals and opens nothing")
    func wornOut() throws {
        let worn = try RecordPair(received: UInt64(RecordNumbers.limit))
        #expect(worn.give(worn.record(23, [1])) == .failed)
        let last = try RecordPair(received: UInt64(RecordNumbers.limit) - 1)
        #expect(last.give(last.record(23, [1])) == .open(count: 2))
        #expect(last.give(last.record(23, [1])) == .failed)
    }

    @Test("a record that cannot be sealed uses its number up, and nothing is sealed after it")
    func failure() throws {
        let pair = try RecordPair()
        #expect(pair.seal([1]) != nil)
        #expect(pair.seal([UInt8](repeating: 0, count: 20_000)) == nil)
        #expect(pair.seal([1]) == nil)
        #expect(pair.close().isEmpty)
    }

    @Test("a handover gives its session away once")
    func handover() throws {
        let keys = try #require(
            ctls_detached_new(0, [UInt8](repeating: 1, count: 32), [UInt8](repeating: 2, count: 32))
        )
        let handover = DetachedHandover(DetachedSession(keys, sent: 0, received: 0, recordsPerKey: 1))
        let (first, second) = (handover.take() != nil, handover.take() != nil)
        #expect(first)
        #expect(!second)
    }

    private static let attempts =
        [
            ("once", "if let number = numbers.take() { print(number.spend()) }", nil),
            (
                "twice",
                "if let number = numbers.take() { print(number.spend()); print(number.spend()) }",
                "consumed more than once"
            ),
            ("copied", "let copy = numbers; _ = numbers.take(); _ = copy", "consumed"),
            ("made", "print(RecordNumber(7).spend())", "inaccessible"),
            ("set back", "numbers.next = 0", "inaccessible"),
        ] as [(String, String, String?)]

    /// The types say it, so the compiler is asked.
    @Test("no number can be used twice, copied, made, or set back", arguments: Self.attempts)
    func reuse(name: String, attempt: String, complaint: String?) throws {
        let source = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/TLS/RecordNumbers.swift").standardized.path
        let folder = try TemporaryFolder()
        let main = try folder.write(
            "func attempt(_ numbers: consuming RecordNumbers) { var numbers = numbers; \(attempt); _ = numbers.take() }",
            to: "main.swift"
        )
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["swiftc", "-wmo", "-emit-sil", "-o", "/dev/null", "-package-name", "x", source, main]
        let output = Pipe()
        process.standardError = output
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard let complaint else {
            #expect(process.terminationStatus == 0, "\(said)")
            return
        }
        #expect(process.terminationStatus != 0)
        #expect(said.contains(complaint), "\(said)")
    }
}
