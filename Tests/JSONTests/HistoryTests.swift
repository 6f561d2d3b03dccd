import Foundation
import Testing

@testable import JSON

/// Real answers of real services, version after version.
@Suite("Real histories", .enabled(if: Suites.exists("upstream-sequences")))
struct HistoryTests {
    /// The histories in JSON. Their patches may take this share of what a naive RFC 6902 diff takes.
    static let histories = [
        ("calfire-incidents", 0.80), ("dockerhub-repo", 0.95), ("exchange-rates", 0.65), ("hn-by-domain", 0.90),
        ("mastodon-instances-big", 0.15), ("usgs-quakes", 0.80),
    ]

    @Test("each step patches to the next, and the patches are small", arguments: histories)
    func patches(name: String, share: Double) throws {
        try Suites.unpacking("upstream-sequences/\(name).tar.xz") { folder in
            let history = try History(folder.appendingPathComponent(name))
            var bytes = 0
            var merged = 0
            for (old, new) in zip(history.documents, history.documents.dropFirst()) {
                let patch = old.patch(to: new)
                let result = try old.applying(patch: Document(parsing: patch.text))
                #expect(result == new && result.hash == new.hash)
                bytes += min(patch.text.count, new.text.count)
                if let merge = old.mergePatch(to: new) {
                    #expect(try old.applying(mergePatch: Document(parsing: merge)) == new)
                    merged += 1
                }
            }
            #expect(history.documents.count == history.steps + 1)
            #expect(bytes <= history.naivePatchBytes)
            #expect(bytes <= history.fullBytes)
            #expect(Double(bytes) <= share * Double(history.naivePatchBytes), "\(bytes) of \(history.naivePatchBytes)")
        }
    }

    @Test(
        "item events tell all that happened to the records",
        arguments: [
            ("calfire-incidents", "/Incidents", "/UniqueId", 13, 12, 134), ("hn-by-domain", "", "/id", 12, 12, 220),
            ("usgs-quakes", "/features", "/id", 337, 342, 266), ("mastodon-instances-big", "", "/name", 16, 0, 9609),
        ]
    )
    func items(name: String, items: String, key: String, created: Int, deleted: Int, updated: Int) throws {
        let identity: Pointer = try #require(Pointer(key))
        let rule = try ItemRule(items: #require(Pointer(items)), key: identity)
        try Suites.unpacking("upstream-sequences/\(name).tar.xz") { folder in
            let history = try History(folder.appendingPathComponent(name))
            var counts = [0, 0, 0]
            for (old, new) in zip(history.documents, history.documents.dropFirst()) {
                let changes = try #require(old.itemChanges(to: new, items: rule))
                counts[0] += changes.createdCount
                counts[1] += changes.deletedCount
                counts[2] += changes.updatedCount
            }
            // Counted independently, in each history's `change_statistics`.
            #expect(counts == [created, deleted, updated])
        }
    }
}

/// One unpacked history.
private struct History {
    let documents: [Document]
    let steps: Int
    let naivePatchBytes: Int
    let fullBytes: Int

    init(_ folder: URL) throws {
        func read(_ name: String) throws -> Document {
            try Document(parsing: [UInt8](Data(contentsOf: folder.appendingPathComponent(name))))
        }
        let index = try read("index.json")
        let baseline = try #require(index.root["size_baseline"])
        self.steps = try #require(baseline["steps"]?.int)
        self.naivePatchBytes = try #require(baseline["json_patch_bytes"]?.int)
        self.fullBytes = try #require(baseline["full_bytes"]?.int)
        self.documents = try #require(index.root["files"]).elements.map { try read(#require($0["file"]?.string)) }
    }
}
