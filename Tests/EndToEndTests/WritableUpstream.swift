import FreshetTesting
import JSON

/// A REST API of items, written apart: `GET /orders`, and each item at `/orders/{key}` with its own tag.
final class WritableUpstream: Sendable {
    /// How it gives its tags.
    enum Tags: Sendable {
        case strong, weak, none
        /// Weak where it compresses; strong where it is asked for identity.
        case weakWhenCompressed
    }

    struct State: Sendable {
        var items: [String: Document] = [:]
        var order: [String] = []
        var versions: [String: Int] = [:]
        var version = 0
        /// Steps in the place of the answer to the next writes, after their effect where it says so.
        var faults: [(isApplied: Bool, steps: [UpstreamStep])] = []
    }

    let upstream: ScriptedUpstream
    let state = Watched(State())
    private let tags: Tags

    init(_ items: [String: String], tags: Tags = .strong) throws {
        self.upstream = try ScriptedUpstream()
        self.tags = tags
        for (key, text) in items.sorted(by: { $0.key < $1.key }) { try self.set(key, text) }
        self.upstream.on("*") { [weak self] request in self?.answer(request) ?? [] }
    }

    /// Somebody else writes.
    func set(_ key: String, _ text: String?) throws {
        let document = try text.map { try Document(parsing: Array($0.utf8)) }
        self.state.update { Self.set(key, document, &$0) }
    }

    private static func set(_ key: String, _ document: Document?, _ state: inout State) {
        state.version += 1
        state.items[key] = document
        state.versions[key] = document == nil ? nil : state.version
        if document == nil {
            state.order.removeAll { $0 == key }
        } else if !state.order.contains(key) {
            state.order.append(key)
        }
    }

    func text(_ key: String) -> String? {
        self.state.value.items[key].map { String(decoding: $0.text, as: UTF8.self) }
    }

    /// What becomes of the next write: it has its effect, or not, and these steps instead of an answer.
    func nextWrite(isApplied: Bool, _ steps: [UpstreamStep]) {
        self.state.update { $0.faults.append((isApplied, steps)) }
    }

    /// All that was asked but GETs.
    var writes: [UpstreamRequest] { self.upstream.requests.filter { $0.method != "GET" } }

    private func tag(_ version: Int, _ request: UpstreamRequest) -> String? {
        switch self.tags {
        case .strong: return "\"v\(version)\""
        case .weak: return "W/\"v\(version)\""
        case .none: return nil
        case .weakWhenCompressed:
            let isIdentity = request.headers["Accept-Encoding"].map { !$0.contains("gzip") } ?? true
            return isIdentity ? "\"v\(version)\"" : "W/\"v\(version)\""
        }
    }

    private func answer(_ request: UpstreamRequest) -> [UpstreamStep] {
        self.state.update { state -> [UpstreamStep] in
            if request.method == "GET" { return [.respond(self.read(request, state))] }
            let fault = state.faults.isEmpty ? nil : state.faults.removeFirst()
            if let fault, !fault.isApplied { return fault.steps }
            let response = self.write(request, &state)
            return fault?.steps ?? [.respond(response)]
        }
    }

    private func read(_ request: UpstreamRequest, _ state: State) -> UpstreamResponse {
        guard let key = Self.key(request) else {
            let list = state.order.compactMap { state.items[$0] }.map { String(decoding: $0.text, as: UTF8.self) }
            let tag = "\"c\(state.version)\""
            if request.headers["If-None-Match"] == tag { return .status(304, headers: ["ETag": tag]) }
            return .json("{\"orders\":[\(list.joined(separator: ","))]}", headers: ["ETag": tag])
        }
        guard state.items[key] != nil else { return .status(404) }
        return self.item(key, 200, request, state)
    }

    private func item(_ key: String, _ status: Int, _ request: UpstreamRequest, _ state: State) -> UpstreamResponse {
        var headers: HeaderFields = [:]
        if let tag = self.tag(state.versions[key] ?? 0, request) { headers.append("ETag", tag) }
        return .json(
            state.items[key].map { String(decoding: $0.text, as: UTF8.self) } ?? "",
            status: status,
            headers: headers
        )
    }

    private func write(_ request: UpstreamRequest, _ state: inout State) -> UpstreamResponse {
        let body = try? Document(parsing: request.body)
        guard let key = Self.key(request) else {
            guard request.method == "POST", let body else { return .status(405) }
            let made = "\(100 + state.version)"
            guard let id = try? Document(parsing: Array("{\"id\":\"\(made)\"}".utf8)) else { return .status(500) }
            Self.set(made, body.applying(mergePatch: id), &state)
            return self.item(made, 201, request, state)
        }
        let old = state.items[key]
        if let match = request.headers["If-Match"], old == nil || match != self.tag(state.versions[key] ?? 0, request) {
            return .status(412)
        }
        if request.headers["If-None-Match"] == "*", old != nil { return .status(412) }
        switch (request.method, request.headers["Content-Type"]) {
        case ("DELETE", _):
            guard old != nil else { return .status(404) }
            Self.set(key, nil, &state)
            return .status(204)
        case ("PUT", _):
            guard let body else { return .status(400) }
            Self.set(key, body, &state)
            return self.item(key, old == nil ? 201 : 200, request, state)
        case ("PATCH", "application/merge-patch+json"):
            guard let old, let body else { return .status(404) }
            Self.set(key, old.applying(mergePatch: body), &state)
            return self.item(key, 200, request, state)
        case ("PATCH", "application/json-patch+json"):
            guard let body, let new = try? old?.applying(patch: body) else { return .status(422) }
            Self.set(key, new, &state)
            return self.item(key, 200, request, state)
        default:
            return .status(415)
        }
    }

    private static func key(_ request: UpstreamRequest) -> String? {
        let parts = request.path.split(separator: "/")
        return parts.count == 2 ? String(parts[1]) : nil
    }
}
