// The index of a recording: which bytes an upstream answered with, and when.

import JSON

/// The versions of one resource, oldest first, as `index.json` lists them. The bytes are in files beside it.
package struct RecordingIndex: Hashable, Sendable {
    /// One answer that differed from the one before it.
    package struct Version: Hashable, Sendable {
        /// The name of the file with the bytes, without a folder. Several versions may share a file.
        package var file: String
        /// The length of that file.
        package var bytes: Int
        /// When the answer was seen first.
        package var at: WallTime
        /// As the upstream sent it, one character for each byte (ISO 8859-1); `nil` where it sent none.
        package var etag: String?
        /// As ``etag``.
        package var lastModified: String?
        /// As ``etag``.
        package var contentType: String?

        package init(
            file: String,
            bytes: Int,
            at: WallTime,
            etag: String? = nil,
            lastModified: String? = nil,
            contentType: String? = nil
        ) {
            self.file = file
            self.bytes = bytes
            self.at = at
            self.etag = etag
            self.lastModified = lastModified
            self.contentType = contentType
        }
    }

    /// The name of the index in the folder of a recording.
    package static let fileName = "index.json"
    /// The most versions that are recorded or replayed.
    package static let maxVersions = 100_000
    /// The longest index that is read.
    package static let maxIndexBytes = 64 << 20

    /// What the recording is called; the last part of the URL at which it is replayed.
    package var name: String
    /// Where it was recorded, without secrets; `nil` where the index does not say.
    package var url: String?
    package var versions: [Version]

    package init(name: String, url: String? = nil, versions: [Version] = []) {
        self.name = name
        self.url = url
        self.versions = versions
    }

    /// Why a text is no index: one sentence for a person.
    package struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        package var description: String
    }
}

// MARK: - Reading and writing

extension RecordingIndex {
    /// Reads an index. Members that are not known are ignored.
    ///
    /// - Throws: ``Failure`` for anything that is not JSON or has no usable `files`.
    package init(parsing text: [UInt8]) throws(Failure) {
        let root: Value
        do throws(ParseError) {
            root = try Document(parsing: text, limits: ParseLimits(maxBytes: Self.maxIndexBytes)).root
        } catch {
            throw Failure(description: "invalid JSON: \(error)")
        }
        guard let files = root["files"], files.kind == .array, files.count > 0 else {
            throw Failure(description: "`files` is missing or empty")
        }
        guard files.count <= Self.maxVersions else {
            throw Failure(description: "more than \(Self.maxVersions) versions")
        }
        let name = root["name"]?.string ?? ""
        self.init(name: SourceName.isValid(name) ? name : "recording", url: root["url"]?.string)
        self.versions.reserveCapacity(files.count)
        for (number, file) in files.elements.enumerated() {
            guard let version = Version(file) else {
                throw Failure(
                    description: "`files/\(number)` needs `file`, a name without a folder, `bytes`, and `at` or "
                        + "`committed_unix`"
                )
            }
            self.versions.append(version)
        }
    }

    /// The index as JSON, one version a line.
    package var text: [UInt8] {
        var first: [String: Int] = [:]
        var head = JSONWriter()
        head.object { json in
            json.member("name", self.name)
            if let url = self.url { json.member("url", url) }
            json.member("versions", self.versions.count)
        }
        // The list goes before the closing brace.
        var text = Array(head.text.dropLast()) + Array(",\"files\":[".utf8)
        for (number, version) in self.versions.enumerated() {
            text += Array((number == 0 ? "\n" : ",\n").utf8)
            text += version.json(sameBytesAs: first[version.file] == nil ? nil : version.file)
            first[version.file] = first[version.file] ?? number
        }
        return text + Array("\n]}\n".utf8)
    }
}

extension RecordingIndex.Version {
    /// `nil` where something is missing, or the file would be outside of the recording's folder.
    fileprivate init?(_ value: Value) {
        guard let file = value["file"]?.string, Self.isFileName(file), let bytes = value["bytes"]?.int, bytes >= 0,
            let at = Self.time(of: value)
        else { return nil }
        self.init(
            file: file,
            bytes: bytes,
            at: at,
            etag: Self.field(value["etag"]),
            lastModified: Self.field(value["last_modified"]),
            contentType: Self.field(value["content_type"])
        )
    }

    private static func time(of value: Value) -> WallTime? {
        if let text = value["at"]?.string { return WallTime(rfc3339: text) }
        guard let seconds = value["committed_unix"]?.int else { return nil }
        let (milliseconds, overflow) = Int64(seconds).multipliedReportingOverflow(by: 1000)
        return overflow ? nil : WallTime(milliseconds: milliseconds)
    }

    /// A field that may be sent as it is: bytes without control characters.
    private static func field(_ value: Value?) -> String? {
        guard let text = value?.string, !text.isEmpty, text.unicodeScalars.count <= Validators.maxBytes else {
            return nil
        }
        return text.unicodeScalars.allSatisfy { (0x20...0xFF).contains($0.value) && $0.value != 0x7F } ? text : nil
    }

    private static func isFileName(_ text: String) -> Bool {
        (1...255).contains(text.utf8.count) && !text.hasPrefix(".") && text.utf8.allSatisfy { $0 > 0x1F && $0 != 0x2F }
    }

    fileprivate func json(sameBytesAs other: String?) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("file", self.file)
            json.member("bytes", self.bytes)
            json.member("at", self.at.description)
            json.member("committed_unix", self.at.seconds)
            if let other { json.member("same_bytes_as", other) }
            if let etag = self.etag { json.member("etag", etag) }
            if let lastModified = self.lastModified { json.member("last_modified", lastModified) }
            if let contentType = self.contentType { json.member("content_type", contentType) }
        }
        return json.text
    }
}
