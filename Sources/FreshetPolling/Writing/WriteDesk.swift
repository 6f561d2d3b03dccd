// Carries writes out: asks the pure parts what to do, and does it.

import Crypto
package import FreshetCore
import FreshetUpstream
import JSON
import Synchronization
package import Tracing

/// The one entry of writes, for HTTP and for the WebSocket. Any thread may call.
///
/// A write waits for its turn (``WriteQueue``), is looked up by its key (``IdempotencyTable``), and is decided by a
/// ``WritePlan``, whose steps are carried out here: requests by an ``UpstreamClient`` of its own, so that no write delays a
/// poll; changes by the poll thread, which owns the sources.
package final class WriteDesk: Writer {
    /// How it works.
    package struct Configuration: Sendable {
        /// The value of `User-Agent`.
        package var userAgent = "freshet"
        package var queue = WriteQueue.Limits()
        package var keys = IdempotencyTable.Limits()
        /// The wall clock.
        package var now: @Sendable () -> WallTime

        package init(now: @escaping @Sendable () -> WallTime) {
            self.now = now
        }
    }

    let hub: Hub
    let poller: Poller
    let configuration: Configuration
    private let turns: WriteTurns
    let keys: WriteKeys
    private let client: WriteClient
    private let sharing: (any KeySharing)?
    private let tracer: (any Tracer)?
    private let audit: @Sendable (WriteReport) -> Void
    private let figures = Mutex(WriteMetrics())
    /// What upstreams said last of what they hold.
    private let upstreams = Mutex(UpstreamVersions())

    /// `store` keeps idempotency keys over a restart, and holds `restored`; `nil` keeps them in memory. `sharing` has the other
    /// gateways know them, and says which sources are to be written here; `nil` for a gateway that is alone. `audit` is called
    /// once for each write, when it has ended. `tracer`: as that of a ``Poller``.
    package init(
        hub: Hub,
        poller: Poller,
        configuration: Configuration,
        store: (any IdempotencyStore)? = nil,
        restored: [(IdempotencyScope, IdempotencyRecord)] = [],
        sharing: (any KeySharing)? = nil,
        tracer: (any Tracer)? = nil,
        audit: @escaping @Sendable (WriteReport) -> Void = { _ in }
    ) {
        self.hub = hub
        self.poller = poller
        self.configuration = configuration
        self.turns = WriteTurns(limits: configuration.queue)
        self.keys = WriteKeys(limits: configuration.keys, store: store, sharing: sharing, restored: restored)
        self.sharing = sharing
        self.client = WriteClient(userAgent: configuration.userAgent, tracer: tracer)
        self.tracer = tracer
        self.audit = audit
    }

    /// The figures as they are now.
    package var metrics: WriteMetrics {
        var metrics = self.figures.withLock { $0 }
        (metrics.underWay, metrics.waiting) = self.turns.counts
        (metrics.keys, metrics.keyBytes) = self.keys.counts
        return metrics
    }

    /// Gives all keys to a store that has begun anew.
    package func rewriteKeys() { self.keys.rewrite() }

    /// Another gateway says what it knows of a key; `nil`: nothing any more.
    package func learn(_ scope: IdempotencyScope, _ record: IdempotencyRecord?) {
        self.keys.learn(scope, record, now: self.configuration.now())
    }

    package func methods(of source: String) -> [WriteMethod]? {
        self.hub.source(named: source).flatMap { self.hub.report(of: $0) }.map { $0.status.write?.methods ?? [] }
    }

    package func perform(_ request: WriteRequest, for caller: Principal) async -> WriteAnswer {
        // A client that leaves takes nothing back: its write goes on in a task of its own.
        await Task.detached {
            guard let tracer = self.tracer else { return await self.carryOut(request, for: caller) }
            return await tracer.traced(request) { await self.carryOut(request, for: caller) }
        }.value
    }

    private func carryOut(_ request: WriteRequest, for caller: Principal) async -> WriteAnswer {
        let start = MonotonicTime.now
        var outcome = WriteReport.Outcome.refused
        var answer: WriteAnswer
        do throws(WriteProblem) {
            (answer, outcome) = try await self.checked(request, for: caller)
        } catch {
            answer = WriteAnswer(error)
            outcome = WriteReport.Outcome(answer)
        }
        if !caller.grants.read.matches(request.source) { answer = answer.unreadable }
        guard answer.problem?.code != "unknown_source", answer.problem?.code != "credential_required" else {
            return answer
        }
        self.figures.withLock { $0.ended(request.source, outcome, MonotonicTime.now - start) }
        self.audit(
            WriteReport(
                caller: caller.account,
                method: request.method,
                source: request.source,
                key: request.key,
                status: answer.status,
                code: answer.problem?.code,
                outcome: outcome,
                cursor: answer.cursor
            )
        )
        return answer
    }

    // MARK: Before the upstream

    private func checked(
        _ request: WriteRequest,
        for caller: Principal
    ) async throws(WriteProblem) -> (WriteAnswer, WriteReport.Outcome) {
        let source = try self.source(of: request, for: caller)
        let status = self.hub.report(of: source)?.status
        guard let policy = status?.write else { throw .notAllowed([]) }
        let write = try CheckedWrite(request, by: policy, limits: ParseLimits())
        guard let key = request.idempotencyKey, !request.isDryRun else {
            let job = WriteJob(write: write, source: source)
            let answer = try await self.inTurn(job) { await self.run(job).answer }
            return (answer, request.isDryRun && answer.problem == nil ? .dryRun : WriteReport.Outcome(answer))
        }
        let scope = IdempotencyScope(account: caller.account, key: key)
        let fingerprint = Array(SHA256.hash(data: write.identity))
        self.keys.expire(now: self.configuration.now())
        switch self.keys.begin(scope, fingerprint: fingerprint, now: self.configuration.now()) {
        case .answer(let answer): return (answer, .replayed)
        case .underWay: throw .underWay
        case .otherRequest: throw .keyReused
        case .full: throw .keysFull("Too many writes of the last 24 hours are remembered.")
        case .new:
            return try await self.keyed(WriteJob(write: write, source: source, scope: scope))
        case .resume(let attempt):
            return try await self.keyed(WriteJob(write: write, source: source, scope: scope, resumed: attempt))
        }
    }

    private func source(of request: WriteRequest, for caller: Principal) throws(WriteProblem) -> SourceID {
        let isGranted = caller.grants.write.matches(request.source)
        // Both are looked at in any case: how long it takes says nothing about what is there.
        let source = self.hub.source(named: request.source)
        guard isGranted || caller.kind != .anonymous else { throw .credentialRequired }
        guard isGranted, let source else {
            throw .unknownSource(SourceName.isValid(request.source) ? request.source : "such a name")
        }
        return source
    }

    /// Carries out a write with a key, and keeps what it came to before it is answered.
    private func keyed(_ job: WriteJob) async throws(WriteProblem) -> (WriteAnswer, WriteReport.Outcome) {
        guard let scope = job.scope else { throw .underWay }
        var ended: (answer: WriteAnswer, end: WritePlan.End)
        do throws(WriteProblem) {
            ended = try await self.inTurn(job) { await self.run(job) }
        } catch {
            ended = (WriteAnswer(error), job.resumed.map(WritePlan.End.unknown) ?? .forgotten)
        }
        if job.resumed != nil, case .unknown = ended.end, ended.answer.status != 504 {
            // That nothing was done this time says nothing about the first.
            ended.answer = WriteAnswer(.unresolved)
        }
        await self.keys.end(scope, ended.end, ended.answer, of: job.write.request.source)
        return (ended.answer, WriteReport.Outcome(ended.answer))
    }

    private func inTurn<Result>(
        _ job: WriteJob,
        _ body: () async -> Result
    ) async throws(WriteProblem) -> Result {
        let isNew = job.write.request.method == .post
        guard let ticket = await self.turns.enter(job.source, key: job.write.request.key, isNew: isNew) else {
            throw .tooManyWrites
        }
        let result = await body()
        self.turns.leave(job.source, ticket)
        return result
    }

    // MARK: The plan

    private func run(_ job: WriteJob) async -> (answer: WriteAnswer, end: WritePlan.End) {
        let unsent = job.resumed.map(WritePlan.End.unknown) ?? .forgotten
        let (key, isNew) = (job.write.request.key, job.write.request.method == .post)
        let source = job.write.request.source
        // It may have waited for its turn for long.
        if let sharing = self.sharing, !sharing.mayWrite(to: source) {
            return (WriteAnswer(.movedAway(source)), unsent)
        }
        let lease: WriteLease
        do throws(UpstreamError) {
            lease = try await self.poller.beginWrite(to: job.source, key: key, isNew: isNew)
        } catch {
            return (WriteAnswer(.notApplied("upstream_unreachable", "Not written: \(error.message).")), unsent)
        }
        var ended: (answer: WriteAnswer, end: WritePlan.End)
        do throws(WriteProblem) {
            ended = try await self.carryOut(job, by: lease)
        } catch {
            ended = (WriteAnswer(error), unsent)
        }
        self.poller.endWrite(of: job.source, key: key, isNew: isNew, polls: ended.answer.leavesDoubt)
        return ended
    }

    /// - Throws: what ends the write before anything was sent.
    private func carryOut(
        _ job: WriteJob,
        by lease: WriteLease
    ) async throws(WriteProblem) -> (answer: WriteAnswer, end: WritePlan.End) {
        let request = job.write.request
        let scene = try await self.scene(of: job, by: lease)
        let place = UpstreamVersions.Place(source: job.source, key: request.key)
        var plan = WritePlan(scene, resuming: job.resumed)
        var isKept = job.resumed != nil
        var step = plan.start()
        while true {
            switch step {
            case .exchange(let exchange):
                let attempt = plan.attempt
                let isNew = attempt.map { $0 != job.resumed } ?? !isKept
                if let scope = job.scope, isNew { try await self.keys.keep(scope, attempt, of: request.source) }
                isKept = true
                step = plan.answered(await self.client.carryOut(exchange, of: request, by: scene.policy, lease))
            case .take(let edit, let tag):
                step = plan.taken(await self.poller.write(edit, tag: tag, to: job.source))
            case .poll:
                step = plan.taken(await self.polled(job.source))
            case .finish(var answer, let end):
                self.upstreams.withLock { $0[place] = plan.upstream }
                if let item = plan.written, let cursor = answer.cursor {
                    let tag = self.hub.itemTags.cursor(of: item.key, item.text, in: job.source, at: cursor)
                    answer.etag = "\"\(tag)\""
                }
                return (answer, end)
            }
        }
    }

    private func scene(of job: WriteJob, by lease: WriteLease) async throws(WriteProblem) -> WriteScene {
        guard let policy = lease.configuration.write else { throw .notAllowed([]) }
        guard let report = self.hub.report(of: job.source) else { throw .unknownSource(job.write.request.source) }
        guard let version = report.version else { throw .noValue(retryAfter: 5) }
        var scene = WriteScene(
            write: job.write,
            policy: policy,
            rule: report.status.collection?.rule,
            schema: lease.configuration.schema,
            limits: ParseLimits(maxBytes: lease.configuration.maxBodyBytes),
            value: version.document,
            cursor: version.cursor,
            base: .none
        )
        scene.isForwarded = policy.isInCallersName
        scene.base = try await self.base(of: job, scene)
        let place = UpstreamVersions.Place(source: job.source, key: job.write.request.key)
        scene.upstream = self.upstreams.withLock { $0[place] }
        if job.write.request.key == nil, scene.upstream?.hash != version.document.hash, version.validators.url == nil,
            let tag = UpstreamTag.strong(version.validators.etag, isIdentity: false)
        {
            scene.upstream = UpstreamVersion(tag: tag, hash: version.document.hash)
        }
        return scene
    }

    /// What stood at the cursors that the client names: where one of them is still what there is, that.
    private func base(of job: WriteJob, _ scene: WriteScene) async throws(WriteProblem) -> WriteScene.Base {
        guard case .cursors(let cursors) = job.write.condition else { return .none }
        let current = scene.target(in: scene.value)
        var found: (cursor: Cursor, document: Document?)?
        for cursor in cursors where cursor.epoch == scene.cursor.epoch {
            let past: PastAnswer
            do throws(ReadRefusal) {
                past = try await self.hub.value(of: job.source, at: cursor)
            } catch {
                var problem = WriteProblem(503, "too_many_reads", "Too many requests wait for the log.")
                problem.retryAfter = 1
                throw problem
            }
            guard case .value(let value) = past, let document = try? Document(parsing: value.text, limits: .widest)
            else {
                continue
            }
            let target = scene.target(in: document)
            if target == current { return .known(target) }
            if found.map({ $0.cursor.sequence < cursor.sequence }) ?? true { found = (cursor, target) }
        }
        return found.map { .known($0.document) } ?? .unknown
    }

    /// The value after a poll that began after now.
    private func polled(_ source: SourceID) async -> Result<WritePlan.Taken, UpstreamError> {
        do throws(UpstreamError) {
            // The first may have been under way before.
            _ = try await self.poller.poll(source)
            _ = try await self.poller.poll(source)
        } catch {
            return .failure(error)
        }
        guard let version = self.hub.version(of: source) else {
            return .failure(UpstreamError(.internal, "the source was removed"))
        }
        return .success(WritePlan.Taken(cursor: version.cursor, value: version.document))
    }
}

/// One write on its way.
struct WriteJob: Sendable {
    var write: CheckedWrite
    var source: SourceID
    /// With an idempotency key.
    var scope: IdempotencyScope?
    /// What was sent with the key before, and may have been carried out.
    var resumed: WriteAttempt?
}

extension WriteAnswer {
    /// The upstream may hold what nobody here knows.
    var leavesDoubt: Bool {
        guard let code = self.problem?.code else { return false }
        return ["outcome_unknown", "result_refused", "upstream_refused"].contains(code)
    }

    /// For a caller that may write and not read.
    var unreadable: WriteAnswer {
        var answer = self
        answer.value = nil
        if answer.status == 200 { answer.status = 204 }
        answer.problem?.members.removeAll { $0.name == "current" || $0.name == "conflicts" }
        return answer
    }
}
