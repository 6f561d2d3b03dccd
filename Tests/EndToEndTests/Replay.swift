import FreshetCore
import FreshetTesting
import JSON
import Testing

/// One recording behind a gateway, advanced version by version.
final class Replay {
    let gateway: Gateway
    private let history: UpstreamHistory
    private let upstream: ScriptedUpstream
    private let resource: VersionedResource
    private let rule: ItemRule?

    /// `count`: how many of the versions, from the first. `settings`: of the gateway, before its sources.
    init(
        _ history: UpstreamHistory,
        count: Int = .max,
        interval: String = "10ms",
        settings: String = ""
    ) async throws {
        self.history = history
        self.upstream = try ScriptedUpstream()
        let types = ["csv": "text/csv", "kml": "application/vnd.google-earth.kml+xml"]
        self.resource = VersionedResource(
            versions: Array(history.bodies.prefix(count)),
            headers: ["Content-Type": types[history.fileExtension] ?? "application/json"]
        )
        self.upstream.serve(self.resource, at: "/value")
        self.rule = Self.rule(of: history)
        var source = ["url: \"\(self.upstream.url("/value"))\"", "interval: \(interval)"]
        if let rule = self.rule {
            source.append("items: \"\(rule.items)\"")
            if let key = rule.key { source.append("key: \"\(key)\"") }
        }
        self.gateway = try Gateway("\(settings)\nsources:\n  value: { \(source.joined(separator: ", ")) }")
        try await self.gateway.waitForValues(of: ["value"])
    }

    /// Where the recording's index says that keyed items are.
    private static func rule(of history: UpstreamHistory) -> ItemRule? {
        if history.fileExtension == "kml" {
            return ItemRule(items: Pointer(tokens: Self.placemarks), key: Pointer().appending("@id"))
        }
        guard history.fileExtension == "json", let path = history.recordPath, let items = Pointer(path) else {
            return nil
        }
        guard let key = history.key, key != "object member name" else { return ItemRule(items: items, key: nil) }
        return ItemRule(items: items, key: Pointer().appending(key))
    }

    /// Where a KML file has what its index calls placemarks.
    private static let placemarks = ["kml", "Document", "Folder", "Placemark"].map { Pointer.Token($0) }

    var modes: [String] { ["patch", "merge", "snapshot"] + (self.rule == nil ? [] : ["items"]) }
    var version: Int { self.resource.version }
    var upstreamCounts: (ok: Int, notModified: Int) { (self.resource.okCount, self.resource.notModifiedCount) }

    func value() async throws -> HTTPReply {
        try await self.gateway.client.get("/v1/values/value")
    }

    func follow(mode: String) async throws -> Follower {
        try await self.gateway.follow("value", mode: mode, rule: mode == "items" ? self.rule : nil)
    }

    func resume(mode: String, after start: (id: String, value: Document?)) async throws -> Follower {
        let values = start.value.map { ["value": $0] } ?? [:]
        return try await self.gateway.follow("value", mode: mode, after: start.id, holding: values)
    }

    /// Serves each version in turn. `check` is given the value that subscribers must have now, and whether it differs
    /// from the one before.
    func run(_ check: (Document, Bool) async throws -> Void) async throws {
        var previous = try Document(parsing: try await self.value().body)
        try await check(previous, false)
        while self.resource.advance() {
            let expected = try self.document(of: self.resource.body)
            if expected == previous {
                // The same value in other bytes: the poll that brings it makes no event, which the next one shows.
                #expect(await self.resource.waitUntilSent(version: self.resource.version))
                try await check(previous, false)
            } else {
                try await self.waitForValue(expected, from: previous)
                try await check(expected, true)
                previous = expected
            }
        }
    }

    /// What the gateway makes of a body. For formats other than JSON that is its own image of it, which the unit tests
    /// hold against the format's rules.
    private func document(of body: [UInt8]) throws -> Document {
        let formats: [String: SourceConfiguration.Format] = ["csv": .csv, "kml": .xml]
        let format = formats[self.history.fileExtension] ?? .json
        let items = self.rule?.items
        return try Representation.document(from: body, format: format, limits: ParseLimits(), collection: items)
    }

    private func waitForValue(_ expected: Document, from previous: Document) async throws {
        let client = try await self.gateway.client
        var reply = try await client.get("/v1/values/value")
        while try Document(parsing: reply.body) == previous {
            let etag = try #require(reply.headers["ETag"])
            reply = try await client.get("/v1/values/value?wait=20s", headers: ["If-None-Match": etag])
            try #require(reply.status == 200, "version \(self.version) did not arrive: \(self.gateway.process.errors)")
        }
        #expect(try Document(parsing: reply.body) == expected)
    }
}
