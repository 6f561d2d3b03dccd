// The requests of writes: what goes to the upstream beside the body, and in whose name.

import FreshetCore
import FreshetUpstream
import Synchronization
import Tracing

/// Sends the exchanges of writes. Any thread.
final class WriteClient: Sendable {
    private let configuration: CurlTransport.Configuration
    private let tracer: (any Tracer)?
    /// Made with the first request.
    private let client = Mutex<UpstreamClient?>(nil)

    init(userAgent: String, tracer: (any Tracer)?) {
        self.tracer = tracer
        var configuration = CurlTransport.Configuration()
        configuration.userAgent = userAgent
        self.configuration = configuration
    }

    func carryOut(
        _ exchange: WriteExchange,
        of request: WriteRequest,
        by policy: WritePolicy,
        _ lease: WriteLease
    ) async -> Result<ExchangeResponse, WriteFailure> {
        guard let tracer = self.tracer else { return await self.send(exchange, of: request, by: policy, lease) }
        let traced = TracedExchange(exchange, of: request, by: tracer)
        let result = await self.send(exchange, of: request, by: policy, lease, traced.fields)
        traced.end(result)
        return result
    }

    /// `fields` stand in the place of forwarded ones of the same names.
    private func send(
        _ exchange: WriteExchange,
        of request: WriteRequest,
        by policy: WritePolicy,
        _ lease: WriteLease,
        _ fields: [SourceConfiguration.Field] = []
    ) async -> Result<ExchangeResponse, WriteFailure> {
        let end: ExchangeEnd
        do throws(UpstreamError) {
            let client = try self.sharedClient()
            let url = try UpstreamURL(Self.url(of: exchange, by: policy, lease.configuration))
            var configuration = Self.configuration(exchange, of: request, by: policy, lease)
            configuration.headers.removeAll { header in
                fields.contains { $0.name.lowercased() == header.name.lowercased() }
            }
            var sent = ExchangeRequest(exchange.method.upstream, body: exchange.body)
            sent.fields = fields
            end = await client.carryOut(sent, to: url, configuration)
        } catch {
            return .failure(.notSent(error))
        }
        switch end.result {
        case .success(let response): return .success(response)
        case .failure(let error): return .failure(end.wasSent ? .cut(error) : .notSent(error))
        }
    }

    private func sharedClient() throws(UpstreamError) -> UpstreamClient {
        try self.client.withLock { (client) throws(UpstreamError) in
            if let client { return client }
            let made = try UpstreamClient(configuration: self.configuration)
            client = made
            return made
        }
    }

    private static func url(
        of exchange: WriteExchange,
        by policy: WritePolicy,
        _ source: SourceConfiguration
    ) throws(UpstreamError) -> String {
        switch exchange.target {
        case .value: return source.url
        case .item(let key):
            guard let url = policy.itemURL(for: key) else {
                throw UpstreamError(.policy, "the item has no URL; set write.item_url")
            }
            return url
        }
    }

    /// Fields of the source that prove nothing, and go along whoever is asked for.
    private static let neutral: Set<String> = ["accept", "accept-language", "user-agent"]
    /// Fields that follow from the write.
    private static let own: Set<String> = ["content-type", "if-match", "if-none-match", "idempotency-key"]

    static func configuration(
        _ exchange: WriteExchange,
        of request: WriteRequest,
        by policy: WritePolicy,
        _ lease: WriteLease
    ) -> ExchangeConfiguration {
        var configuration = ExchangeConfiguration(lease.configuration)
        configuration.takesEveryBody = true
        configuration.redirects = nil
        // A tag of a compressed form guards nothing.
        configuration.acceptEncoding = .identity
        var fields = (lease.configuration.headers + lease.fields).filter { !self.own.contains($0.name.lowercased()) }
        if policy.isInCallersName {
            // In the caller's name alone: never with the caller's credentials and the source's own.
            fields = fields.filter { self.neutral.contains($0.name.lowercased()) }
            configuration.query = []
            configuration.tls.clientCertificate = nil
        }
        if !policy.forward.isEmpty {
            fields += request.fields.filter { policy.forward.contains($0.name.lowercased()) }
        }
        func add(_ name: String, _ value: String?) {
            if let value { fields.append(SourceConfiguration.Field(name: name, value: value)) }
        }
        if !fields.contains(where: { $0.name.lowercased() == "accept" }) { add("Accept", "application/json") }
        add("Content-Type", exchange.contentType)
        add("If-Match", exchange.ifMatch.map { String(decoding: $0, as: UTF8.self) })
        add("If-None-Match", exchange.isCreation && exchange.method == .put ? "*" : nil)
        add("Idempotency-Key", exchange.idempotencyKey)
        configuration.headers = fields
        return configuration
    }
}

extension WriteExchange.Method {
    fileprivate var upstream: ExchangeRequest.Method {
        switch self {
        case .get: .get
        case .put: .put
        case .patch: .patch
        case .delete: .delete
        case .post: .post
        }
    }
}

/// What upstreams said last of what they hold, of a bounded number of values and items.
struct UpstreamVersions {
    struct Place: Hashable {
        var source: SourceID
        /// `nil` for the whole value.
        var key: String?
    }

    /// The most of them, twice: in this sweep and in the one before.
    static let maxPlaces = 10_000

    private var versions: [Place: UpstreamVersion] = [:]
    private var recent: [Place: UpstreamVersion] = [:]

    subscript(place: Place) -> UpstreamVersion? {
        get { self.recent[place] ?? self.versions[place] }
        set {
            self.versions[place] = nil
            self.recent[place] = newValue
            guard self.recent.count >= Self.maxPlaces else { return }
            self.versions = self.recent
            self.recent = [:]
        }
    }
}
