// The change log over a restart, as the composition sets it up.

import Foundation
import FreshetConfiguration
import FreshetCore
import FreshetPolling
import JSON
import Logging
import Testing

@testable import freshet

@Suite("The durable log")
struct DurableLogTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A folder of its own for each test, gone at the end.
    private final class Folder {
        let path: String

        init() throws {
            let url = FileManager.default.temporaryDirectory.appending(path: "freshet-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
            self.path = url.path
        }

        deinit { try? FileManager.default.removeItem(atPath: self.path) }
    }

    private func source(_ name: String, url: String = "http://127.0.0.1:1/") -> SourceConfiguration {
        SourceConfiguration(name: name, url: url)
    }

    private func start(
        _ folder: Folder,
        _ sources: [SourceConfiguration]
    ) throws -> (log: DurableLog, hub: Hub, registry: SourceRegistry) {
        let log = try DurableLog(.init(path: "\(folder.path)/changes.db"), logger: self.logger)
        let hub = log.hub(cache: ChangeCache())
        let registry = SourceRegistry(hub: hub, poller: try Poller(hub: hub), stored: log.contents.sources)
        try registry.apply(sources)
        return (log, hub, registry)
    }

    private func publish(
        _ texts: [String],
        to name: String,
        of parts: (log: DurableLog, hub: Hub, registry: SourceRegistry)
    ) throws {
        let id = try #require(parts.registry.ids[name])
        for text in texts {
            let document = try Document(parsing: Array(text.utf8))
            parts.hub.publish(
                Change(document: document, at: WallTime.now, validators: Validators(etag: Array("\"\(text)\"".utf8))),
                of: id
            )
        }
    }

    @Test("a restart goes on in the same numbering, with the value, and resumes from the file")
    func restart() async throws {
        let folder = try Folder()
        let first = try self.start(folder, [self.source("a"), self.source("b")])
        try self.publish(["1", "2", "3"], to: "a", of: first)
        first.log.close()
        let second = try self.start(folder, [self.source("b"), self.source("a")])
        defer { second.log.close() }
        #expect(second.hub.cursor.epoch == first.log.contents.epoch)
        #expect(second.hub.cursor.sequence == 3)
        let a = try #require(second.registry.ids["a"])
        let b = try #require(second.registry.ids["b"])
        #expect(second.hub.version(of: a)?.document.text == Array("3".utf8))
        #expect(second.hub.version(of: b) == nil)
        let cursor = Cursor(epoch: second.hub.cursor.epoch, sequence: 1)
        let reading = try await second.hub.changes(of: [a, b], after: cursor, mode: .patch, limit: 10)
        guard case .events(let events, _, true) = reading else {
            Issue.record("\(reading)")
            return
        }
        #expect(events.map(\.sequence) == [2, 3])
    }

    @Test("a value of another URL is not taken over, and its history is not passed over in silence")
    func otherIdentity() async throws {
        let folder = try Folder()
        let first = try self.start(folder, [self.source("a")])
        try self.publish(["1", "2"], to: "a", of: first)
        first.log.close()
        let second = try self.start(folder, [self.source("a", url: "http://127.0.0.1:1/other")])
        defer { second.log.close() }
        let a = try #require(second.registry.ids["a"])
        #expect(second.hub.version(of: a) == nil)
        let reading = try await second.hub.changes(
            of: [a],
            after: Cursor(epoch: second.hub.cursor.epoch, sequence: 1),
            mode: .patch,
            limit: 10
        )
        // Nobody may build the old value's changes on the new one, or on none.
        guard case .gap(.evicted) = reading else {
            Issue.record("\(reading)")
            return
        }
    }

    @Test(
        "F67 a file that is held already, and a folder that is not there, end the start with the path and a fix"
    )
    func refused() throws {
        let folder = try Folder()
        let first = try self.start(folder, [self.source("a")])
        defer { first.log.close() }
        let cases = [
            ("\(folder.path)/changes.db", "\(folder.path)/changes.db"),
            ("\(folder.path)/none/changes.db", "mkdir -p \(folder.path)/none"),
        ]
        for (path, named) in cases {
            #expect {
                try DurableLog(.init(path: path), logger: self.logger)
            } throws: {
                "\($0)".contains(named)
            }
        }
    }
}
