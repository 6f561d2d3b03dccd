import Dispatch
import FreshetCore
import FreshetTesting
import System

@testable import FreshetPolling
@testable import FreshetUpstream

/// A real transport with sources of a test's choosing, polled one after another.
///
/// `@unchecked Sendable`: the transport is touched on the serial queue only.
final class TransportProbe: @unchecked Sendable {
    private let queue = DispatchQueue(label: "transport-probe")
    private var loop: (reactor: Reactor, transport: CurlTransport)?
    private var sources = 0
    private let configuration: CurlTransport.Configuration

    init(maxConnectionAge: Duration = .seconds(600)) {
        var configuration = CurlTransport.Configuration()
        configuration.maxConnectionAge = maxConnectionAge
        // Each poll is of a source of its own, whose first answer would be believed over a fresh connection only.
        configuration.minSilentAnswers = 0
        self.configuration = configuration
    }

    /// Makes a source known and polls it once. The connections are those that earlier polls left.
    func poll(
        _ url: String,
        validators: Validators = Validators(),
        configure: @escaping @Sendable (inout SourceConfiguration) -> Void = { _ in }
    ) async -> Result<ExchangeResponse, UpstreamError> {
        await withCheckedContinuation { continuation in
            self.queue.async {
                continuation.resume(returning: self.run(url, PollRequest(validators: validators), configure))
            }
        }
    }

    private func run(
        _ url: String,
        _ request: PollRequest,
        _ configure: (inout SourceConfiguration) -> Void
    ) -> Result<ExchangeResponse, UpstreamError> {
        do {
            let (reactor, transport) = try self.prepared()
            var configuration = SourceConfiguration(name: "probe", url: url)
            configuration.timeout = .patience
            configure(&configuration)
            self.sources += 1
            let exchange = ExchangeID(rawValue: self.sources)
            try transport.add(
                exchange,
                url: UpstreamURL(configuration.url),
                configuration: ExchangeConfiguration(configuration)
            )
            defer { transport.remove(exchange) }
            transport.start(exchange, ExchangeRequest(request, of: configuration), now: .now)
            while true {
                if let end = transport.takeCompletions(now: .now).first { return end.result }
                if transport.deadline <= .now {
                    transport.timerFired(now: .now)
                } else {
                    reactor.wait(
                        until: transport.deadline,
                        now: .now,
                        ready: { transport.socketReady($0, $1) },
                        disturbed: { transport.socketDisturbed($0) }
                    )
                }
            }
        } catch {
            return .failure(error)
        }
    }

    private func prepared() throws(UpstreamError) -> (reactor: Reactor, transport: CurlTransport) {
        if let loop = self.loop { return loop }
        let reactor = try Reactor(wakeUp: UpstreamError.wrapping(WakeUp.init))
        let loop = (reactor, try CurlTransport(reactor: reactor, configuration: self.configuration))
        self.loop = loop
        return loop
    }
}

extension Result where Success == ExchangeResponse, Failure == UpstreamError {
    /// The kind of the failure; `nil` for a response.
    var kind: UpstreamError.Kind? {
        switch self {
        case .success: nil
        case .failure(let error): error.kind
        }
    }

    var response: ExchangeResponse? { try? self.get() }

    var body: String? { self.response.map { String(decoding: $0.body, as: UTF8.self) } }
}
