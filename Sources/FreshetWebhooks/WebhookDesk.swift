// The webhooks of one gateway: a thread of their own that reads the log and sends, so that neither a poll nor a stream ever
// waits for an endpoint.

package import FreshetCore
import FreshetUpstream
import Synchronization
import System

/// Delivers changes to the endpoints of `webhooks`. Any thread may call.
package final class WebhookDesk: WebhookControl {
    /// How it works.
    package struct Configuration: Sendable {
        /// The value of `User-Agent`.
        package var userAgent = "freshet"
        package var limits = WebhookLimits()
        /// Messages of all endpoints under way; those beyond wait for their turn.
        package var maxUnderWay = Defaults.Webhooks.underWay
        /// The least time between two writings of rows. What was delivered since the last is sent again after a crash.
        package var rowInterval = Duration.milliseconds(100)
        /// Where several gateways send to the endpoints: `nil` for one that sends to all of them.
        package var sharing: Sharing?

        package init() {}
    }

    /// That each endpoint is sent to by one gateway at a time, which is told so by ``WebhookDesk/own(_:row:)``.
    package struct Sharing: Sendable {
        /// Whether this gateway may send to an endpoint at this moment. Asked before each message, on the desk's thread; must
        /// not wait.
        package var maySend: @Sendable (String) -> Bool

        package init(maySend: @escaping @Sendable (String) -> Bool) {
            self.maySend = maySend
        }
    }

    /// What happens at an endpoint that its operator should know. Called on the desk's thread; must not wait.
    package enum Notice: Sendable {
        /// The first refusal after things went well.
        case failing(name: String, WebhookTryReport)
        case recovered(name: String)
        /// It answered 410.
        case disabled(name: String)
        case gap(name: String, GapReason)
        /// Its row could not be read: it begins now.
        case rowUnreadable(name: String)
    }

    private let inbox: Inbox<WebhookCommand>
    private let thread: Mutex<SystemThread?>
    private let loop: WebhookLoopParts

    /// Makes the desk; nothing is sent before ``start()``.
    ///
    /// `store` keeps rows over a restart, and holds `restored`; `nil` keeps them in memory. `notify`: see ``Notice``.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where no descriptor is left.
    package init(
        hub: Hub,
        webhooks: [WebhookConfiguration],
        configuration: Configuration = Configuration(),
        store: (any WebhookStore)? = nil,
        restored: [StoredWebhook] = [],
        notify: @escaping @Sendable (Notice) -> Void = { _ in }
    ) throws(UpstreamError) {
        let inbox = Inbox<WebhookCommand>(wakeUp: try UpstreamError.wrapping(WakeUp.init))
        var transport = CurlTransport.Configuration()
        transport.userAgent = configuration.userAgent
        // How many are under way is bounded per endpoint, and many endpoints may be of one host.
        transport.maxConnectionsPerHost = configuration.maxUnderWay
        transport.minSilentAnswers = 0
        self.inbox = inbox
        self.thread = Mutex(nil)
        self.loop = WebhookLoopParts(
            hub: hub,
            webhooks: webhooks,
            configuration: configuration,
            transport: transport,
            store: store,
            restored: restored,
            notify: notify
        )
    }

    deinit {
        self.stop()
    }

    /// Begins to deliver. Before the first source is polled, so that nothing comes before the cursors of endpoints that are
    /// new: waits until their rows are kept, or cannot be.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where threads, descriptors, memory or libcurl are lacking.
    package func start() throws(UpstreamError) {
        let (begun, failure) = (Watch(), Box<UpstreamError?>(nil))
        let (inbox, parts) = (self.inbox, self.loop)
        let thread = try UpstreamError.wrapping { () throws(SystemError) in
            try SystemThread(name: "webhooks") {
                do throws(UpstreamError) {
                    try WebhookLoop(parts, inbox: inbox, begun: { begun.signal() }).run()
                } catch {
                    for command in inbox.close() { command.refuse() }
                    failure.value.withLock { $0 = error }
                    begun.signal()
                }
            }
        }
        begun.wait()
        if let error = failure.value.withLock({ $0 }) {
            thread.join()
            throw error
        }
        self.thread.withLock { $0 = thread }
    }

    /// Sends nothing more, keeps the rows, and ends the thread. Blocks. What is under way is sent again by a later process.
    package func stop() {
        guard let thread = self.thread.withLock({ $0.take() }) else { return }
        _ = self.inbox.post(.stop)
        thread.join()
    }

    /// Puts another configuration in force; at once, or nearly. An endpoint that keeps its name keeps its cursor.
    package func update(_ webhooks: [WebhookConfiguration]) {
        _ = self.inbox.post(.update(webhooks))
    }

    /// Gives all rows to a store that has begun anew.
    package func rewriteRows() {
        _ = self.inbox.post(.rewrite)
    }

    /// From here on this gateway sends to an endpoint, and goes on where `row` says (``WebhookRow/text``); without one it
    /// begins, with a gap where a row on its own disk is of another numbering. Only with ``Sharing``.
    package func own(_ name: String, row: [UInt8]?) {
        _ = self.inbox.post(.own(name, row: row))
    }

    /// Sends nothing more to an endpoint. `done` is called once, when its last row was given to the store; what is under way
    /// has ended by then, or takes too long.
    package func release(_ name: String, done: @escaping @Sendable () -> Void) {
        if !self.inbox.post(.release(name, done)) { done() }
    }

    /// The figures of this moment. Waits for the thread to tell.
    package var metrics: WebhookMetrics {
        guard self.thread.withLock({ $0 != nil }) else { return WebhookMetrics() }
        let (told, metrics) = (Watch(), Box(WebhookMetrics()))
        let command = WebhookCommand.metrics { figures in
            metrics.value.withLock { $0 = figures }
            told.signal()
        }
        guard self.inbox.post(command) else { return WebhookMetrics() }
        told.wait()
        return metrics.value.withLock { $0 }
    }

    // MARK: - WebhookControl

    package func reports() async -> [WebhookReport] {
        await self.ask([]) { .reports($0) }
    }

    package func pause(_ name: String) async -> WebhookReport? {
        await self.ask(nil) { .pause(name, $0) }
    }

    package func resume(_ name: String) async -> WebhookReport? {
        await self.ask(nil) { .resume(name, $0) }
    }

    package func test(_ name: String) async -> WebhookTryReport? {
        await self.ask(nil) { .test(name, $0) }
    }

    /// Asks the thread; `missing` where it has ended.
    private func ask<Value: Sendable>(
        _ missing: Value,
        _ command: (@escaping @Sendable (Value) -> Void) -> WebhookCommand
    ) async -> Value {
        await withCheckedContinuation { continuation in
            if !self.inbox.post(command { continuation.resume(returning: $0) }) {
                continuation.resume(returning: missing)
            }
        }
    }
}

