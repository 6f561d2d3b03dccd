import CFaultyVFS
import Foundation
import FreshetCore
import Testing

@testable import FreshetStorage

/// Set by `make test-long`, to try every place and not every seventh.
private let isExhaustive = ProcessInfo.processInfo.environment["FRESHET_EXHAUSTIVE"] != nil

/// What one run against a failing disk did.
private struct Run {
    var epoch: Epoch?
    var known: [UInt64: StoredChange] = [:]
    var committed: Set<UInt64> = []
    var errors: [StoreError] = []
    var didOpen = false
}

/// Work that opens, appends, prunes, checkpoints and closes, whatever the disk does meanwhile.
private enum Workload {
    static let sources = ["a", "b", "next"]

    static func settings(_ folder: LogFolder) -> StoreSettings {
        folder.settings {
            $0.checkpointBytes = 1500
            $0.maxBytes = 9000
            $0.maxBatchChanges = 2
            $0.maxPatchesPerBase = 3
        }
    }

    /// A log with three changes, closed in order.
    static func prepare(_ folder: LogFolder) throws -> Run {
        var run = Run()
        let (store, contents) = try SQLiteChangeStore.open(self.settings(folder), seed: 1)
        run.epoch = contents.epoch
        let changes = (1...3).map { History.change("a", $0, isWhole: $0 == 1, padding: 200) }
        run.known = Dictionary(uniqueKeysWithValues: changes.map { ($0.sequence, $0) })
        run.committed = Set(store.record(changes, padding: 200).committed)
        store.close()
        return run
    }

    static func go(_ folder: LogFolder, _ run: inout Run) {
        let store: SQLiteChangeStore
        let contents: StoreContents
        do {
            (store, contents) = try SQLiteChangeStore.open(self.settings(folder), seed: 2)
        } catch {
            run.errors.append(error as? StoreError ?? StoreError(.io, "\(error)"))
            return
        }
        run.didOpen = true
        if contents.epoch != run.epoch {
            run.known = run.known.filter { $0.key == 0 }
            run.committed = []
            run.epoch = contents.epoch
        }
        for start in stride(from: contents.head + 1, to: contents.head + 13, by: 3) {
            let changes = (start..<(start + 3)).map {
                History.change($0 % 2 == 0 ? "a" : "b", $0, isWhole: $0 == start, padding: 200)
            }
            for change in changes {
                run.known[change.sequence] = change
            }
            let outcomes = store.record(changes, padding: 200)
            run.committed.formUnion(outcomes.committed)
            run.errors += outcomes.errors
        }
        store.close()
    }

    static func witness(_ run: Run) throws -> Witness {
        Witness(
            epoch: try #require(run.epoch),
            known: run.known,
            issued: run.committed,
            sources: Self.sources
        )
    }
}

@Suite("A disk that fails", .serialized)
struct DiskFaultTests {
    private static let everything =
        FAULTY_WRITE | FAULTY_SYNC | FAULTY_TRUNCATE | FAULTY_OPEN | FAULTY_DELETE | FAULTY_SHARED_INDEX

    init() {
        #expect(faulty_install() == 0)
    }

    /// Every operation of the workload fails once, one run each, until a run meets no failure.
    private func everyPlace(
        _ mode: faulty_mode,
        isLasting: Bool,
        startingAt first: Int,
        check: (Run, LogFolder, String) throws -> Void
    ) throws -> Int {
        for place in stride(from: 1 + first, to: 2000, by: isExhaustive ? 1 : 7) {
            let folder = try LogFolder()
            var run = try Workload.prepare(folder)
            let what = faulty_plan(
                operations: Self.everything,
                mode: mode,
                at: Int64(place),
                is_lasting: isLasting ? 1 : 0,
                lies_about_syncs: 0
            )
            let plan = faulty_begin(folder.log, what)
            #expect(plan >= 0)
            Workload.go(folder, &run)
            let failures = faulty_failures(plan)
            faulty_end(plan)
            guard failures > 0 else {
                #expect(run.errors.isEmpty && run.committed.count == run.known.count)
                return place - 1
            }
            try check(run, folder, "mode \(mode.rawValue) at \(place), lasting \(isLasting)")
        }
        Issue.record("the workload never ends")
        return 0
    }

    @Test(
        "after a failure at every seventh operation, or at each, the log holds what was committed, or has a new epoch: F64, F65",
        arguments: [FAULTY_EIO, FAULTY_FULL, FAULTY_SHORT, FAULTY_TORN],
        [false, true]
    )
    func everyPlace(mode: faulty_mode, isLasting: Bool) throws {
        let places = try self.everyPlace(
            mode,
            isLasting: isLasting,
            startingAt: isExhaustive ? 0 : Int(mode.rawValue) % 7
        ) { run, folder, context in
            // What failed to sync is treated as lost: the file is moved away, and the epoch with it.
            let isLost = !folder.quarantined.isEmpty
            #expect(!isLost || !run.errors.contains { $0.kind == .full }, "\(context): a full disk is no lost one")
            let contents = try Workload.witness(run).verify(folder, mayLose: isLost, context)
            #expect(!isLost || contents?.epoch != run.epoch, "\(context): a lost file was taken up again")
            let isSilent = run.committed.count < run.known.count && run.errors.isEmpty
            #expect(!isSilent, "\(context): a change was neither committed nor refused")
        }
        #expect(places > 50)
    }

