// Looks at a gateway through the URL that its clients use, for what stands between.

import FreshetConfiguration
import FreshetCore
import FreshetUpstream

/// One look at a gateway from outside.
struct ThroughProbe {
    let client: UpstreamClient
    /// That of the gateway as clients know it, such as `https://live.example.com`.
    let url: URLText
    /// What the requests carry, such as a key.
    let configuration: ExchangeConfiguration
    /// Origins of pages, and whether the configuration allows them.
    let origins: [(origin: String, isConfigured: Bool)]
    /// The name of a source, or `*`.
    let source: String

    /// The first event leaves the gateway at once; what takes longer than this is held back.
    static let patience = Duration.seconds(5)
    /// The most origins that are tried.
    static let maxOrigins = 16

    func run() async -> ThroughReading {
        var reading = ThroughReading(url: self.url.text, failure: nil, stream: .began, origins: [], server: nil)
        let alive = await self.request("/livez", origin: nil, isStream: false)
        switch alive.result {
        case .failure(let error): reading.failure = "no answer (\(error.kind.rawValue)): \(error.message)"
        case .success(let response) where response.status != 200:
            reading.failure = "/livez is answered with \(response.status): this is not a gateway"
        case .success(let response):
            reading.server = response.value(of: "server").map { String(decoding: $0, as: UTF8.self) }
        }
        guard reading.failure == nil else { return reading }
        let first = await self.request("/v1/streams/\(self.source)", origin: self.origins.first?.origin, isStream: true)
        reading.stream = Self.stream(first)
        for (number, origin) in self.origins.prefix(Self.maxOrigins).enumerated() {
            let end = number == 0 ? first : await self.request("/v1/gateway", origin: origin.origin, isStream: false)
            // Without a head there is nothing to say of its fields.
            guard let trace = end.trace, trace.status != nil else { continue }
            let field = trace.value(of: "access-control-allow-origin")
            reading.origins.append(
                ThroughReading.Origin(
                    origin: origin.origin,
                    allowed: field.map { String(decoding: $0, as: UTF8.self) },
                    isConfigured: origin.isConfigured
                )
            )
        }
        return reading
    }

    private func request(_ path: String, origin: String?, isStream: Bool) async -> ExchangeEnd {
        var configuration = self.configuration
        configuration.acceptEncoding = .identity
        configuration.timeout = Self.patience
        if let origin { configuration.headers.append(.init(name: "Origin", value: origin)) }
        if isStream {
            configuration.headers.append(.init(name: "Accept", value: "text/event-stream"))
            // The first event is longer than this: its arrival ends the request, which would not end otherwise.
            configuration.maxBodyBytes = 1
        }
        let base = self.url.text.hasSuffix("/") ? String(self.url.text.dropLast()) : self.url.text
        do throws(UpstreamError) {
            return await self.client.carryOut(ExchangeRequest(), to: try UpstreamURL(base + path), configuration)
        } catch {
            return ExchangeEnd(result: .failure(error), wasSent: false)
        }
    }

    /// How a stream began, by how its request ended.
    static func stream(_ end: ExchangeEnd) -> ThroughReading.Stream {
        switch end.result {
        case .success(let response) where response.status == 200: .began
        case .success(let response): .refused(response.status)
        case .failure(let error) where error.kind == .tooLarge && end.trace?.status == 200: .began
        case .failure(let error) where error.kind == .tooLarge: .refused(end.trace?.status ?? 0)
        case .failure(let error) where error.kind == .timeout:
            end.trace?.status == nil ? .silent(Self.patience) : .headOnly(Self.patience)
        case .failure(let error): .failed(error)
        }
    }
}
