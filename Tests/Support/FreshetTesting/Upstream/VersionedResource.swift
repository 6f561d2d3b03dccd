/// A resource with a history: serves one version until told to go on to the next, with validators as a good API has.
///
/// Version 1 is the first of the list. `GET` with the current validator gets 304.
package final class VersionedResource: Sendable {
    /// What a version can be asked for by, when it is still the same.
    package enum Validator: Hashable, Sendable {
        /// A strong `ETag`, `"v<k>"`.
        case entityTag
        /// `Last-Modified`: version k is k seconds younger than 2026-01-01.
        case lastModified
        case none
    }

    private struct State: Sendable {
        var version = 1
        var notModified = 0
        /// How often each version was sent whole; index 0 is version 1.
        var sent: [Int]
    }

    private let versions: [[UInt8]]
    private let validator: Validator
    private let headers: HeaderFields
    private let state: Watched<State>

    /// - Parameters:
    ///   - versions: The bodies, of which there must be one at least.
    ///   - validator: What a version can be asked for by.
    ///   - headers: Sent with every answer; `Content-Type: application/json` is added unless there is one.
    package init(versions: [[UInt8]], validator: Validator = .entityTag, headers: HeaderFields = [:]) {
        precondition(!versions.isEmpty, "VersionedResource.init: no version")
        var headers = headers
        headers.appendDefault("Content-Type", "application/json")
        self.versions = versions
        self.validator = validator
        self.headers = headers
        self.state = Watched(State(sent: Array(repeating: 0, count: versions.count)))
    }

    /// The number of the version that is served now.
    package var version: Int { self.state.value.version }
    /// The body that is served now.
    package var body: [UInt8] { self.versions[self.version - 1] }
    /// How many answers carried a body.
    package var okCount: Int { self.state.value.sent.reduce(0, +) }
    /// How many answers were 304.
    package var notModifiedCount: Int { self.state.value.notModified }

    /// Goes on to the next version and returns whether there is one.
    @discardableResult
    package func advance() -> Bool {
        let count = self.versions.count
        return self.state.update { state in
            guard state.version < count else { return false }
            state.version += 1
            return true
        }
    }

    /// Goes to the version of this number, back or forth.
    package func go(to version: Int) {
        precondition(self.versions.indices.contains(version - 1), "VersionedResource.go: no version \(version)")
        self.state.update { $0.version = version }
    }

    /// Waits until version `version` has been sent whole, and returns whether it has.
    package func waitUntilSent(version: Int, timeout: Duration = .patience) async -> Bool {
        await self.state.wait(timeout: timeout) { $0.sent[version - 1] > 0 ? true : nil } ?? false
    }

    /// Waits for `count` answers of 304 in all, and returns whether they were given.
    package func waitForNotModified(count: Int, timeout: Duration = .patience) async -> Bool {
        await self.state.wait(timeout: timeout) { $0.notModified >= count ? true : nil } ?? false
    }

    /// The answer to `request`, which is counted.
    package func answer(_ request: UpstreamRequest) -> UpstreamResponse {
        self.state.update { state in
            var headers = self.headers
            if let (name, value) = self.validator(ofVersion: state.version) { headers.append(name, value) }
            if self.isCurrent(request, version: state.version) {
                state.notModified += 1
                return .status(304, headers: headers)
            }
            state.sent[state.version - 1] += 1
            return UpstreamResponse(headers: headers, body: self.versions[state.version - 1])
        }
    }

    private func validator(ofVersion version: Int) -> (String, String)? {
        switch self.validator {
        case .entityTag: ("ETag", "\"v\(version)\"")
        case .lastModified: ("Last-Modified", HTTPDate.text(secondsOf2026: version))
        case .none: nil
        }
    }

    private func isCurrent(_ request: UpstreamRequest, version: Int) -> Bool {
        guard let (_, current) = self.validator(ofVersion: version) else { return false }
        switch self.validator {
        case .entityTag: return request.headers["If-None-Match"] == current
        case .lastModified: return request.headers["If-Modified-Since"] == current
        case .none: return false
        }
    }
}

extension ScriptedUpstream {
    /// Serves `resource` at `path`.
    package func serve(_ resource: VersionedResource, at path: String) {
        self.on(path) { request in [.respond(resource.answer(request))] }
    }
}

/// Dates as HTTP writes them (RFC 9110 §5.6.7).
private enum HTTPDate {
    /// The date `seconds` after 2026-01-01T00:00:00Z, a Thursday; of the first day only.
    static func text(secondsOf2026 seconds: Int) -> String {
        let parts = [seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60]
        return "Thu, 01 Jan 2026 \(parts.map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: ":")) GMT"
    }
}
