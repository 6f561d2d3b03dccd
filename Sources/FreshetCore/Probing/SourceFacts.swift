// What a probe saw of a healthy source, in one line.

import JSON

/// Facts for a person who looks at a source.
package enum SourceFacts {
    /// `2.1 ms to the first byte, 3460 bytes (711 compressed), HTTP/2, …`; `nil` where there was no value.
    package static func text(_ probe: SourceProbe) -> String? {
        guard let first = probe.first, let response = first.representation else { return nil }
        var facts: [String] = []
        if let timing = first.trace?.timing {
            if timing.dns >= 0.1 { facts.append("DNS \(self.milliseconds(timing.dns))") }
            let begun = timing.total - timing.download
            facts.append("first byte after \(self.milliseconds(begun))")
        }
        let size = response.body.count
        facts.append(
            response.wireBytes < size
                ? "\(size) bytes, \(response.wireBytes) compressed" : "\(size) bytes, not compressed"
        )
        if let version = first.trace?.version { facts.append(version) }
        if let end = probe.certificateEnd { facts.append("certificate until \(end.description.prefix(10))") }
        facts.append(self.validator(probe.verdict))
        facts.append(self.items(probe))
        facts.append(self.estimate(probe))
        return facts.joined(separator: ", ")
    }

    private static func milliseconds(_ number: Double) -> String {
        let tenths = Int((min(max(number, 0), 1e9) * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) ms"
    }

    private static func validator(_ verdict: ValidatorVerdict) -> String {
        switch verdict {
        case .absent: "no validator"
        case .works(true, _): "304 by Last-Modified"
        case .works(false, true): "304 by a weak ETag"
        case .works(false, false): "304 by ETag"
        case .useless, .unstable, .refused: "no 304"
        case .lies: "a false 304"
        case .unknown: "validator not tried, since the value changed each time"
        }
    }

    private static func items(_ probe: SourceProbe) -> String {
        guard let rule = probe.collection, let value = probe.documents.last?.value(at: rule.items) else {
            return "no items told apart"
        }
        return "\(value.count) items"
    }

    /// Requests and events of an hour, if it goes on like this.
    private static func estimate(_ probe: SourceProbe) -> String {
        var interval = probe.source.nominalInterval
        if probe.source.respectCache != .none, let fresh = probe.freshness?.freshFor { interval = max(interval, fresh) }
        let requests = 3600 / max(0.001, interval.inSeconds)
        guard probe.watched > .zero, probe.documents.count > 1 else {
            return "about \(self.count(requests)) requests an hour"
        }
        let hasNoise = probe.noise.contains(where: \.isNoise)
        let rate = Double(probe.changes) / max(0.001, probe.watched.inSeconds) * 3600
        let events = hasNoise ? requests : min(requests, rate)
        return "about \(self.count(requests)) requests and \(self.count(events)) events an hour"
    }

    private static func count(_ number: Double) -> Int { Int(min(max(number, 0), 1e12).rounded(.up)) }
}
