// One message as one request: POST, signed anew each time, never redirected, of whose answer only the head counts.

import FreshetCore
import FreshetUpstream

/// Makes the requests of one endpoint. A value; any thread.
struct WebhookSender: Sendable {
    /// `nil` where the URL is none, which the configuration does not admit.
    private let line: UpstreamLine?
    private let signer: WebhookSigner

    init(_ configuration: WebhookConfiguration) {
        self.signer = WebhookSigner(configuration.secrets)
        var exchange = ExchangeConfiguration(
            headers: [SourceConfiguration.Field(name: "Content-Type", value: configuration.contentType)],
            timeout: configuration.timeout,
            // It is not taken: how much of it is read and dropped, the transfer bounds.
            maxBodyBytes: 1 << 40,
            acceptEncoding: .identity,
            denyPrivate: configuration.denyPrivate,
            redirects: nil
        )
        exchange.takesNoBody = true
        exchange.keepsTrace = false
        self.line = (try? UpstreamURL(configuration.url)).map { UpstreamLine($0, exchange) }
    }

    /// Begins to send a message, signed with the time `now`. `then` is called once, on the thread of `requests`, or inside of
    /// this call.
    func send(
        _ message: WebhookTry,
        by requests: RequestTable,
        now: WallTime,
        then: @escaping (WebhookOutcome) -> Void
    ) {
        guard let line = self.line else {
            return then(WebhookOutcome(UpstreamError(.policy, "not an absolute http:// or https:// URL")))
        }
        let signature = self.signer.signature(id: message.id, timestamp: now.seconds, body: message.body)
        // A message may come twice, and its id says so: a request that a closed connection swallowed is sent again.
        var request = ExchangeRequest(.post, body: message.body, isQuery: true)
        request.holdsAnswer = false
        request.fields = [
            SourceConfiguration.Field(name: "webhook-id", value: message.id),
            SourceConfiguration.Field(name: "webhook-timestamp", value: "\(now.seconds)"),
            SourceConfiguration.Field(name: "webhook-signature", value: signature),
        ]
        requests.send(request, over: line) { end in
            switch end.result {
            case .success(let response):
                let retryAfter = response.value(of: "retry-after")
                then(WebhookOutcome(status: response.status, retryAfter: retryAfter, now: .now))
            case .failure(let error):
                then(WebhookOutcome(error))
            }
        }
    }
}
