// How many requests may wait for a change, in all and of one client.

import FreshetCore
import FreshetStreaming
import NIOCore
import Synchronization
import System

/// Why a request may not wait.
enum WaitRefusal: String, CaseIterable, Sendable {
    /// As many wait as are allowed.
    case full
    /// As many of one address wait as are allowed.
    case address

    /// 503, and when to try again: drawn anew each time, so that the refused do not come back together (A12).
    var problem: Problem {
        let seconds = Int64.random(in: 1...10)
        switch self {
        case .full:
            return .busy(
                "too_many_waiting",
                "limits.max_waiting requests already wait for a change; omit wait, or retry later.",
                retryAfter: seconds
            )
        case .address:
            return .busy(
                "too_many_waiting_from_address",
                "limits.max_waiting_per_address requests of this address already wait; omit wait, or retry later.",
                retryAfter: seconds
            )
        }
    }
}

/// The requests that wait, counted, and where each event loop keeps its own. Any thread.
final class WaitAdmission: Sendable {
    private struct State: Sendable {
        var total = 0
        var byNetwork: [PeerAddress: Int] = [:]
        var refusals: [WaitRefusal: UInt64] = [:]
        var loops: [ObjectIdentifier: LoopWaits] = [:]
    }

    private let state = Mutex(State())
    private let hub: Hub
    private let maxTotal: Int
    private let maxPerAddress: Int

    init(hub: Hub, settings: HTTPSettings) {
        self.hub = hub
        self.maxTotal = settings.effectiveMaxWaiting
        self.maxPerAddress = settings.maxWaitingPerAddress
    }

    /// Requests that wait.
    var count: Int { self.state.withLock { $0.total } }

    /// Counts a request in, unless there are too many. Each that got in has to ``leave(_:)``.
    func enter(_ peer: PeerAddress) -> WaitRefusal? {
        let network = self.network(of: peer)
        return self.state.withLock { state in
            let held = network.map { state.byNetwork[$0, default: 0] } ?? 0
            let refusal: WaitRefusal? =
                state.total >= self.maxTotal ? .full : network != nil && held >= self.maxPerAddress ? .address : nil
            guard let refusal else {
                state.total += 1
                if let network { state.byNetwork[network] = held + 1 }
                return nil
            }
            state.refusals[refusal, default: 0] += 1
            return refusal
        }
    }

    func leave(_ peer: PeerAddress) {
        let network = self.network(of: peer)
        self.state.withLock { state in
            state.total -= 1
            guard let network, let count = state.byNetwork[network] else { return }
            state.byNetwork[network] = count > 1 ? count - 1 : nil
        }
    }

    private func network(of peer: PeerAddress) -> PeerAddress? {
        self.maxPerAddress > 0 ? peer.countedNetwork : nil
    }

    /// Where an event loop keeps its waits. Called on the loop.
    func waits(on eventLoop: any EventLoop) -> LoopWaits {
        let key = ObjectIdentifier(eventLoop)
        if let known = self.state.withLock({ $0.loops[key] }) { return known }
        let made = LoopWaits(hub: self.hub, eventLoop: eventLoop)
        self.state.withLock { $0.loops[key] = made }
        return made
    }

    /// Lets go of what the hub would tell of changes. No request may wait from here on.
    func close() {
        let loops = self.state.withLock { state in
            defer { state.loops = [:] }
            return Array(state.loops.values)
        }
        for waits in loops { self.hub.detach(waits: waits) }
    }

    /// Appends the figures as Prometheus text.
    func write(to text: inout [UInt8]) {
        let (total, refusals) = self.state.withLock { ($0.total, $0.refusals) }
        text.appendMetric(
            "freshet_http_waiting_requests",
            "gauge",
            "Requests that wait for a change.",
            [("", "\(total)")]
        )
        text.appendMetric(
            "freshet_http_waits_refused_total",
            "counter",
            "Requests refused a wait with 503, by reason.",
            WaitRefusal.allCases.map { (#"{reason="\#($0.rawValue)"}"#, "\(refusals[$0] ?? 0)") }
        )
    }
}
