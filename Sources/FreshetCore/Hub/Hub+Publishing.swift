// How a change goes into the log, and what becomes of it when it comes out.

package import JSON
import Synchronization

extension Hub {
    /// What the log has reported, until it is carried out.
    enum Arrival: Sendable {
        case committed(LogRecord, at: Cursor)
        /// The log failed, and goes on in memory in this epoch.
        case renumbered(Epoch, StoreError)
        /// A shared log goes on behind a gap.
        case moved(Cursor)
    }

    /// Where changes go. Its lock is held while a change is given to the log, so that none can get behind the removal of
    /// its source: it would be of the next source of that name.
    struct Intake: Sendable {
        var log: any LogBackend
        /// The store, while it works; `nil` where changes are in memory alone, by configuration or because the disk failed.
        var store: (any ChangeStore)?
    }

    /// Gives a change to the log, which gives it its position: at once, or after its commit. Then it is the source's value,
    /// and each listener has it. Changes become readable in the order of their positions. Any thread; never waits for the
    /// disk, and for the thread that makes changes readable only while ``maxArrivals`` wait for it.
    ///
    /// `done` is called once the change is readable, with its cursor and with no lock held: inside this call, on the
    ///   store's thread, or on that of another who publishes. It may call the hub; what it publishes is readable after it
    ///   has returned. A change of a source that is removed before that is dropped, and has no cursor.
    package func publish(
        _ change: Change,
        of source: SourceID,
        done: @escaping @Sendable (Cursor?) -> Void = { _ in }
    ) {
        let log = self.intake.withLock { intake -> (any LogBackend)? in
            guard let entry = self.state.withLock({ $0[source] }) else { return nil }
            let record = LogRecord(
                name: entry.name,
                identity: entry.identity,
                change: change,
                source: source,
                done: done
            )
            do throws(StoreError) {
                try intake.log.submit(record)
            } catch {
                self.goOnInMemory(error, &intake)
            }
            return intake.log
        }
        guard let log else { return done(nil) }
        log.flush()
        self.settle()
    }

    /// Keeps what a poll without a change taught, where there is a store. Best effort.
    package func keep(validators: Validators, learned: [UInt8], of source: SourceID) {
        let (log, store) = self.intake.withLock { ($0.log, $0.store) }
        guard store != nil || log.isShared, let name = self.name(of: source) else { return }
        log.keep(source: name, validators: validators, learned: learned)
        store?.update(source: name, validators: validators, learned: learned)
    }

    /// Takes over a value of an earlier process: no event, no new number. `rule`: what is known to tell its items apart.
    package func restore(_ stored: StoredSource, document: Document, of source: SourceID, rule: ItemRule? = nil) {
        self.state.withLock { state in
            guard state[source] != nil else { return }
            let change = Change(document: document, rule: rule, at: stored.at, validators: stored.validators)
            let cursor = Cursor(epoch: state.log.epoch, sequence: stored.sequence)
            state.update(source) { entry in
                entry.version = SourceVersion(change, cursor: cursor, sourceName: stored.name)
                // All that the store has under this name is its own.
                entry.startsAfter = 0
            }
            state.log.startAfter(state.log.head, for: source)
        }
    }

    /// Takes note of a source's status.
    ///
    /// `transition` is the state that the source has entered, so that its subscribers get one `status` event;
    ///   `nil` where it is as before.
    package func report(_ status: SourceStatus, of source: SourceID, transition: SourceState? = nil) {
        var notice: HubNotice?
        if transition != nil, let name = self.name(of: source) {
            let planned = PlannedStatus(source: name, status: status)
            notice = .status(
                source,
                status.state,
                eventStream: planned.frame(wire: .eventStream),
                jsonLine: planned.frame(wire: .jsonLines)
            )
        }
        let statusNotice = notice
        let listeners = self.state.withLock { $0.report(status, of: source, statusNotice) }
        for listener in listeners {
            listener.wake()
        }
    }
}

// MARK: - What the log tells

extension Hub: LogReceiver {
    package func committed(_ record: LogRecord, at position: Cursor) {
        self.arrivals.withLock { $0.append(.committed(record, at: position)) }
    }

    package func moved(to position: Cursor) {
        self.arrivals.withLock { $0.append(.moved(position)) }
    }

    /// The most committed changes that wait until they are readable. Whoever brings more waits for the thread that makes
    /// them readable: pollers then poll no faster, and the disk commits no faster, than subscribers are served. Beyond it
    /// there is at most one change of each thread, what a callback publishes meanwhile, and once, when the log fails,
    /// what it returns (``StoreLog/maxPending``).
    package static let maxArrivals = 256

    /// Whether this thread is the one that makes changes readable: it must not wait for itself.
    @TaskLocal private static var isSettling = false

    /// How many committed changes are not readable yet.
    package var arrivalCount: Int { self.arrivals.withLock { $0.count } }

    /// Carries out what the log has reported: one thread at a time, so that changes become readable and are sent in the order
    /// of their positions without a lock that anybody needs for a moment only. Where another thread is at it, returns at
    /// once, or, where ``maxArrivals`` wait, once fewer do.
    package func settle() {
        guard let first = self.arrivals.withLock({ $0.begin() }) else {
            // Again and again, since a turn begins a moment after its first change was taken.
            while !Self.isSettling, self.arrivalCount >= Self.maxArrivals { self.turn.withLock { _ in } }
            return
        }
        self.turn.withLock { _ in
            Self.$isSettling.withValue(true) { self.settle(from: first) }
        }
    }