/// One thing to do on the thread of webhooks.
enum WebhookCommand: Sendable {
    /// Sources have changed, or are gone: ``WebhookBell`` knows which.
    case changed
    case read(endpoint: Int, after: UInt64, WebhookPart)
    /// Rows of these endpoints are kept, or not, as of these revisions.
    case kept([Int: UInt64])
    case update([WebhookConfiguration])
    case own(String, row: [UInt8]?)
    case release(String, @Sendable () -> Void)
    case rewrite
    case metrics(@Sendable (WebhookMetrics) -> Void)
    case reports(@Sendable ([WebhookReport]) -> Void)
    case pause(String, @Sendable (WebhookReport?) -> Void)
    case resume(String, @Sendable (WebhookReport?) -> Void)
    case test(String, @Sendable (WebhookTryReport?) -> Void)
    case stop

    /// Answers whoever waits for an answer.
    func refuse() {
        switch self {
        case .changed, .read, .kept, .update, .own, .rewrite, .stop: break
        case .release(_, let done): done()
        case .metrics(let reply): reply(WebhookMetrics())
        case .reports(let reply): reply([])
        case .pause(_, let reply), .resume(_, let reply): reply(nil)
        case .test(_, let reply): reply(nil)
        }
    }
}

/// Figures of all endpoints.
package struct WebhookMetrics: Sendable {
    /// By name.
    package var endpoints: [String: Endpoint] = [:]
    /// From the start of a try to its end.
    package var duration = DurationHistogram(bounds: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30])
    package var underWay = 0

    package init() {}

    /// Those of one.
    package struct Endpoint: Sendable {
        package var state = WebhookStateMachine.State.active
        package var isFailing = false
        /// As in ``WebhookReport/lag``.
        package var lag: UInt64 = 0
        package var inFlight = 0
        package var ahead = 0
        package var heldBytes = 0
        package var figures = WebhookFigures()
    }
}

/// What the loop is made of.
struct WebhookLoopParts: Sendable {
    var hub: Hub
    var webhooks: [WebhookConfiguration]
    var configuration: WebhookDesk.Configuration
    var transport: CurlTransport.Configuration
    var store: (any WebhookStore)?
    var restored: [StoredWebhook]
    var notify: @Sendable (WebhookDesk.Notice) -> Void
}
