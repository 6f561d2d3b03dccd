import Crypto
import Foundation
import FreshetTesting
import JSON

/// An endpoint that checks what it gets: signatures, that an id never comes with two bodies, and what it accepted in which
/// order.
final class WebhookReceiver: Sendable {
    struct Message: Sendable {
        var id: String
        var body: [UInt8]
        var number: Int
        var receivedAt: ContinuousClock.Instant

        var text: String { String(decoding: self.body, as: UTF8.self) }
        var document: Document? { try? Document(parsing: self.body) }
    }

    struct State: Sendable {
        /// Each message that was accepted, once, in the order in which they came.
        var accepted: [Message] = []
        var bodies: [String: [UInt8]] = [:]
        var requests = 0
        var problems: [String] = []
    }

    /// What the tests sign with.
    static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    static let key = Data(base64Encoded: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") ?? Data()

    let upstream: ScriptedUpstream
    let path: String
    let state = Watched(State())
    /// What the next requests are answered, in the place of 204.
    private let answers = Watched<[UpstreamResponse]>([])

    /// `answer`: what a request is answered that ``refuse(_:)`` says nothing of.
    init(
        _ upstream: ScriptedUpstream,
        at path: String = "/in",
        answer: @escaping @Sendable (UpstreamRequest) -> UpstreamResponse = { _ in .status(204) }
    ) {
        self.upstream = upstream
        self.path = path
        upstream.on(path) { [state, answers] request in
            let response = answers.update { $0.isEmpty ? nil : $0.removeFirst() } ?? answer(request)
            state.update { Self.note(request, isAccepted: (200..<300).contains(response.status), in: &$0) }
            return [.respond(response)]
        }
    }

    var url: String { self.upstream.url(self.path) }
    var accepted: [Message] { self.state.value.accepted }
    var problems: [String] { self.state.value.problems }

    /// Answers the next requests so.
    func answer(_ responses: UpstreamResponse...) {
        self.answers.update { $0 += responses }
    }

    func waitForAccepted(_ count: Int, timeout: Duration = .patience) async -> Bool {
        await self.state.wait(timeout: timeout) { $0.accepted.count >= count ? true : nil } ?? false
    }

    func waitForRequests(_ count: Int, timeout: Duration = .patience) async -> Bool {
        await self.state.wait(timeout: timeout) { $0.requests >= count ? true : nil } ?? false
    }

    private static func note(_ request: UpstreamRequest, isAccepted: Bool, in state: inout State) {
        state.requests += 1
        guard request.method == "POST", let id = request.headers["webhook-id"],
            self.isSigned(request, id)
        else {
            state.problems.append("\(request.method) \(request.path) is not signed as it should be")
            return
        }
        if let before = state.bodies.updateValue(request.body, forKey: id), before != request.body {
            state.problems.append("\(id) came with another body")
        }
        guard isAccepted, !state.accepted.contains(where: { $0.id == id }) else { return }
        let (number, time) = (request.number, request.receivedAt)
        state.accepted.append(Message(id: id, body: request.body, number: number, receivedAt: time))
    }

    /// Written apart from the gateway's own signing.
    static func isSigned(_ request: UpstreamRequest, _ id: String) -> Bool {
        guard let stamp = request.headers["webhook-timestamp"], let seconds = Double(stamp),
            abs(Date().timeIntervalSince1970 - seconds) < 300,
            let signatures = request.headers["webhook-signature"]
        else { return false }
        let text = Data("\(id).\(stamp).".utf8) + Data(request.body)
        let code = Data(HMAC<SHA256>.authenticationCode(for: text, using: SymmetricKey(data: self.key)))
        return signatures.split(separator: " ").contains { $0 == "v1,\(code.base64EncodedString())" }
    }
}

extension Gateway {
    /// Publishes a value of a source that takes pushes: `{"list":TEXT}`, and so much beside it that a patch is shorter.
    func push(_ text: String, of source: String = "orders") async throws {
        let client = try await self.client
        let rest = String(repeating: "x", count: 400)
        let body = Array("{\"list\":\(text),\"rest\":\"\(rest)\"}".utf8)
        let reply = try await client.send("POST", "/v1/admin/sources/\(source)/value", body: body)
        guard reply.status == 200 else { throw TestingError(.process, "push: \(reply.status) \(reply.text)") }
    }

    /// Pauses, resumes or tests a webhook, and returns the answer.
    func webhook(_ name: String, _ action: String) async throws -> Document {
        let reply = try await self.client.send("POST", "/v1/admin/webhooks/\(name)/\(action)")
        guard reply.status == 200 else { throw TestingError(.process, "\(action): \(reply.status) \(reply.text)") }
        return try Document(parsing: reply.body)
    }

    /// The state of a webhook.
    func webhook(_ name: String) async throws -> Value {
        let list = try await self.document("/v1/admin/webhooks").root["webhooks"]
        guard let found = list?.elements.first(where: { $0["name"]?.string == name }) else {
            throw TestingError(.missing, "no webhook \(name)")
        }
        return found
    }

    /// Waits until the list says so of a webhook.
    func waitForWebhook(_ name: String, _ isSo: (Value) -> Bool) async throws {
        let end = ContinuousClock.now + .patience
        while try await !isSo(self.webhook(name)) {
            guard ContinuousClock.now < end else {
                throw TestingError(
                    .timedOut,
                    "not so: \(String(decoding: try await self.webhook(name).text, as: UTF8.self))"
                )
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
