// Who may become a subscriber: bounds in all and per address, so that no client can take every descriptor.

package import FreshetCore
import Synchronization
package import System

/// The answer to one who wants to subscribe.
package enum Admission: Sendable {
    /// A place is taken until the ticket is gone.
    case admitted(AdmissionTicket)
    /// Answer 503 with `Retry-After`, which is drawn anew each time so that the refused do not come back together.
    case refused(RefusalReason, retryAfter: Duration)
}

/// Why there is no place.
package enum RefusalReason: String, CaseIterable, Sendable {
    /// As many subscribers as are allowed, or as there are descriptors for.
    case full
    /// As many as are allowed from one address.
    case address
    /// As many as are allowed of one caller, from whatever addresses.
    case caller
    /// The streams of one address name as many different sets of sources as are allowed.
    case sourceSets = "source_sets"
    /// All streams together name as many different views as are allowed.
    case views
    /// The streams of one address name as many different views as are allowed.
    case viewsOfAddress = "views_of_address"
    /// The gateway is shutting down.
    case draining
    /// The process is near the end of its memory.
    case memory
}

/// Whose a stream is, and who hears of what it reads. The streams of one caller share one.
package final class StreamCaller: Sendable {
    package let account: Principal.Account
    private let meter: @Sendable (Int) -> Void

    /// `meter` is told how many bytes of the log a stream was given; on the stream's thread, which must not be held up.
    package init(account: Principal.Account, meter: @escaping @Sendable (Int) -> Void = { _ in }) {
        self.account = account
        self.meter = meter
    }

    func replayed(_ bytes: Int) {
        self.meter(bytes)
    }
}

/// One subscriber's place. It is free again when the last reference is gone, so that no path can forget it.
package final class AdmissionTicket: Sendable {
    package let address: PeerAddress
    /// `nil` for those who are counted by their address alone.
    let caller: StreamCaller?
    fileprivate let sourceSet: Int?
    fileprivate let view: Int?
    /// The place that this is a part of: a socket's, whose subscriptions count by their sources alone.
    fileprivate let whole: AdmissionTicket?
    private let desk: AdmissionDesk

    /// A place for a subscription of a socket that has this one; `nil` where the streams of the address name too many
    /// different sets of sources.
    package func part(sourceSet: Int) -> AdmissionTicket? {
        guard self.desk.admitPart(sourceSet, of: self.address) else { return nil }
        return AdmissionTicket(
            address: self.address,
            caller: self.caller,
            sourceSet: sourceSet,
            whole: self,
            desk: self.desk
        )
    }

    fileprivate init(
        address: PeerAddress,
        caller: StreamCaller?,
        sourceSet: Int?,
        view: Int? = nil,
        whole: AdmissionTicket? = nil,
        desk: AdmissionDesk
    ) {
        self.whole = whole
        self.address = address
        self.caller = caller
        self.sourceSet = sourceSet
        self.view = view
        self.desk = desk
    }

    deinit {
        self.desk.release(self)
    }
}

