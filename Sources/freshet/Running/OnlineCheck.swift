// `validate --online`: each source is polled once, as the gateway would.

import FreshetConfiguration
import FreshetCore
import FreshetPolling
import JSON

/// What one poll of a source gave.
struct OnlineFinding: Hashable, Sendable {
    var source: String
    /// For a person.
    var text: String
    var isFine: Bool
}

enum OnlineCheck {
    /// Polls every source that has a URL once, at the same time as far as `polling` allows.
    ///
    /// - Returns: What came of it, in the order of the configuration.
    /// - Throws: ``StartFailure`` where polling is impossible.
    static func run(_ configuration: GatewayConfiguration) async throws(StartFailure) -> [OnlineFinding] {
        var generator = SystemRandomNumberGenerator()
        let hub = Hub(log: ChangeLog(epoch: .random(using: &generator), cache: ChangeCache(maxBytes: 0)))
        let poller: Poller
        do throws(UpstreamError) {
            poller = try Poller(hub: hub, configuration: configuration.pollerConfiguration)
            try poller.start()
        } catch {
            throw StartFailure("Polling is impossible: \(error.message)")
        }
        defer { poller.stop() }
        let registry = SourceRegistry(hub: hub, poller: poller)
        try registry.apply(configuration.sources)
        let ids = registry.ids
        let findings = await withTaskGroup(of: OnlineFinding.self) { group in
            for source in configuration.sources where source.isPolled && source.template == nil {
                guard let id = ids[source.name] else { continue }
                group.addTask { await Self.check(source.name, id, hub: hub, poller: poller) }
            }
            return await group.reduce(into: [String: OnlineFinding]()) { $0[$1.source] = $1 }
        }
        return configuration.sources.compactMap { source in
            guard source.template != nil else { return findings[source.name] }
            let text = "not polled: it has parameters, and each instance is polled while it is read"
            return OnlineFinding(source: source.name, text: text, isFine: true)
        }
    }

    private static func describe(_ collection: SourceCollection) -> String {
        let place = collection.rule.items.isEmpty ? "items at the top" : "items at \(collection.rule.items)"
        let key = collection.rule.key.map { "by \($0)" } ?? "by member name"
        return "\(place) \(key) (\(collection.isGuessed ? "guessed" : "configured"))"
    }

    private static func check(_ name: String, _ id: SourceID, hub: Hub, poller: Poller) async -> OnlineFinding {
        do throws(UpstreamError) {
            _ = try await poller.poll(id)
            guard let report = hub.report(of: id), let version = report.version else {
                return OnlineFinding(source: name, text: "no value", isFine: false)
            }
            let root = version.document.root
            let size = SizeText.approximate(version.document.text.count)
            let shape =
                switch root.kind {
                case .array: "a list of \(root.count)"
                case .object: "an object of \(root.count) members"
                default: "a single value"
                }
            let validators = report.status.validators
            let conditional =
                validators.isEmpty ? "no ETag and no Last-Modified" : validators.etag == nil ? "Last-Modified" : "ETag"
            let items = report.status.collection.map { Self.describe($0) } ?? "no items told apart"
            let text = "fine: \(shape), \(size), \(conditional), \(items)"
            return OnlineFinding(source: name, text: text, isFine: true)
        } catch {
            return OnlineFinding(source: name, text: "\(error.kind.rawValue): \(error.message)", isFine: false)
        }
    }
}
