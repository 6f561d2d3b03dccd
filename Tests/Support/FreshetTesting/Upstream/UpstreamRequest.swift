/// A request as a scripted upstream received it.
package struct UpstreamRequest: Hashable, Sendable {
    /// Counts the upstream's requests from 1, in the order in which they were whole.
    package var number: Int
    /// Counts the upstream's connections from 1, in the order in which they were accepted.
    package var connection: Int
    /// Counts the connection's requests from 1; over 1 on a connection that was kept alive.
    package var numberOnConnection: Int
    /// When the request was whole.
    package var receivedAt: ContinuousClock.Instant
    package var head: RequestHead
    package var body: [UInt8]

    package var method: String { self.head.method }
    package var headers: HeaderFields { self.head.headers }
    /// The target as it was sent.
    package var target: String { self.head.target }
    /// The target up to the question mark, not decoded.
    package var path: String { String(self.target.prefix { $0 != "?" }) }
    /// The target after the question mark, not decoded; `nil` when there is none.
    package var query: String? { self.target.firstIndex(of: "?").map { String(self.target[$0...].dropFirst()) } }
}
