// The poller as other threads see it.

package import FreshetCore
import FreshetUpstream
import Synchronization
import System
package import Tracing

/// Polls every source that it was given, and publishes what changed. Any thread may call.
///
/// Its thread is the only one that touches libcurl. Calls are put into an inbox and wake it; nothing here waits for it
/// but ``stop()``.
package final class Poller: Sendable {
    private let hub: Hub
    private let configuration: PollerConfiguration
    private let inbox: LaneInbox
    private let tracer: (any Tracer)?
    private let notify: @Sendable (PollerNotice) -> Void
    private let thread = Mutex<SystemThread?>(nil)

    /// `tracer` is told of each poll, and what it wants to be taken along is sent to upstreams; without one there are no
    /// traces. `notify` is called on the poll thread, which must not be held up.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where libcurl cannot be used or descriptors are lacking.
    package init(
        hub: Hub,
        configuration: PollerConfiguration = PollerConfiguration(),
        tracer: (any Tracer)? = nil,
        notify: @escaping @Sendable (PollerNotice) -> Void = { _ in }
    ) throws(UpstreamError) {
        try CurlLibrary.prepare()
        self.hub = hub
        self.configuration = configuration
        self.tracer = tracer
        self.notify = notify
        self.inbox = LaneInbox(wakeUp: try UpstreamError.wrapping(WakeUp.init))
    }

    /// Starts the thread. What was added before is polled from here on.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where the system has no thread to give.
    package func start() throws(UpstreamError) {
        let (hub, configuration, inbox, notify) = (self.hub, self.configuration, self.inbox, self.notify)
        let tracer = self.tracer
        let thread = try UpstreamError.wrapping { () throws(SystemError) in
            try SystemThread(name: "freshet-poll") {
                do throws(UpstreamError) {
                    let lane = try PollLane(
                        hub: hub,
                        configuration: configuration,
                        inbox: inbox,
                        tracer: tracer,
                        notify: notify
                    )
                    lane.run()
                } catch {
                    for command in inbox.close() { command.refuse(error) }
                    notify(.warning("polling is impossible: \(error.message)"))
                    notify(.stopped)
                }
            }
        }
        self.thread.withLock { $0 = thread }
    }

    /// Ends every poll under way and the thread, and returns when it has ended. Final. Callers that wait for a poll are told
    /// that the gateway is stopping. Must not be called on the poll thread.
    package func stop() {
        self.inbox.post(.stop)
        let thread = self.thread.withLock { $0.take() }
        thread?.join()
        for command in self.inbox.close() { command.refuse(UpstreamError(.internal, "the gateway is stopping")) }
    }

    /// Polls a source from here on; one without a URL takes what is pushed. One that is polled already is polled by the new configuration; the last good
    /// value stays where the configuration's ``SourceConfiguration/identity`` is the same. A value that the hub holds
    /// already (``Hub/restore(_:document:of:)``) is taken over, so that the first poll is conditional. `learned` is
    /// what the adaptive policy had learned in that earlier process.
    ///
    /// - Throws: ``UpstreamError`` of kind `policy` for a URL that cannot be polled.
    package func add(
        _ id: SourceID,
        _ configuration: SourceConfiguration,
        learned: [UInt8] = [],
        resumes: Bool = false
    ) throws(UpstreamError) {
        let url = configuration.isPolled ? try UpstreamURL(configuration.url) : nil
        self.inbox.post(.add(id, url, configuration, learned: learned, resumes: resumes))
    }

    /// Forgets a source. A poll under way ends without a result.
    package func remove(_ id: SourceID) {
        self.inbox.post(.remove(id))
    }

    /// Tells that subscribers of a source have come, so that one that is polled only for them is polled at once and
    /// not at the next look, up to a second later.
    package func subscribersChanged(_ id: SourceID) {
        self.inbox.post(.subscribersChanged(id))
    }

    /// Polls a source with the credentials of this configuration from here on, and at once. It differs from the one before
    /// in credentials alone: they were read again.
    package func renew(_ id: SourceID, _ configuration: SourceConfiguration) {
        self.inbox.post(.renew(id, configuration))
    }

    /// Keeps to this part of the limits of polling from here on: other gateways have the rest.
    package func use(_ share: PollShare) {
        self.inbox.post(.use(share))
    }

    /// A write to a source begins: its polls wait, at most `timeout`, until ``endWrite(of:key:isNew:polls:)``, and its
    /// item, or its whole value where `key` is `nil`, stays as it is. `isNew`: it creates an item that has no key yet.
    ///
    /// - Throws: ``UpstreamError`` where the source is gone, or has no token to ask with.
    func beginWrite(to id: SourceID, key: String?, isNew: Bool) async throws(UpstreamError) -> WriteLease {
        let result = await withCheckedContinuation { continuation in
            self.inbox.post(.beginWrite(id, key: key, isNew: isNew) { continuation.resume(returning: $0) })
        }
        return try result.get()
    }

    /// `polls`: the upstream may hold something that nobody here knows; it is asked soon.
    func endWrite(of id: SourceID, key: String?, isNew: Bool, polls: Bool) {
        self.inbox.post(.endWrite(id, key: key, isNew: isNew, polls: polls))
    }

    /// Makes this of a source's value, and returns once the change is appended and readable.
    ///
    /// - Throws: ``UpstreamError`` where the result is none of the source's values.
    func write(_ edit: WriteEdit, tag: [UInt8]?, to id: SourceID) async -> Result<WritePlan.Taken, UpstreamError> {
        await withCheckedContinuation { continuation in
            self.inbox.post(.write(id, edit, tag: tag) { continuation.resume(returning: $0) })
        }
    }

    /// The figures as they are now.
    package var metrics: PollMetrics {
        self.inbox.metrics.withLock { $0 }
    }
}

extension Poller: SourceControl {
    package func poll(_ source: SourceID) async throws(UpstreamError) -> PollOutcome {
        let result = await withCheckedContinuation { continuation in
            self.inbox.post(.poll(source) { continuation.resume(returning: $0) })
        }
        return try result.get()
    }

    package func pause(_ source: SourceID) async {
        await withCheckedContinuation { continuation in
            self.inbox.post(.pause(source) { continuation.resume() })
        }
    }

    package func resume(_ source: SourceID) async {
        await withCheckedContinuation { continuation in
            self.inbox.post(.resume(source) { continuation.resume() })
        }
    }

    package func settle(_ source: SourceID, done: @escaping @Sendable () -> Void) {
        self.inbox.post(.settle(source, done))
    }

    package func hookReceived(_ source: SourceID) {
        self.inbox.post(.hook(source))
    }

    package func push(
        _ source: SourceID,
        body: [UInt8],
        contentType: [UInt8]?
    ) async throws(UpstreamError) -> Cursor {
        let result = await withCheckedContinuation { continuation in
            self.inbox.post(.push(source, body: body, contentType: contentType) { continuation.resume(returning: $0) })
        }
        return try result.get()
    }
}
