// What operators and their tools ask: liveness, readiness, metrics, the description of the interface.

import FreshetAccess
import FreshetCore
import FreshetStreaming
import JSON
import NIOCore
import Synchronization

struct OperationRoutes: Sendable {
    let gateway: Gateway
    private let metricsText: SharedText<[UInt8]>
    private let states: SharedText<String>

    init(gateway: Gateway) {
        self.gateway = gateway
        let lifetime = gateway.settings.sharedTextLifetime
        self.metricsText = SharedText(lifetime: lifetime) { Self.metrics(of: gateway) }
        self.states = SharedText(lifetime: lifetime) { Self.states(of: gateway.hub) }
    }

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/livez", for: .everybody) { _ in .text("ok\n") }
        routes.on(.get, "/readyz", for: .probe) { try await self.readiness($0) }
        routes.on(.get, "/healthz", for: .probe) { try await self.readiness($0) }
        let access: Route.Access = self.keepsDetailsPrivate ? .administrator : .everybody
        routes.on(.get, "/metrics", for: access) { _ in await self.metrics() }
    }

    /// With `auth`, what names sources is for those who may know them all.
    private var keepsDetailsPrivate: Bool {
        self.gateway.settings.keepsOperationsPrivate || self.gateway.access.authenticator != nil
    }

    /// Whether a request asks whether the gateway lives or is ready: answered on a connection that has no place (A14).
    static func isProbe(_ head: RequestHead) -> Bool {
        ["GET", "HEAD"].contains(head.method) && ["/livez", "/readyz", "/healthz"].contains(head.path)
    }

    /// Ready while the listener is up and no shutdown has begun. What upstreams do has no part in it: restarting the
    /// gateway would mend none of them.
    private func readiness(_ context: GatewayContext) async throws(Problem) -> Answer {
        let readiness = self.gateway.readiness.withLock { $0 }
        let isReady = readiness == .ready
        guard context.request.query["verbose"] != nil else {
            return .text(isReady ? "ok\n" : "\(readiness.rawValue)\n", status: isReady ? 200 : 503)
        }
        if self.keepsDetailsPrivate {
            let request = context.request
            _ = try self.gateway.access.principal(
                request.plan.identity,
                of: request.head,
                by: request.listener,
                for: .administrator
            )
        }
        let states = await self.states.value()
        let text = """
            listener: \(readiness.rawValue)
            log: \(self.log)
            \(self.cluster)sources: \(states)
            streams: \(self.gateway.streams.statistics.subscribers)
            \(isReady ? "ready" : "not ready")

            """
        return .text(text, status: isReady ? 200 : 503)
    }

    private var cluster: String { self.gateway.cluster.map { "cluster: \($0())\n" } ?? "" }

    /// A disk that failed does not make the gateway less ready: subscribers are served from memory (FAULTS F64). Why it
    /// failed is in the process's own log, with the path.
    private var log: String {
        let cursor = self.gateway.hub.cursor
        guard let error = self.gateway.hub.storeError else { return "ok, \(cursor)" }
        return "degraded (\(error.kind.rawValue)), changes are in memory alone, \(cursor)"
    }

    /// How many sources are in each state.
    private static func states(of hub: Hub) -> String {
        var states: [String: Int] = [:]
        for report in hub.sources() {
            states[report.status.state.rawValue, default: 0] += 1
        }
        let summary = states.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        return summary.isEmpty ? "none" : summary
    }

    private func metrics() async -> Answer {
        var answer = Answer(200, body: [], type: "text/plain; version=0.0.4; charset=utf-8")
        answer.body = AnswerBody(await self.metricsText.value())
        answer.set("Cache-Control", "no-store")
        return answer
    }

    private static func metrics(of gateway: Gateway) -> [UInt8] {
        var text: [UInt8] = []
        for provider in gateway.metrics {
            provider(&text)
        }
        gateway.counters.write(gateway.unread, to: &text)
        if let certificates = gateway.certificates {
            gateway.tlsCounters.write(to: &text)
            gateway.streams.detachedFigures.write(to: &text)
            gateway.streams.http2Figures.write(to: &text)
            gateway.streams.webSocketFigures.write(to: &text)
            certificates.write(to: &text)
        }
        HTTPCounters.write(gateway.hooks.counts, to: &text)
        gateway.waits.write(to: &text)
        gateway.pace.write(to: &text)
        gateway.callers.write(to: &text)
        gateway.rows.write(to: &text)
        gateway.streamdata.write(to: &text)
        return text
    }
}