    private func settle(from first: Arrival) {
        var next: Arrival? = first
        while let arrival = next {
            switch arrival {
            case .committed(let record, let position): self.makeReadable(record, at: position)
            case .renumbered(let epoch, let error): self.state.withLock { $0.storeFailed(error, newEpoch: epoch) }
            case .moved(let position):
                for listener in self.state.withLock({ $0.move(to: position) }) { listener.wake() }
            }
            next = self.arrivals.withLock { $0.next() }
        }
    }

    /// Makes a change readable and hands it to the listeners, with its frames in the formats that somebody listens in.
    private func makeReadable(_ record: LogRecord, at cursor: Cursor) {
        guard let addressee = self.state.withLock({ $0.addressee(of: record) }) else { return record.done(nil) }
        let source = addressee.source
        let event = ChangeEvent(record.change, cursor: cursor, source: source, sourceName: record.name)
        var frames = FrameSet()
        for (format, _) in addressee.demand.counts {
            if let frame = event.frame(for: format) { frames.add(frame, for: format) }
        }
        var published = PublishedEvent(
            sequence: event.sequence,
            source: source,
            frames: frames,
            touchesNoItem: event.touchesNoItem
        )
        let version = SourceVersion(record.change, cursor: cursor, sourceName: record.name)
        if let views = addressee.views {
            let step = ViewStep(from: addressee.version, to: version, by: record.change.step)
            self.encode(step, of: event, for: views, into: &published)
        }
        let finished = published
        let listeners = self.state.withLock {
            $0.append(event, version, finished, hasAskedViews: addressee.views != nil)
        }
        guard let listeners else { return record.done(nil) }
        for listener in listeners {
            listener.wake()
        }
        record.done(cursor)
    }

    /// Adds what a change is in the views that it concerns, encoded once for all readers of each.
    private func encode(
        _ step: ViewStep,
        of event: ChangeEvent,
        for views: ViewRegistry,
        into published: inout PublishedEvent
    ) {
        let asked = views.ask(step)
        var moulds = FrameMoulds(event.envelope, id: event.cursor)
        var frames = 0
        for view in asked {
            var part = ViewPart(view: view.id, frames: FrameSet())
            // Of the mode that was asked for last: there is hardly ever another.
            var last: (mode: StreamMode, content: ViewContent?)?
            for (format, _) in view.demand.counts {
                let content: ViewContent?
                if let last, last.mode == format.mode {
                    content = last.content
                } else {
                    content = Self.content(of: step, in: view, format.mode)
                    last = (format.mode, content)
                }
                guard let content else { continue }
                part.frames.add(moulds.frame(content.mode, content.text, wire: format.wire), for: format)
                frames += 1
            }
            if !part.frames.isEmpty { published.parts.append(part) }
        }
        for wire in views.wires {
            let frame = event.envelope.checkpoint(id: event.cursor, wire: wire)
            published.checkpoints.add(frame, for: StreamFormat(wire: wire))
        }
        self.viewFigures.count(asked: asked.count, frames: frames)
    }

    private static func content(of step: ViewStep, in asked: ViewRegistry.Asked, _ mode: StreamMode) -> ViewContent? {
        if mode == .items, let touched = asked.touched, let content = step.content(of: touched) { return content }
        return step.content(of: asked.view, in: mode)
    }

    package func failed(_ log: any LogBackend, _ error: StoreError) {
        self.intake.withLock { intake in
            guard intake.log === log else { return }
            self.goOnInMemory(error, &intake)
        }
        self.settle()
    }

    /// The values of all sources, as a store begins with them.
    package func valuesToStore() -> [StoredSource] {
        let waiting = self.arrivals.withLock { $0.all }
        return self.state.withLock { $0.storedSources(with: waiting) }
    }

    /// Goes on in memory after the log failed. What it did not commit was shown to no subscriber; it is numbered in a new epoch,
    /// since the disk may hold some of it or none, and no cursor may ever name two contents (FAULTS F64, F65).
    func goOnInMemory(_ error: StoreError, _ intake: inout Intake) {
        guard !intake.log.isShared else {
            // The numbers are those of all nodes, and stay.
            intake.store = nil
            return self.state.withLock { $0.storeLost(error) }
        }
        var generator = SystemRandomNumberGenerator()
        let epoch = Epoch.random(using: &generator)
        let rest = intake.log.withdraw()
        let memory = MemoryLog(after: Cursor(epoch: epoch, sequence: intake.log.head.sequence))
        memory.start(telling: self)
        intake.log = memory
        intake.store = nil
        // After all that the log has committed, before what it has not.
        self.arrivals.withLock { $0.append(.renumbered(epoch, error)) }
        for record in rest {
            memory.submit(record)
        }
    }
}

extension Hub {
    /// The value of a source as a change without patches, to be submitted where a shared log begins anew; `nil` without a value.
    package func wholeRecord(of source: SourceID) -> LogRecord? {
        self.state.withLock { state in
            guard let entry = state[source], let version = entry.version else { return nil }
            let change = Change(
                document: version.document,
                rule: version.rule,
                at: version.at,
                validators: version.validators,
                freshness: version.freshness
            )
            return LogRecord(name: entry.name, identity: entry.identity, change: change, source: source)
        }
    }

    /// The source with this name, if there is one.
    package func id(of name: String) -> SourceID? {
        self.state.withLock { $0.id(of: name) }
    }
}
