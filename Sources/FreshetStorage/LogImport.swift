// A log from JSON lines.

import Dispatch
import Foundation
package import FreshetCore
import Glibc
import JSON
import Synchronization

/// Makes a log of the lines that ``StoppedLog/export(_:)`` wrote.
///
/// The log begins an epoch of its own: numbers that the exported log has given out since can then never mean something
/// else. Values, history, validators and idempotency keys are those of the export; a subscriber that comes with a cursor of
/// the other log gets a `gap` and a snapshot.
package struct LogImport {
    /// The longest line that is read: a value with its source.
    package static let maxLineBytes = 256 << 20
    /// So many changes, or so many bytes of them, wait for the disk.
    private static let window = (changes: 1000, bytes: 16 << 20)

    private let store: SQLiteChangeStore
    private var sources: [String: Source] = [:]
    private var report: LogReport
    private var isBegun = false
    private var isComplete = false
    private let pending = Pending()
    private var pendingChanges = 0
    private var pendingBytes = 0
    private var sequence: UInt64 = 0

    private struct Source {
        var stored: StoredSource
        /// The number of its last change in the exported log.
        var last: UInt64
        var value: Document?
        var latest: Document
    }

    /// Reads all lines into a new log at `settings.path`. `next` gives a line without its line feed, and `nil` at the end.
    ///
    /// - Throws: `.readOnly` where there is a log already, `.newerFormat` for lines of a newer form, `.corrupt` for lines that
    ///   are no export or not all of one, naming the first; what the disk says. What was made by then is deleted.
    package static func read(
        into settings: StoreSettings,
        using generator: inout some RandomNumberGenerator,
        _ next: () throws -> [UInt8]?
    ) throws(StoreError) -> LogReport {
        let path = LogPath(settings.path)
        guard !path.exists(path.file) else {
            throw StoreError(.readOnly, "\(path.file) exists; move it away, or import into another file")
        }
        var settings = settings
        // What is too old or too much goes when the gateway opens it, by its own configuration.
        (settings.maxAge, settings.maxBytes) = (nil, .max)
        let (store, contents) = try SQLiteChangeStore.open(settings, using: &generator)
        do throws(StoreError) {
            var reading = LogImport(store, contents.epoch)
            try reading.read(next)
            store.close()
            return reading.report
        } catch {
            store.close()
            path.removeFiles()
            _ = unlink(path.markFile)
            throw error
        }
    }

    private init(_ store: SQLiteChangeStore, _ epoch: Epoch) {
        self.store = store
        self.report = LogReport(cursor: Cursor(epoch: epoch, sequence: 0), format: Schema.current.format)
    }

    private mutating func read(_ next: () throws -> [UInt8]?) throws(StoreError) {
        var number = 0
        while let line = try Self.line(next) {
            number += 1
            guard !line.isEmpty else { continue }
            do throws(LineProblem) {
                guard !self.isComplete else { throw LineProblem("it comes after the last one") }
                let document: Document
                do throws(ParseError) {
                    document = try Document(parsing: line, limits: .widest)
                } catch {
                    throw LineProblem("it is not JSON: \(error)")
                }
                try self.take(document.root)
            } catch {
                throw StoreError(error.isNewer ? .newerFormat : .corrupt, "line \(number): \(error.what)")
            }
            if let error = self.pending.failure { throw error }
        }
        try self.finish()
    }

    private static func line(_ next: () throws -> [UInt8]?) throws(StoreError) -> [UInt8]? {
        do {
            return try next()
        } catch {
            throw StoreError(.io, "the lines cannot be read: \(error)")
        }
    }

    // MARK: - Lines

    private mutating func take(_ line: Value) throws(LineProblem) {
        guard self.isBegun else {
            guard let form = line["freshet_log"]?.int else { throw LineProblem("it is not the first of an export") }
            guard form <= LogLine.form else {
                throw LineProblem("form \(form) is of a newer version; this one reads \(LogLine.form)", isNewer: true)
            }
            self.isBegun = true
            return
        }
        if line["change"] != nil {
            try self.takeChange(line)
        } else if line["source"] != nil {
            try self.takeSource(line)
        } else if line["write_key"] != nil {
            try self.takeKey(line)
        } else if let changes = line["changes"]?.int {
            guard line["sources"]?.int == self.sources.count, changes == self.report.changes,
                line["write_keys"]?.int == self.report.writeKeys
            else { throw LineProblem("lines before it are missing") }
            self.isComplete = true
        } else {
            throw LineProblem("it is no part of a log")
        }
    }

    private mutating func takeSource(_ line: Value) throws(LineProblem) {
        let name = try line.text("source")
        guard self.sources[name] == nil, let value = line["value"], let sequence = line["sequence"]?.int, sequence >= 0
        else { throw LineProblem("the source is incomplete, or there twice") }
        let stored = StoredSource(
            name: name,
            identity: try line.text("identity"),
            sequence: 0,
            at: try line.time("at"),
            value: Array(value.text),
            validators: Validators(
                etag: try line.bytes("etag"),
                lastModified: try line.bytes("last_modified"),
                url: line["url"]?.string
            ),
            learned: try line.bytes("learned") ?? []
        )
        self.sources[name] = Source(stored: stored, last: UInt64(sequence), latest: value.document)
    }

    private mutating func takeChange(_ line: Value) throws(LineProblem) {
        let name = try line.text("of")
        guard var source = self.sources[name] else { throw LineProblem("there is no source \(name) before it") }
        guard let number = line["change"]?.int, number > 0, UInt64(number) <= source.last else {
            throw LineProblem("its number is beyond that of its source")
        }
        let patched: Document?
        do throws(PatchError) {
            patched = try line["patch"].flatMap { (patch: Value) throws(PatchError) -> Document? in
                try source.value?.applying(patch: patch.document, limits: .widest)
            }
        } catch {
            throw LineProblem("its patch does not apply: \(error)")
        }
        guard let value = line["value"]?.document ?? patched else { throw LineProblem("it has no value to begin with") }
        // Without the value before it, the patch means nothing.
        let isPatch = source.value != nil
        source.value = value
        self.sources[name] = source
        let isLast = UInt64(number) == source.last
        let change = StoredChange(
            sequence: self.nextSequence(),
            source: name,
            at: try line.time("at"),
            patch: isPatch ? line["patch"].map { Array($0.text) } : nil,
            merge: isPatch ? line["merge"].map { Array($0.text) } : nil,
            items: isPatch ? line["items"].map { Array($0.text) } : nil,
            value: value.text
        )
        self.report.changes += 1
        self.append(change, of: source, isLast: isLast)
    }

    private mutating func takeKey(_ line: Value) throws(LineProblem) {
        guard let scope = try line.bytes("write_key").flatMap(IdempotencyScope.init(text:)),
            let fingerprint = try line.bytes("fingerprint"),
            let state = try line.bytes("state").flatMap(IdempotencyRecord.State.init(text:))
        else { throw LineProblem("the idempotency key is not whole") }
        let record = IdempotencyRecord(fingerprint: fingerprint, madeAt: try line.time("at"), state: state)
        self.report.writeKeys += 1
        self.reserve(fingerprint.count)
        self.store.keep(scope, record, done: self.pending.done)
    }

    // MARK: - Writing

    private mutating func nextSequence() -> UInt64 {
        self.sequence += 1
        return self.sequence
    }

    private mutating func append(_ change: StoredChange, of source: Source, isLast: Bool) {
        var snapshot = source.stored
        snapshot.sequence = change.sequence
        snapshot.at = change.at
        snapshot.value = change.value ?? []
        // They are those of the latest value.
        if !isLast { snapshot.validators = Validators() }
        self.reserve((change.value?.count ?? 0) + (change.patch?.count ?? 0))
        self.store.append(change, snapshot: snapshot, done: self.pending.done)
    }

    /// Waits where enough is on its way to the disk.
    private mutating func reserve(_ bytes: Int) {
        if self.pendingChanges >= Self.window.changes || self.pendingBytes >= Self.window.bytes { self.settle() }
        self.pendingChanges += 1
        self.pendingBytes += bytes
    }

    private mutating func settle() {
        self.pending.wait(self.pendingChanges)
        (self.pendingChanges, self.pendingBytes) = (0, 0)
    }

    private mutating func finish() throws(StoreError) {
        guard self.isComplete else {
            throw StoreError(.corrupt, "the export is cut: its last line is missing")
        }
        for source in self.sources.values.sorted(by: { $0.last < $1.last }) {
            if let value = source.value {
                guard value == source.latest else {
                    throw StoreError(.corrupt, "\(source.stored.name): the changes do not lead to the latest value")
                }
                continue
            }
            // Of this source no change was kept: its value is the first.
            let change = StoredChange(
                sequence: self.nextSequence(),
                source: source.stored.name,
                at: source.stored.at,
                patch: nil,
                merge: nil,
                items: nil,
                value: source.stored.value
            )
            self.append(change, of: source, isLast: true)
        }
        self.settle()
        if let error = self.pending.failure { throw error }
        self.report.sources = self.sources.count
        self.report.cursor.sequence = self.sequence
        self.report.bytes = FileIdentity.of(self.store.path)?.size ?? 0
    }
}

