// `GET /v1/gateway`: the whole in a few figures, and who asks.

import FreshetCore
import FreshetStreaming
import JSON
import Synchronization

/// Requests that were made to upstreams, and those that were not.
package struct UpstreamFigures: Sendable {
    /// Polls that were a request of their own.
    package var requests: UInt64
    /// Events delivered beyond those: what subscribers would have asked at least. Never falls.
    package var saved: UInt64

    package init(requests: UInt64 = 0, saved: UInt64 = 0) {
        self.requests = requests
        self.saved = saved
    }
}

struct GatewayRoutes: Sendable {
    let gateway: Gateway

    func add(to routes: inout RouteTable) {
        let access: Route.Access = self.gateway.settings.keepsOperationsPrivate ? .administrator : .caller
        routes.on(.get, "/v1/gateway", for: access) { self.answer(to: $0.principal) }
    }

    /// With `auth`, figures about everybody are for administrators; others get `null` in their place. Who may read nothing
    /// is told that, and nothing else.
    private func answer(to principal: Principal) -> Answer {
        let isOpen = self.gateway.access.authenticator == nil || principal.grants.admin
        let isKnown = principal.kind != .anonymous || principal.grants.read != .none
        let figures = isOpen ? self.gateway.pulse.figures() : nil
        var json = JSONWriter()
        json.object { json in
            json.member("version", optional: isKnown ? self.gateway.settings.version : nil)
            json.member("started_at", optional: isKnown ? self.gateway.startedAt.description : nil)
            json.name("caller")
            json.object { json in
                json.member("id", principal.id)
                json.member("kind", principal.kind.rawValue)
                json.name("read")
                json.array { json in
                    for term in principal.grants.read.terms { json.string(term.description) }
                }
                json.member("admin", principal.grants.admin)
            }
            json.member("subscribers", optional: figures.map { UInt64(clamping: $0.subscribers) })
            json.member("subscribers_behind", optional: figures.map { UInt64(clamping: $0.behind) })
            json.member("events_per_minute", optional: figures?.lastMinute.events)
            json.member("deliveries_per_minute", optional: figures?.lastMinute.deliveries)
            json.member("upstream_requests_per_minute", optional: figures?.lastMinute.requests)
            json.member("upstream_requests", optional: figures?.upstream.requests)
            json.member("upstream_requests_saved", optional: figures?.upstream.saved)
        }
        return .json(json.text)
    }
}

/// What the whole gateway does a minute: totals are noted every few seconds. Any thread.
final class GatewayPulse: Sendable {
    /// Totals since the start.
    struct Totals: Hashable, Sendable {
        var events: UInt64 = 0
        var deliveries: UInt64 = 0
        var requests: UInt64 = 0

        static func - (later: Totals, earlier: Totals) -> Totals {
            func difference(_ path: KeyPath<Totals, UInt64>) -> UInt64 {
                later[keyPath: path] - min(later[keyPath: path], earlier[keyPath: path])
            }
            return Totals(
                events: difference(\.events),
                deliveries: difference(\.deliveries),
                requests: difference(\.requests)
            )
        }
    }

    struct Figures: Sendable {
        var subscribers: Int
        var behind: Int
        /// Of the last 60 s, or since the start where that is shorter.
        var lastMinute: Totals
        var upstream: UpstreamFigures
    }

    /// How often totals are noted.
    static let interval = Duration.seconds(5)
    /// So many notes are a minute.
    private static let notes = 12

    private let hub: Hub
    private let streams: StreamServer
    private let upstream: @Sendable () -> UpstreamFigures
    /// The oldest first, at most ``notes``.
    private let noted = Mutex([Totals()])

    init(hub: Hub, streams: StreamServer, upstream: @escaping @Sendable () -> UpstreamFigures) {
        self.hub = hub
        self.streams = streams
        self.upstream = upstream
    }

    func note() {
        let totals = self.totals(self.upstream(), self.streams.statistics)
        self.noted.withLock { noted in
            noted.append(totals)
            if noted.count > Self.notes { noted.removeFirst() }
        }
    }

    func figures() -> Figures {
        let (upstream, streams) = (self.upstream(), self.streams.statistics)
        let oldest = self.noted.withLock { $0.first ?? Totals() }
        return Figures(
            subscribers: streams.subscribers,
            behind: streams.blocked,
            lastMinute: self.totals(upstream, streams) - oldest,
            upstream: upstream
        )
    }

    private func totals(_ upstream: UpstreamFigures, _ streams: StreamStatistics) -> Totals {
        Totals(
            events: self.hub.statistics.published,
            deliveries: streams.eventsDelivered,
            requests: upstream.requests
        )
    }
}

extension JSONWriter {
    /// A number, `null` if absent.
    mutating func member(_ name: String, optional number: UInt64?) {
        self.name(name)
        if let number { self.number(number) } else { self.null() }
    }
}
