// Who may become a subscriber: bounds in all and per address, so that nobody can take every descriptor.

import Synchronization

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
    /// The gateway is shutting down.
    case draining
    /// The process is near the end of its memory.
    case memory
}

/// One subscriber's place. It is free again when the last reference is gone, so that no path can forget it.
package final class AdmissionTicket: Sendable {
    package let address: PeerAddress
    private let desk: AdmissionDesk

    fileprivate init(address: PeerAddress, desk: AdmissionDesk) {
        self.address = address
        self.desk = desk
    }

    deinit {
        self.desk.release(self.address)
    }
}

/// Counts places. Any thread; asked once per connection, never per event.
final class AdmissionDesk: Sendable {
    private struct State: Sendable {
        var total = 0
        var byNetwork: [PeerAddress: Int] = [:]
        var isDraining = false
        var isShortOfMemory = false
        var refusals: [RefusalReason: UInt64] = [:]
    }

    private let state = Mutex(State())
    private let maxTotal: Int
    private let maxPerAddress: Int

    init(maxTotal: Int, maxPerAddress: Int) {
        self.maxTotal = maxTotal
        self.maxPerAddress = maxPerAddress
    }

    /// Takes a place for a client.
    func admit(_ address: PeerAddress) -> Admission {
        let reason = self.state.withLock { state -> RefusalReason? in
            let refusal = self.refusal(of: address, in: state)
            if let refusal {
                state.refusals[refusal, default: 0] += 1
            } else {
                state.total += 1
                if let network = self.network(of: address) { state.byNetwork[network, default: 0] += 1 }
            }
            return refusal
        }
        guard let reason else { return .admitted(AdmissionTicket(address: address, desk: self)) }
        return .refused(reason, retryAfter: .milliseconds(Int64.random(in: 1000...10_000)))
    }

    /// What the limit per address counts; `nil` where it does not apply.
    private func network(of address: PeerAddress) -> PeerAddress? {
        self.maxPerAddress > 0 ? address.countedNetwork : nil
    }

    private func refusal(of address: PeerAddress, in state: State) -> RefusalReason? {
        if state.isDraining { return .draining }
        if state.isShortOfMemory { return .memory }
        if state.total >= self.maxTotal { return .full }
        guard let network = self.network(of: address) else { return nil }
        return state.byNetwork[network, default: 0] >= self.maxPerAddress ? .address : nil
    }

    fileprivate func release(_ address: PeerAddress) {
        self.state.withLock { state in
            state.total -= 1
            guard let network = self.network(of: address), let count = state.byNetwork[network] else { return }
            state.byNetwork[network] = count > 1 ? count - 1 : nil
        }
    }

    /// Refuses everybody from now on.
    func close() {
        self.state.withLock { $0.isDraining = true }
    }

    /// Refuses everybody until it is no longer so.
    func setShortOfMemory(_ isShort: Bool) {
        self.state.withLock { $0.isShortOfMemory = isShort }
    }

    var refusals: [RefusalReason: UInt64] {
        self.state.withLock { $0.refusals }
    }
}
