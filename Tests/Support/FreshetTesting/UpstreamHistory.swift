import Foundation

/// What a real API answered over time: every version of one resource, oldest first, as its bytes.
package struct UpstreamHistory: Sendable, CustomStringConvertible {
    package struct Version: Sendable {
        package var bytes: [UInt8]
        /// When it was first seen: seconds since 1970.
        package var committedUnix: Int
        /// The number, from 0, of an earlier version with the same bytes; `nil` for new bytes.
        package var sameBytesAs: Int?
    }

    /// What common libraries make of the changes: totals over every step from one version to the next.
    package struct Baseline: Decodable, Sendable {
        package var steps: Int
        /// The bytes of the RFC 6902 documents, without white space.
        package var jsonPatchBytes: Int
        /// The bytes of the RFC 7396 documents, without white space.
        package var mergePatchBytes: Int
        /// The bytes of the whole representations after each step, without white space.
        package var fullBytes: Int
    }

    package var name: String
    package var versions: [Version]
    /// JSON Pointer to the collection; empty when the document is it, `nil` when there is none.
    package var recordPath: String?
    /// The member of an item that identifies it, or words on it where it is no member; `nil` when there is none.
    package var key: String?
    /// `json`, `csv` or `kml`.
    package var fileExtension: String
    /// `nil` where the recording is not JSON.
    package var baseline: Baseline?

    package var description: String { self.name }
    /// The versions' bytes, as `VersionedResource` takes them.
    package var bodies: [[UInt8]] { self.versions.map(\.bytes) }
}

extension UpstreamHistory {
    /// Reads an unpacked recording.
    init(folder: URL) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let index: Index
        do {
            index = try decoder.decode(Index.self, from: Data(contentsOf: folder.appending(path: "index.json")))
        } catch {
            throw TestingError(.missing, "\(folder.path)/index.json: \(error)")
        }
        self.name = index.name
        self.recordPath = index.recordPath
        self.key = index.key
        self.fileExtension = index.files.first.map { URL(filePath: $0.file).pathExtension } ?? ""
        self.baseline = index.sizeBaseline
        let numbers = Dictionary(
            index.files.enumerated().map { ($1.file, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        self.versions = try index.files.map { file in
            let bytes = try Suites.read(folder.appending(path: file.file))
            guard bytes.count == file.bytes else {
                throw TestingError(.missing, "\(file.file): \(bytes.count) bytes, not \(file.bytes)")
            }
            let same = file.sameBytesAs.flatMap { numbers[$0] }
            return Version(bytes: bytes, committedUnix: file.committedUnix, sameBytesAs: same)
        }
    }

    private struct Index: Decodable {
        struct File: Decodable {
            var file: String
            var bytes: Int
            var committedUnix: Int
            var sameBytesAs: String?
        }

        var name: String
        var recordPath: String?
        var key: String?
        var files: [File]
        var sizeBaseline: Baseline?
    }
}
