// Limits of polling that hold for all gateways of a cluster together: where sources may be for that.

import FreshetCluster
import FreshetCore
import FreshetUpstream

enum ClusterLimits {
    /// Where each source may be polled, by its name or that of its template. Sources that one poll serves go together.
    /// `hostConcurrency`: requests at a time that one host is asked by all gateways.
    static func rules(of sources: [SourceConfiguration], hostConcurrency: Int) -> [String: PlacementRule] {
        var firsts: [PollIdentity: String] = [:]
        var rules: [String: PlacementRule] = [:]
        for source in sources.sorted(by: { $0.name < $1.name }) where source.isPolled {
            // Of a template no instance has another host, and each asks for itself.
            let url = source.template.map { $0.example(of: source).url } ?? source.url
            guard let origin = Origin(url) else { continue }
            var key = source.name
            if source.template == nil {
                let identity = PollIdentity(source)
                key = firsts[identity] ?? source.name
                firsts[identity] = key
            }
            rules[source.name] = PlacementRule(key: key, host: origin.description, maxNodes: hostConcurrency)
        }
        return rules
    }
}
