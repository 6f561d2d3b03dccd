// What a gateway may use of limits that hold for several gateways together.

import FreshetCore
package import FreshetUpstream

/// A part of ``PollerConfiguration/requestsPerHour`` and of what hosts may be asked. The default is all of it.
package struct PollShare: Hashable, Sendable {
    /// A part of what one host may be asked.
    package struct Host: Hashable, Sendable {
        /// Requests at a time, at least one.
        package var concurrency: Int
        /// Of the requests in a time, above 0 and at most 1: the gap between two is as much longer.
        package var rate: Double

        package init(concurrency: Int, rate: Double) {
            self.concurrency = concurrency
            self.rate = rate
        }
    }

    /// Of the polls of an hour, from 0 to 1.
    package var rate = 1.0
    package var hosts: [Origin: Host] = [:]
    /// Of each host that is not among ``hosts``, above 0 and at most 1, and at least one request at a time.
    package var ofOtherHosts = 1.0

    package init() {}
}

extension PollShare {
    /// The part of these limits that holds for a host.
    func limits(for origin: Origin, of whole: HostQueue.Limits) -> HostQueue.Limits {
        let host =
            self.hosts[origin]
            ?? Host(
                concurrency: Int((Double(whole.concurrency) * self.ofOtherHosts).rounded(.down)),
                rate: self.ofOtherHosts
            )
        let gap = host.rate > 0 ? whole.gap.inSeconds / host.rate : whole.gap.inSeconds
        return HostQueue.Limits(
            concurrency: min(whole.concurrency, max(1, host.concurrency)),
            gap: Duration(clampingSeconds: gap)
        )
    }
}
