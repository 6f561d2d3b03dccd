import FreshetCore
import JSON
import Testing

@testable import FreshetStorage

/// What the outside world knows of a log, and whether a reopened one agrees with it.
struct Witness {
    var epoch: Epoch
    /// Every change that was handed to the log, by sequence.
    var known: [UInt64: StoredChange]
    /// Those that may have been sent to subscribers.
    var issued: Set<UInt64>
    var sources: [String]

    /// Opens the log and checks all that it says.
    ///
    /// `mayLose`: whether issued changes may be missing if the epoch is new. They never may otherwise.
    /// Returns what was found; `nil` where the log refused to open.
    @discardableResult
    func verify(_ folder: LogFolder, mayLose: Bool, _ context: String) throws -> StoreContents? {
        let store: SQLiteChangeStore
        let contents: StoreContents
        do {
            (store, contents) = try SQLiteChangeStore.open(folder.settings(), seed: 99)
        } catch let error as StoreError {
            Issue.record("\(context): does not open: \(error.message)")
            return nil
        }
        defer { store.close() }
        var isWhole = true
        if contents.epoch == self.epoch {
            isWhole = try self.verifySameEpoch(store, contents, context)
        } else {
            #expect(mayLose, "\(context): a new epoch, \(contents.newEpochReason ?? "without a reason")")
            #expect(contents.newEpochReason != nil, "\(context): a new epoch without a reason")
            #expect(try store.everything(of: self.sources).isEmpty, "\(context): changes of another epoch")
            self.verifyValues(contents, context)
        }
        let next = contents.head + 1
        if !isWhole {
            #expect(store.record([History.change("next", next, isWhole: true)]).errors.map(\.kind) == [.corrupt])
            try store.restart(epoch: Epoch(rawValue: 1), head: contents.head, sources: contents.sources)
        }
        #expect(
            store.record([History.change("next", next, isWhole: true)]).committed == [next],
            "\(context): takes nothing"
        )
        return contents
    }

    /// - Returns: Whether nothing was found to be damaged while reading.
    private func verifySameEpoch(
        _ store: SQLiteChangeStore,
        _ contents: StoreContents,
        _ context: String
    ) throws -> Bool {
        #expect(contents.head >= self.issued.max() ?? 0, "\(context): issued numbers would be given out again")
        self.verifyValues(contents, context)
        for source in contents.sources {
            let expected = self.known[source.sequence]?.source
            #expect(expected == source.name, "\(context): \(source.name) stands at \(source.sequence)")
        }
        do {
            let pruned = try store.prunedThrough()
            let read = try store.everything(of: self.sources)
            for change in read {
                #expect(
                    self.known[change.sequence].map(History.kept) == change,
                    "\(context): change \(change.sequence)"
                )
            }
            let got = Set(read.map(\.sequence))
            for sequence in self.issued {
                let source = self.known[sequence]?.source ?? ""
                #expect(got.contains(sequence) || pruned[source] ?? 0 >= sequence, "\(context): \(sequence) is missing")
            }
            for sequence in got {
                try self.verifyValue(store, at: sequence, context)
            }
            return true
        } catch let error as StoreError {
            #expect(error.kind == .corrupt, "\(context): \(error.message)")
            return false
        }
    }

    private func verifyValue(_ store: SQLiteChangeStore, at sequence: UInt64, _ context: String) throws {
        let change = try #require(self.known[sequence])
        let found = try store.value(of: change.source, at: sequence)
        let document = try Document(parsing: found?.value ?? [])
        let expected = try Document(parsing: change.value ?? [])
        #expect(document == expected, "\(context): the value at \(sequence)")
    }

    /// Values and validators that are given back are those of one and the same version.
    private func verifyValues(_ contents: StoreContents, _ context: String) {
        for source in contents.sources where source.name != "next" {
            let versions = self.known.values.filter { $0.source == source.name && $0.value == source.value }
            #expect(!versions.isEmpty, "\(context): \(source.name) has a value that never was")
            let tags = versions.map { Array("\"\($0.sequence)\"".utf8) }
            #expect(source.validators.etag.map { tags.contains($0) } ?? true, "\(context): validators of another value")
        }
    }
}
