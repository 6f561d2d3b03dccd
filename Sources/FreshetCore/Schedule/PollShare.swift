// What a gateway may use of limits of polling that hold for several gateways together.

/// A part of the polls of an hour, and of what hosts may be asked. The default is all of it.
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
    /// By origin, such as `https://api.example:443`.
    package var hosts: [String: Host] = [:]
    /// Of each host that is not among ``hosts``, above 0 and at most 1, and at least one request at a time.
    package var ofOtherHosts = 1.0

    package init() {}
}
