// The folder of a recording: files with bytes, and the index that says when each was seen.

import Foundation
import FreshetConfiguration
import FreshetCore

/// Reads and writes a recording. Confined to one task at a time.
struct RecordingFolder {
    let path: String
    private(set) var index: RecordingIndex

    /// Of all files of a recording together, when it is read.
    static let maxTotalBytes = 4 << 30

    private var indexPath: String { "\(self.path)/\(RecordingIndex.fileName)" }

    /// Makes the folder for a new recording. One that is there may hold anything but another recording.
    ///
    /// - Throws: ``StartFailure`` where that fails.
    init(creating path: String, name: String, url: String) throws(StartFailure) {
        self.path = path
        self.index = RecordingIndex(name: name, url: URLRedaction.redacted(url, wholly: true))
        guard !FileManager.default.fileExists(atPath: self.indexPath) else {
            throw StartFailure("\(self.indexPath) is there already; name another folder with -o")
        }
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw StartFailure("\(path) cannot be made: \(error.localizedDescription)")
        }
    }

    /// Opens a recording.
    ///
    /// - Throws: ``StartFailure`` where there is no valid index.
    init(opening path: String) throws(StartFailure) {
        self.path = path
        self.index = RecordingIndex(name: "")
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: self.indexPath))
        } catch {
            throw StartFailure("\(self.indexPath) cannot be read; `freshet record URL -o FOLDER` makes a recording")
        }
        do throws(RecordingIndex.Failure) {
            self.index = try RecordingIndex(parsing: [UInt8](data))
        } catch {
            throw StartFailure("\(self.indexPath): \(error)".escapingControls())
        }
        var total = 0
        for version in self.index.versions {
            let (sum, overflow) = total.addingReportingOverflow(version.bytes)
            guard !overflow, sum <= Self.maxTotalBytes else {
                throw StartFailure("\(self.indexPath): the versions have more than \(Self.maxTotalBytes >> 30) GiB")
            }
            total = sum
        }
    }

    /// The bytes of a version.
    ///
    /// - Throws: ``StartFailure`` where the file is not there, or not as long as the index says.
    func bytes(of version: RecordingIndex.Version) throws(StartFailure) -> [UInt8] {
        let path = "\(self.path)/\(version.file)"
        guard let data = try? Data(contentsOf: URL(filePath: path)) else {
            throw StartFailure("\(path) cannot be read".escapingControls())
        }
        guard data.count == version.bytes else {
            throw StartFailure(
                "\(path) has \(data.count) bytes, and the index says \(version.bytes)".escapingControls()
            )
        }
        return [UInt8](data)
    }

    /// Adds a version: its file, where the bytes are new, and its line in the index, which ``save()`` writes.
    ///
    /// - Throws: ``StartFailure`` where the file cannot be written.
    mutating func append(
        _ bytes: [UInt8],
        at time: WallTime,
        validators: (etag: [UInt8]?, lastModified: [UInt8]?),
        contentType: [UInt8]?
    ) throws(StartFailure) {
        func text(_ field: [UInt8]?) -> String? {
            field.map { String(String.UnicodeScalarView($0.map { Unicode.Scalar($0) })) }
        }
        let last = self.index.versions.last
        var version = RecordingIndex.Version(
            file: last?.file ?? "",
            bytes: bytes.count,
            at: time,
            etag: text(validators.etag),
            lastModified: text(validators.lastModified),
            contentType: text(contentType)
        )
        let isSame = try last.map { last throws(StartFailure) in try self.bytes(of: last) == bytes } ?? false
        if !isSame {
            let digits = String(self.index.versions.count)
            let number = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
            version.file = "\(number).\(ReplayedVersion.fileExtension(ofContentType: contentType))"
            try self.write(bytes, to: "\(self.path)/\(version.file)")
        }
        self.index.versions.append(version)
    }

    /// Writes the index, whole or not at all.
    ///
    /// - Throws: ``StartFailure`` where that fails.
    func save() throws(StartFailure) {
        try self.write(self.index.text, to: self.indexPath)
    }

    private func write(_ bytes: [UInt8], to path: String) throws(StartFailure) {
        do {
            try Data(bytes).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw StartFailure("\(path) cannot be written: \(error.localizedDescription)")
        }
    }
}
