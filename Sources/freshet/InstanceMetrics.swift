// What /metrics says of sources with parameters: by the template's name, and never by an instance's (CONTRACT §7).

import FreshetCore

/// What the instances of a template come to.
struct SourceFigures {
    var subscribers = 0
    var warnings: Set<String> = []

    /// The sources that the configuration names, and of the others what they come to, by template.
    static func split(_ reports: [SourceReport]) -> (named: [SourceReport], instances: [String: SourceFigures]) {
        var named: [SourceReport] = []
        var instances: [String: SourceFigures] = [:]
        for report in reports {
            guard InstanceName.isInstance(report.name) else {
                named.append(report)
                continue
            }
            let template = String(InstanceName.template(of: report.name))
            var figures = instances[template] ?? SourceFigures()
            figures.subscribers += report.subscribers
            figures.warnings.formUnion(report.status.warnings.map(\.kind.rawValue))
            instances[template] = figures
        }
        return (named, instances)
    }
}

enum InstanceMetrics {
    static func write(
        _ templates: [(template: String, count: Int, limit: Int, figures: InstanceDesk.Figures)],
        to metrics: inout MetricsText
    ) {
        guard !templates.isEmpty else { return }
        metrics.family("freshet_instances", "gauge", "Instances of a source with parameters.")
        for row in templates { metrics.sample(row.count, ("source", row.template)) }
        metrics.family("freshet_instances_limit", "gauge", "The most instances at a time (max_instances).")
        for row in templates { metrics.sample(row.limit, ("source", row.template)) }
        metrics.family("freshet_instances_made_total", "counter", "Instances that were made.")
        for row in templates { metrics.sample(row.figures.made, ("source", row.template)) }
        metrics.family("freshet_instances_forgotten_total", "counter", "Instances that were forgotten, by reason.")
        for row in templates {
            metrics.sample(row.figures.forgotten, ("source", row.template), ("reason", "linger"))
            metrics.sample(row.figures.evicted, ("source", row.template), ("reason", "evicted"))
        }
        metrics.family("freshet_instances_refused_total", "counter", "Instances that were refused, by reason.")
        for row in templates {
            for reason in InstanceRefusal.allCases where reason != .unknown {
                let count = row.figures.refused[reason] ?? 0
                metrics.sample(count, ("source", row.template), ("reason", reason.rawValue))
            }
        }
    }
}
