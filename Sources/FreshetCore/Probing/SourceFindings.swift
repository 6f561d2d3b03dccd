// What is wrong or wasteful with one source, by what its upstream answered to a probe.

import JSON

/// Findings about a source.
package enum SourceFindings {
    /// A certificate that expires sooner than this is worth a word.
    package static let certificateWarning = Duration.seconds(14 * 86_400)

    /// - Parameters:
    ///   - probe: The source and the answers.
    ///   - now: The wall clock.
    /// - Returns: None for a healthy source.
    package static func all(_ probe: SourceProbe, now: WallTime) -> [Finding] {
        let place = "sources.\(probe.source.name)"
        if let failure = probe.failure { return [self.failing(failure, probe, place)] }
        return [
            self.certificate(probe, place, now), self.validator(probe, place), self.guarding(probe, place),
            self.quota(probe, place) ?? self.freshness(probe, place), self.noise(probe, place),
            self.size(probe, place), self.slowness(probe, place),
        ].compactMap { $0 }
    }

    // MARK: The value and its way here

    private static func failing(_ failure: UpstreamError, _ probe: SourceProbe, _ place: String) -> Finding {
        let file = SourceProposal.quoted("secrets/\(probe.source.name)")
        let line: String? =
            switch failure.kind {
            case .auth: "auth: { bearer_file: \(file) }"
            case .timeout: "timeout: \(DurationText.describe(probe.source.timeout * 2))"
            case .tooLarge: "max_body_bytes: \(self.mebibytes(probe.source.maxBodyBytes * 2))"
            case .contentType: "format: json"
            case .tlsUntrusted: "tls: { ca_file: ca.pem }"
            case .emptyBody: "allow_empty: true"
            default: nil
            }
        let what = "no value (\(failure.kind.rawValue)): \(failure.message)"
        return Finding(.failing, place, what, line: line, advice: SourceProblem.fix(failure.kind))
    }

    private static func certificate(_ probe: SourceProbe, _ place: String, _ now: WallTime) -> Finding? {
        guard let end = probe.certificateEnd else { return nil }
        let left = Duration.milliseconds(end.milliseconds) - .milliseconds(now.milliseconds)
        guard left < self.certificateWarning else { return nil }
        let days = max(0, left.components.seconds / 86_400)
        return Finding(
            .certificateExpires,
            place,
            "the upstream's certificate expires at \(end), in \(days) day\(days == 1 ? "" : "s"); from then on no poll succeeds",
            advice:
                "Have the upstream's certificate renewed. Until then no line helps; from then on the last value is kept."
        )
    }

    // MARK: Validators

    private static func validator(_ probe: SourceProbe, _ place: String) -> Finding? {
        let size = probe.first?.representation?.wireBytes ?? 0
        switch probe.verdict {
        case .absent, .works, .unknown: return nil
        case .useless(true):
            return Finding(
                .etagUseless,
                place,
                "the ETag yields no 304 for compressed answers, as where a proxy adds `-gzip`: every poll transfers \(size) bytes",
                line: "accept_encoding: identity"
            )
        case .useless(false):
            return Finding(
                .etagUseless,
                place,
                "the ETag never yields a 304: every poll transfers \(size) bytes",
                line: "interval: adaptive",
                advice: "Unless the upstream can be mended, fewer polls cost less."
            )
        case .unstable:
            return Finding(
                .etagUnreliable,
                place,
                "the ETag changes although the value does not, as behind several servers: no poll is answered with 304",
                line: "interval: adaptive",
                advice: "Unless the upstream can be mended, fewer polls cost less; bodies are compared."
            )
        case .lies:
            guard probe.source.verifyEvery == nil else { return nil }
            return Finding(
                .validatorLies,
                place,
                "one ETag or Last-Modified stands for two values: changes are missed, or seen late",
                line: "verify_every: 1",
                advice: "Then every poll is unconditional."
            )
        case .refused(let status):
            return Finding(
                .conditionRefused,
                place,
                "conditional requests are answered with \(status): every poll transfers \(size) bytes",
                line: "interval: adaptive",
                advice: "The gateway asks without conditions by itself; fewer polls cost less."
            )
        }
    }

    private static func guarding(_ probe: SourceProbe, _ place: String) -> Finding? {
        guard let write = probe.source.write, write.guard == .ifMatch else { return nil }
        switch probe.verdict {
        case .works(_, isWeak: true), .absent:
            return Finding(
                .weakGuard,
                place,
                "`write.guard: if-match` needs a strong ETag, and the upstream has none: every write is refused",
                line: "write: { guard: compare }"
            )
        default: return nil
        }
    }

    // MARK: Pace

    private static func fixedInterval(_ probe: SourceProbe) -> Duration? {
        if case .fixed(let interval) = probe.source.interval { return interval }
        return nil
    }

    private static func quota(_ probe: SourceProbe, _ place: String) -> Finding? {
        guard let freshness = probe.freshness, let interval = self.fixedInterval(probe) else { return nil }
        guard let least = freshness.quotaInterval, least > interval else { return nil }
        let whole = DurationText.describe(.seconds(Int64(least.inSeconds.rounded(.up))))
        return Finding(
            .rateLimit,
            place,
            "a poll every \(DurationText.describe(interval)) uses up the upstream's rate limit before it is renewed; what is left "
                + "lasts for one every \(whole)",
            line: "interval: \(whole)"
        )
    }

    private static func freshness(_ probe: SourceProbe, _ place: String) -> Finding? {
        guard let freshness = probe.freshness, let interval = self.fixedInterval(probe) else { return nil }
        let shown = DurationText.describe(interval)
        if let asked = freshness.pollInterval, asked > interval {
            let text = DurationText.describe(asked)
            return Finding(
                .intervalShort,
                place,
                "the interval is \(shown), and the upstream asks for at least \(text) between polls (X-Poll-Interval)",
                line: "interval: \(text)"
            )
        }
        guard probe.source.respectCache != .none, !freshness.needsValidation, let lifetime = freshness.lifetime,
            lifetime > interval
        else { return nil }
        let text = DurationText.describe(lifetime)
        return Finding(
            .intervalShort,
            place,
            "the interval is \(shown), and answers are fresh for \(text) (max-age): the gateway polls every \(text)",
            line: "interval: \(text)",
            advice: "Or `respect_cache: false`, if values change sooner than the upstream says."
        )
    }

    private static func noise(_ probe: SourceProbe, _ place: String) -> Finding? {
        let noise = probe.noise.filter(\.isNoise)
        guard !noise.isEmpty else { return nil }
        let names = noise.map(\.pattern.description).joined(separator: ", ")
        let all = probe.source.ignore + noise.map(\.pattern)
        let list = all.map { SourceProposal.quoted("\($0)") }.joined(separator: ", ")
        return Finding(
            .volatile,
            place,
            "\(names) changed in every poll: each poll is an event for every subscriber",
            line: "ignore: [\(list)]"
        )
    }

    // MARK: Bounds

    private static func size(_ probe: SourceProbe, _ place: String) -> Finding? {
        let size = probe.answers.compactMap { $0.representation?.body.count }.max() ?? 0
        guard size > probe.source.maxBodyBytes / 5 * 4 else { return nil }
        return Finding(
            .largeBody,
            place,
            "the body has \(size) bytes, of at most \(probe.source.maxBodyBytes): soon polls will fail",
            line: "max_body_bytes: \(self.mebibytes(size * 2))"
        )
    }

    private static func slowness(_ probe: SourceProbe, _ place: String) -> Finding? {
        let times = probe.answers.compactMap { $0.trace?.timing.total }
        guard let longest = times.max() else { return nil }
        let text = DurationText.describe(.milliseconds(Int64(longest)))
        if longest > probe.source.timeout.inSeconds * 1000 / 2 {
            return Finding(
                .slow,
                place,
                "a request took \(text), more than half of `timeout`",
                line: "timeout: \(DurationText.describe(probe.source.timeout * 2))"
            )
        }
        guard let interval = self.fixedInterval(probe), let fastest = times.min(), fastest > interval.inSeconds * 1000
        else { return nil }
        return Finding(
            .slow,
            place,
            "every request took longer than the interval, \(text) at most: polls follow one another without a pause",
            line: "interval: \(DurationText.describe(.seconds(Int64(longest / 500) + 1)))"
        )
    }

    private static func mebibytes(_ bytes: Int) -> String {
        "\(bytes / (1 << 20) + (bytes % (1 << 20) > 0 ? 1 : 0))MiB"
    }
}

extension ExchangeTrace.Timing {
    /// Milliseconds from the start to the last byte.
    package var total: Double { self.dns + self.connect + self.tls + self.firstByte + self.download }
}