/// What the disk said of changes on their way.
private final class Pending: Sendable {
    private let first = Mutex<StoreError?>(nil)
    private let semaphore = DispatchSemaphore(value: 0)

    var failure: StoreError? { self.first.withLock { $0 } }

    var done: @Sendable (Result<Void, StoreError>) -> Void {
        { result in
            if case .failure(let error) = result { self.first.withLock { $0 = $0 ?? error } }
            self.semaphore.signal()
        }
    }

    func wait(_ count: Int) {
        for _ in 0..<count { self.semaphore.wait() }
    }
}

/// Why a line is not taken.
private struct LineProblem: Error {
    var what: String
    var isNewer = false

    init(_ what: String, isNewer: Bool = false) {
        self.what = what
        self.isNewer = isNewer
    }
}

extension Value {
    fileprivate func text(_ name: String) throws(LineProblem) -> String {
        guard let text = self[name]?.string else { throw LineProblem("\(name) is missing") }
        return text
    }

    fileprivate func time(_ name: String) throws(LineProblem) -> WallTime {
        guard let time = WallTime(rfc3339: try self.text(name)) else { throw LineProblem("\(name) is no time") }
        return time
    }

    /// `nil` where there is none.
    fileprivate func bytes(_ name: String) throws(LineProblem) -> [UInt8]? {
        guard let value = self[name] else { return nil }
        guard let bytes = value.string.flatMap({ Data(base64Encoded: $0) }) else {
            throw LineProblem("\(name) is not base64")
        }
        return Array(bytes)
    }
}
