// Gets tokens of OAuth 2 for the poll thread, on a thread of its own, so that a slow token endpoint delays no poll.

import FreshetCore
import FreshetUpstream
import Synchronization

/// Asks token endpoints: one request at a time for each credential, however many sources want it (CONTRACT §10). Any thread
/// may call.
final class TokenKeeper: Sendable {
    private struct Entry: Sendable {
        var machine = TokenStateMachine()
        var task: Task<Void, Never>?
    }

    private struct State: Sendable {
        var entries: [OAuth2: Entry] = [:]
        /// Made with the first request.
        var client: UpstreamClient?
        var isStopped = false
    }

    private let inbox: LaneInbox
    private let configuration: CurlTransport.Configuration
    private let state = Mutex(State())

    /// From the start of a request to the end of its answer.
    private static let timeout = Duration.seconds(10)
    /// Of an answer.
    private static let maxBodyBytes = 64 << 10

    /// Tokens and failures are posted to `inbox`.
    init(inbox: LaneInbox, userAgent: String) {
        self.inbox = inbox
        self.configuration = {
            var configuration = CurlTransport.Configuration()
            configuration.userAgent = userAgent
            return configuration
        }()
    }

    /// Somebody polls and has no token, or one that is to be replaced.
    func want(_ credential: OAuth2, now: MonotonicTime) {
        self.begin(credential) { $0.wanted(now: now) }
    }

    /// The upstream refused the token of this number.
    func refused(_ credential: OAuth2, number: Int) {
        self.begin(credential) { $0.refused(number: number) }
    }

    /// No source has the credential any more.
    func forget(_ credential: OAuth2) {
        let task = self.state.withLock { $0.entries.removeValue(forKey: credential)?.task }
        task?.cancel()
    }

    /// Ends all requests. Final.
    func stop() {
        let (tasks, client) = self.state.withLock { state in
            state.isStopped = true
            defer {
                state.entries = [:]
                state.client = nil
            }
            return (state.entries.values.compactMap(\.task), state.client)
        }
        for task in tasks { task.cancel() }
        // Its thread is joined here, unless a task that ends still holds it.
        _ = client
    }

    private func begin(_ credential: OAuth2, where isNeeded: (inout TokenStateMachine) -> Bool) {
        self.state.withLock { state in
            guard !state.isStopped else { return }
            var entry = state.entries[credential] ?? Entry()
            if isNeeded(&entry.machine) { entry.task = Task { await self.ask(credential) } }
            state.entries[credential] = entry
        }
    }

    /// Asks until there is a token.
    private func ask(_ credential: OAuth2) async {
        while !Task.isCancelled {
            let wait: Duration
            do throws(UpstreamError) {
                let grant = try await self.grant(credential)
                let lease = self.state.withLock { $0.entries[credential]?.machine.granted(grant) }
                if let lease { self.inbox.post(.token(credential, .success(lease))) }
                return
            } catch {
                guard !Task.isCancelled else { return }
                var generator = SystemRandomNumberGenerator()
                let retryAfter = self.state.withLock {
                    $0.entries[credential]?.machine.failed(retryAfter: nil, using: &generator)
                }
                guard let retryAfter else { return }
                wait = retryAfter
                self.inbox.post(.token(credential, .failure(error)))
            }
            try? await Task.sleep(for: wait)
        }
    }

    private func grant(_ credential: OAuth2) async throws(UpstreamError) -> TokenGrant {
        let client = try self.client()
        let url = try UpstreamURL(credential.tokenURL)
        let request = credential.tokenRequest
        // The token endpoint is told the secret, so it is the one that is configured, and redirects are not followed.
        let configuration = ExchangeConfiguration(
            headers: request.fields,
            timeout: Self.timeout,
            maxBodyBytes: Self.maxBodyBytes,
            denyPrivate: credential.denyPrivate,
            tls: credential.tls,
            route: credential.route
        )
        self.state.withLock { $0.entries[credential]?.machine.asked(now: .now) }
        self.inbox.metrics.withLock { $0.tokenRequests += 1 }
        do throws(UpstreamError) {
            let answer = try await client.send(ExchangeRequest(.post, body: request.body), to: url, configuration)
            return try TokenGrant(status: answer.status, body: answer.body)
        } catch {
            self.inbox.metrics.withLock { $0.tokenFailures += 1 }
            throw UpstreamError(error.kind, "no token from \(url.origin): \(error.message)")
        }
    }

    private func client() throws(UpstreamError) -> UpstreamClient {
        try self.state.withLock { (state) throws(UpstreamError) in
            if let client = state.client { return client }
            guard !state.isStopped else { throw UpstreamError(.internal, "the gateway is stopping") }
            let client = try UpstreamClient(configuration: self.configuration)
            state.client = client
            return client
        }
    }
}

extension OAuth2 {
    /// The request for a token (RFC 6749 §4.4.2).
    var tokenRequest: (fields: [SourceConfiguration.Field], body: [UInt8]) {
        var parameters = [("grant_type", "client_credentials")]
        if !self.scopes.isEmpty { parameters.append(("scope", self.scopes.joined(separator: " "))) }
        if let audience = self.audience { parameters.append(("audience", audience)) }
        var fields = [
            SourceConfiguration.Field(name: "Content-Type", value: "application/x-www-form-urlencoded"),
            SourceConfiguration.Field(name: "Accept", value: "application/json"),
        ]
        switch self.style {
        case .post: parameters += [("client_id", self.clientID), ("client_secret", self.clientSecret)]
        case .basic:
            // Both are encoded as in a form before they are joined (RFC 6749 §2.3.1).
            let pair = "\(URLQuery.encoded(self.clientID)):\(URLQuery.encoded(self.clientSecret))"
            fields.append(.init(name: "Authorization", value: "Basic " + Base64.encoded(pair.utf8)))
        }
        let form = parameters.map { "\($0)=\(URLQuery.encoded($1))" }.joined(separator: "&")
        return (fields, Array(form.utf8))
    }
}

/// RFC 4648 §4. The room has no Foundation.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encoded(_ bytes: some Sequence<UInt8>) -> String {
        let bytes = Array(bytes)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits: UInt32 = 0
            for byte in group { bits = bits << 8 | UInt32(byte) }
            bits <<= UInt32(8 * (3 - group.count))
            for place in 0..<4 {
                let index = Int(bits >> UInt32(18 - 6 * place) & 0x3F)
                text.append(place <= group.count ? self.alphabet[index] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