    @Test(
        "a full disk is called full, and the log goes on after a restart: F64",
        arguments: [FAULTY_FULL, FAULTY_SHORT]
    )
    func full(mode: faulty_mode) throws {
        let folder = try LogFolder()
        let (store, _) = try SQLiteChangeStore.open(Workload.settings(folder))
        defer { store.close() }
        store.record([History.change("a", 1, isWhole: true)])
        store.close()
        let (again, contents) = try Self.openFailing(folder, mode, FAULTY_WRITE, at: 8)
        defer { again.store.close() }
        var sequence = contents.head
        var kinds: [StoreError.Kind] = []
        while kinds.isEmpty, sequence < 100 {
            sequence += 1
            kinds = again.store.record([History.change("a", sequence, isWhole: true)]).errors.map(\.kind)
        }
        #expect(kinds == [.full])
        #expect(again.store.record([History.change("a", sequence + 1)]).errors.map(\.kind) == [.full])
        #expect(try again.store.everything(of: ["a"]).count == Int(sequence) - 1, "reading goes on")
        #expect(throws: StoreError.self, "no space yet") {
            try again.store.restart(epoch: Epoch(rawValue: 5), head: 40, sources: [History.snapshot("a", 40)])
        }
        #expect(again.store.statistics().failure?.kind == .full)
        faulty_end(again.plan)
        try again.store.restart(epoch: Epoch(rawValue: 6), head: 50, sources: [History.snapshot("a", 50)])
        #expect(again.store.record([History.change("a", 51)]).committed == [51])
        #expect(folder.quarantined.isEmpty)
    }

    private static func openFailing(
        _ folder: LogFolder,
        _ mode: faulty_mode,
        _ operations: UInt32,
        at: Int64
    ) throws -> ((store: SQLiteChangeStore, plan: CInt), StoreContents) {
        let what = faulty_plan(operations: operations, mode: mode, at: at, is_lasting: 1, lies_about_syncs: 0)
        let plan = faulty_begin(folder.log, what)
        let (store, contents) = try SQLiteChangeStore.open(Workload.settings(folder))
        return ((store, plan), contents)
    }

    @Test("a failed sync is never tried again: F65")
    func failedSync() throws {
        let folder = try LogFolder()
        let run = try Workload.prepare(folder)
        func syncs(_ mode: faulty_mode, at: Int64) -> faulty_plan {
            faulty_plan(operations: FAULTY_SYNC, mode: mode, at: at, is_lasting: 0, lies_about_syncs: 0)
        }
        let plan = faulty_begin(folder.log, syncs(FAULTY_COUNT, at: 0))
        let (store, contents) = try SQLiteChangeStore.open(Workload.settings(folder))
        // From here on the next sync fails, and no other: how many there were at the opening is not the same each time.
        faulty_change(plan, syncs(FAULTY_EIO, at: 1))
        let errors = store.record([History.change("a", contents.head + 1)]).errors
        #expect(errors.map(\.kind) == [.io])
        #expect(store.record([History.change("a", contents.head + 2)]).errors.map(\.kind) == [.io])
        store.close()
        #expect(faulty_count(plan) == 1, "a sync after the one that failed")
        faulty_end(plan)
        #expect(folder.quarantined.count == 1)
        try Workload.witness(run).verify(folder, mayLose: true, "after a failed sync")
    }
}

@Suite("A disk that loses its power: F63", .serialized)
struct PowerLossTests {
    init() {
        #expect(faulty_install() == 0)
    }

    /// Cuts the power at an operation of the workload; what the disk then holds is chosen by `seed`.
    ///
    /// - Returns: Whether the power went before the work was done.
    private func cut(at place: Int64, seed: UInt64, lies: Bool) throws -> Bool {
        let folder = try LogFolder()
        var run = try Workload.prepare(folder)
        let what = faulty_plan(
            operations: FAULTY_WRITE | FAULTY_SYNC | FAULTY_TRUNCATE | FAULTY_DELETE,
            mode: FAULTY_POWER,
            at: place,
            is_lasting: 1,
            lies_about_syncs: lies ? 1 : 0
        )
        let plan = faulty_begin(folder.log, what)
        Workload.go(folder, &run)
        let didFail = faulty_failures(plan) > 0
        // Where the power is gone nobody moves a file.
        for name in folder.names.filter({ $0.contains(".corrupt-") }) {
            let original = name.hasSuffix("-wal") ? folder.log + "-wal" : folder.log
            #expect(rename(folder.path + "/" + name, original) == 0)
        }
        #expect(faulty_restore_power(plan, seed) == 0)
        let context = "power cut at \(place), seed \(seed), lies \(lies)"
        try Workload.witness(run).verify(folder, mayLose: lies, context)
        return didFail
    }

    @Test("no committed change is lost, wherever the power goes", arguments: [1, 2, 3] as [UInt64])
    func honest(seed: UInt64) throws {
        var place = Int64(seed)
        while try self.cut(at: place, seed: seed &* 1000 &+ UInt64(place), lies: false) {
            place += isExhaustive ? 1 : 7
        }
        #expect(place > 50)
    }

    @Test(
        "a disk that lies about syncs costs the epoch, and never gives a number two contents",
        arguments: [1, 2] as [UInt64]
    )
    func lying(seed: UInt64) throws {
        var place = Int64(seed)
        while try self.cut(at: place, seed: seed &* 7919 &+ UInt64(place), lies: true) {
            place += isExhaustive ? 1 : 7
        }
        #expect(place > 50)
    }
}
