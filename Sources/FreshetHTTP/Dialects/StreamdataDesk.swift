// Which requests of the Streamdata.io SDK are served, and what is counted of them.

package import FreshetAccess
package import FreshetCore
import Synchronization

/// Knows the tokens and the addresses that they may have polled, as the configuration in force says. Any thread.
package final class StreamdataDesk: Sendable {
    /// What the configuration says.
    package struct Rules: Sendable {
        package var tokens: StreamdataTokens
        package var allow: TargetList

        package init(tokens: StreamdataTokens, allow: TargetList) {
            self.tokens = tokens
            self.allow = allow
        }
    }

    /// Has an address polled for as long as the hold is there.
    package typealias Hold = @Sendable (StreamdataTarget) -> Result<SourceHold, InstanceRefusal>

    private struct State: Sendable {
        var rules: Rules?
        var streams = 0
        var refused: [StreamdataProblem.Kind: UInt64] = [:]
    }

    private let state = Mutex(State())
    private let make: Hold

    /// `make`: see ``Hold``. Without rules it is never called.
    package init(make: @escaping Hold = { _ in .failure(.unknown) }) {
        self.make = make
    }

    /// Requests go by these rules from now on; without any there is no such interface.
    package func update(_ rules: Rules?) {
        self.state.withLock { $0.rules = rules }
    }

    /// Whether the configuration has the interface.
    var isOpen: Bool { self.state.withLock { $0.rules != nil } }

    /// Has what a request asks for polled. `url`: as it came, with the SDK's parameters; `tokens`: of the field
    /// `X-Sd-Token`.
    ///
    /// - Returns: The instance, held.
    /// - Throws: What the client is told in its stream.
    func open(_ url: [UInt8], tokens: [String], now: WallTime) throws(StreamdataProblem) -> SourceHold {
        guard let rules = self.state.withLock({ $0.rules }) else {
            throw StreamdataProblem(.forbidden, "There is no such interface.")
        }
        let request = try StreamdataRequest(url: url, tokens: tokens)
        let token = try rules.tokens.caller(of: request, now: now)
        guard let entry = rules.allow.entry(for: request.target) else {
            throw StreamdataProblem(.forbidden, "The URL is not below one of streamdata.allow.")
        }
        guard
            let target = StreamdataTarget(request, entry: entry, token: token, hash: StreamdataTokens.fingerprint)
        else { throw StreamdataProblem(.malformed, "The URL cannot be named.") }
        switch self.make(target) {
        case .success(let hold): return hold
        case .failure(.full): throw StreamdataProblem(.busy, "As many URLs are polled as may be.")
        case .failure(.caller): throw StreamdataProblem(.busy, "As many URLs are polled for this token as may be.")
        case .failure(.unknown): throw StreamdataProblem(.malformed, "The URL cannot be polled.")
        }
    }

    /// Counts a stream in.
    func enter() { self.state.withLock { $0.streams += 1 } }
    /// Counts a stream out.
    func leave() { self.state.withLock { $0.streams -= 1 } }

    /// Counts an error that a stream was ended with.
    func refused(_ problem: StreamdataProblem) {
        self.state.withLock { $0.refused[problem.kind, default: 0] += 1 }
    }

    /// Appends the figures as Prometheus text.
    func write(to text: inout [UInt8]) {
        let (streams, refused) = self.state.withLock { ($0.streams, $0.refused) }
        text.appendMetric(
            "freshet_streamdata_streams",
            "gauge",
            "Streams of the Streamdata.io SDK.",
            [("", "\(streams)")]
        )
        text.appendMetric(
            "freshet_streamdata_errors_total",
            "counter",
            "Streams of the Streamdata.io SDK that ended with an error, by reason.",
            StreamdataProblem.Kind.allCases.map { (#"{reason="\#($0.rawValue)"}"#, "\(refused[$0] ?? 0)") }
        )
    }
}