/// Counts places. Any thread; asked once per connection, never per event.
package final class AdmissionDesk: Sendable {
    /// What the streams of one address hold.
    private struct Holding: Sendable {
        var streams = 0
        /// Streams by what they ask for, named by its hash: two sets with the same hash count as one, which does no harm.
        var sourceSets: [Int: Int] = [:]
        /// Streams by the hash of their view, where they have one.
        var views: [Int: Int] = [:]
    }

    /// What the streams of one caller hold.
    private struct CallerHolding: Sendable {
        let caller: StreamCaller
        var streams = 0
    }

    private struct State: Sendable {
        var total = 0
        var views: [Int: Int] = [:]
        var byNetwork: [PeerAddress: Holding] = [:]
        var byCaller: [Principal.Account: CallerHolding] = [:]
        var isDraining = false
        var pressure = MemoryPressure.none
        var refusals: [RefusalReason: UInt64] = [:]
    }

    private let state = Mutex(State())
    private let maxTotal: Int
    private let maxPerAddress: Int
    private let maxSourceSetsPerAddress: Int
    private let maxPerCaller: Int
    private let maxViews: Int
    private let maxViewsPerAddress: Int

    /// `maxPerAddress`: streams of one address, `maxSourceSetsPerAddress`: different sets of sources in them,
    /// `maxPerCaller`: streams of one caller, `maxViews`, `maxViewsPerAddress`: different views in all of them and in those of
    /// one address; 0 for no bound.
    package init(
        maxTotal: Int,
        maxPerAddress: Int,
        maxSourceSetsPerAddress: Int = 0,
        maxPerCaller: Int = 0,
        maxViews: Int = 0,
        maxViewsPerAddress: Int = 0
    ) {
        self.maxViews = maxViews
        self.maxViewsPerAddress = maxViewsPerAddress
        self.maxTotal = maxTotal
        self.maxPerAddress = maxPerAddress
        self.maxSourceSetsPerAddress = maxSourceSetsPerAddress
        self.maxPerCaller = maxPerCaller
    }

    /// Takes a place for a client. `sourceSet`: the hash of what the stream asks for; `view`: that of the part of it.
    package func admit(
        _ address: PeerAddress,
        sourceSet: Int? = nil,
        view: Int? = nil,
        caller: StreamCaller? = nil
    ) -> Admission {
        let result = self.state.withLock { state -> Result<StreamCaller?, Refusal> in
            let refusal =
                self.refusal(of: address, sourceSet, caller, in: state) ?? self.refusal(of: address, view, in: state)
            if let refusal {
                state.refusals[refusal, default: 0] += 1
                return .failure(Refusal(reason: refusal))
            }
            state.total += 1
            let shared = caller.map { Self.join($0, in: &state) }
            if let view { state.views[view, default: 0] += 1 }
            guard let network = self.network(of: address) else { return .success(shared) }
            state.byNetwork[network, default: Holding()].streams += 1
            if let view { state.byNetwork[network, default: Holding()].views[view, default: 0] += 1 }
            if let sourceSet {
                state.byNetwork[network, default: Holding()].sourceSets[sourceSet, default: 0] += 1
            }
            return .success(shared)
        }
        switch result {
        case .success(let caller):
            return .admitted(
                AdmissionTicket(address: address, caller: caller, sourceSet: sourceSet, view: view, desk: self)
            )
        case .failure(let refusal):
            return .refused(refusal.reason, retryAfter: .milliseconds(Int64.random(in: 1000...10_000)))
        }
    }

    private struct Refusal: Error {
        let reason: RefusalReason
    }

    /// Counts a stream of a caller in.
    ///
    /// - Returns: What all streams of the caller share.
    private static func join(_ caller: StreamCaller, in state: inout State) -> StreamCaller {
        var holding = state.byCaller[caller.account] ?? CallerHolding(caller: caller)
        holding.streams += 1
        state.byCaller[caller.account] = holding
        return holding.caller
    }

    /// What the limits per address count; `nil` where they do not apply.
    private func network(of address: PeerAddress) -> PeerAddress? {
        self.maxPerAddress > 0 || self.maxSourceSetsPerAddress > 0 || self.maxViewsPerAddress > 0
            ? address.countedNetwork : nil
    }

    /// Why there is no room for one more view; `nil` where there is, or where others read it already.
    private func refusal(of address: PeerAddress, _ view: Int?, in state: State) -> RefusalReason? {
        guard let view else { return nil }
        if self.maxViews > 0, state.views[view] == nil, state.views.count >= self.maxViews { return .views }
        guard self.maxViewsPerAddress > 0, let network = self.network(of: address),
            let holding = state.byNetwork[network], holding.views[view] == nil
        else { return nil }
        return holding.views.count >= self.maxViewsPerAddress ? .viewsOfAddress : nil
    }

    private func refusal(
        of address: PeerAddress,
        _ sourceSet: Int?,
        _ caller: StreamCaller?,
        in state: State
    ) -> RefusalReason? {
        if state.isDraining { return .draining }
        if state.pressure >= .high { return .memory }
        if state.total >= self.maxTotal { return .full }
        if self.maxPerCaller > 0, let caller, let holding = state.byCaller[caller.account],
            holding.streams >= self.maxPerCaller
        {
            return .caller
        }
        let network = self.network(of: address)
        guard let network, let holding = state.byNetwork[network] else {
            return network == nil && state.pressure >= .elevated ? .memory : nil
        }
        if state.pressure >= .elevated { return .memory }
        if self.maxPerAddress > 0, holding.streams >= self.maxPerAddress { return .address }
        guard self.maxSourceSetsPerAddress > 0, let sourceSet, holding.sourceSets[sourceSet] == nil else { return nil }
        return holding.sourceSets.count >= self.maxSourceSetsPerAddress ? .sourceSets : nil
    }

    /// Counts the sources of a part of a place.
    ///
    /// - Returns: Whether there may be one more set of them.
    fileprivate func admitPart(_ sourceSet: Int, of address: PeerAddress) -> Bool {
        guard let network = self.network(of: address) else { return true }
        return self.state.withLock { state in
            let sets = state.byNetwork[network]?.sourceSets ?? [:]
            let isFull = self.maxSourceSetsPerAddress > 0 && sets.count >= self.maxSourceSetsPerAddress
            guard sets[sourceSet] != nil || !isFull else {
                state.refusals[.sourceSets, default: 0] += 1
                return false
            }
            state.byNetwork[network, default: Holding()].sourceSets[sourceSet, default: 0] += 1
            return true
        }
    }

    private static func release(_ sourceSet: Int, of network: PeerAddress, in state: inout State) {
        guard let count = state.byNetwork[network]?.sourceSets[sourceSet] else { return }
        state.byNetwork[network]?.sourceSets[sourceSet] = count > 1 ? count - 1 : nil
    }

    fileprivate func release(_ ticket: AdmissionTicket) {
        self.state.withLock { state in
            guard ticket.whole == nil else {
                if let network = self.network(of: ticket.address), let sourceSet = ticket.sourceSet {
                    Self.release(sourceSet, of: network, in: &state)
                }
                return
            }
            state.total -= 1
            if let account = ticket.caller?.account, let streams = state.byCaller[account]?.streams {
                if streams > 1 { state.byCaller[account]?.streams = streams - 1 } else { state.byCaller[account] = nil }
            }
            if let view = ticket.view, let count = state.views[view] { state.views[view] = count > 1 ? count - 1 : nil }
            guard let network = self.network(of: ticket.address), let streams = state.byNetwork[network]?.streams
            else { return }
            guard streams > 1 else {
                state.byNetwork[network] = nil
                return
            }
            state.byNetwork[network]?.streams = streams - 1
            if let view = ticket.view, let count = state.byNetwork[network]?.views[view] {
                state.byNetwork[network]?.views[view] = count > 1 ? count - 1 : nil
            }
            if let sourceSet = ticket.sourceSet { Self.release(sourceSet, of: network, in: &state) }
        }
    }

    /// Refuses everybody from now on.
    func close() {
        self.state.withLock { $0.isDraining = true }
    }

    /// While memory is short, an address gets no second stream; from ``MemoryPressure/high`` on it gets no first one either.
    /// So whoever fills the memory does not lock out a subscriber who comes back. Where addresses are not counted, no
    /// stream is admitted from the first step on.
    func setMemoryPressure(_ pressure: MemoryPressure) {
        self.state.withLock { $0.pressure = pressure }
    }

    var refusals: [RefusalReason: UInt64] {
        self.state.withLock { $0.refusals }
    }
}
