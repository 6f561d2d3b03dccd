// The configuration of a source that was looked at for a moment, with the reason for each line.

import HTTPFields
import JSON

/// What `init` writes about one source.
package struct SourceProposal: Hashable, Sendable {
    /// One line of the source's section, or a comment.
    package enum Line: Hashable, Sendable {
        /// A key with its value as YAML, and why.
        case key(String, String, why: String?)
        /// As ``key(_:_:why:)``, commented out: for the reader to decide.
        case option(String, String, why: String)
        case note(String)
    }

    package let name: String
    package let lines: [Line]
    /// The upstream wants to know who asks, or gave no value at all. The latter's reason is in ``failure``.
    package let needsCredential: Bool
    /// Why nothing could be learned; `nil` where there was a value, or a credential is needed.
    package let failure: UpstreamError?

    /// Where the upstream says nothing about pace.
    private static let usualInterval = Duration.seconds(10)
    private static let longestInterval = Duration.seconds(3600)

    package init(_ probe: SourceProbe) {
        let status = probe.answers.first?.response?.status
        self.name = probe.source.name
        self.needsCredential = status == 401 || status == 403
        self.failure = self.needsCredential ? nil : probe.failure
        var lines: [Line] = [.key("url", Self.quoted(probe.source.url), why: nil)]
        lines += Self.pace(probe)
        if self.needsCredential { lines += Self.credential(probe) }
        if let failure = self.failure {
            lines.append(.note("It gave no value (\(failure.kind.rawValue)): \(failure.message)"))
        }
        lines += Self.shape(probe)
        lines += Self.noise(probe)
        if !probe.documents.isEmpty { lines += Self.validators(probe) }
        self.lines = lines
    }

    // MARK: Pace

    private static func pace(_ probe: SourceProbe) -> [Line] {
        let freshness = probe.freshness
        var interval = self.usualInterval
        var why = "The upstream names no pace of its own."
        if let lifetime = freshness?.lifetime, freshness?.needsValidation == false, lifetime > interval {
            (interval, why) = (lifetime, "Its answers are fresh for \(DurationText.describe(lifetime)) (max-age).")
        }
        if let asked = freshness?.pollInterval, asked > interval {
            (interval, why) = (asked, "It asks for this pace (X-Poll-Interval).")
        }
        if let least = freshness?.quotaInterval, least > interval {
            let whole = Duration.seconds(Int64(least.inSeconds.rounded(.up)))
            (interval, why) = (whole, "What is left of its rate limit lasts at this pace.")
        }
        interval = min(interval, self.longestInterval)
        let changed = probe.changes
        if changed > 0 {
            let seen = DurationText.describe(.seconds(max(1, Int64(probe.watched.inSeconds))))
            why += " The value changed \(changed) time\(changed == 1 ? "" : "s") in \(seen)."
        }
        let text = DurationText.describe(interval)
        return [
            .key("interval", text, why: why),
            .option("interval", "adaptive", why: "Or as often as the value changes."),
        ]
    }

    // MARK: Credentials

    private static func credential(_ probe: SourceProbe) -> [Line] {
        let challenge = probe.answers.first?.response?.value(of: "www-authenticate") ?? []
        let scheme = String(decoding: challenge.prefix { $0 != 0x20 }, as: UTF8.self).lowercased()
        let file = self.quoted("secrets/\(probe.source.name)")
        let text =
            switch scheme {
            case "basic": "{ basic: { username: NAME, password_file: \(file) } }"
            case "bearer", "": "{ bearer_file: \(file) }"
            default: "{ api_key: { name: X-API-Key, value_file: \(file) } }"
            }
        let asked = scheme.isEmpty ? "without saying for what" : "for \(scheme)"
        let note =
            "The upstream refused the request and asked \(asked): put the secret into the file, and run `init` again."
        return [.option("auth", text, why: note)]
    }

    // MARK: Shape

    private static func shape(_ probe: SourceProbe) -> [Line] {
        var lines: [Line] = []
        if let format = probe.assumedFormat {
            lines.append(.key("format", format.rawValue, why: "Its Content-Type says otherwise, and the body is this."))
        }
        if let size = probe.first?.representation?.body.count, size > probe.source.maxBodyBytes / 2 {
            let mebibytes = size / (1 << 20) * 2 + 2
            lines.append(.key("max_body_bytes", "\(mebibytes)MiB", why: "The body had \(size) bytes."))
        }
        guard let document = probe.documents.last else { return lines }
        if let rule = probe.collection {
            let count = document.value(at: rule.items)?.count ?? 0
            let what = "\(count) item\(count == 1 ? "" : "s")"
            if let key = rule.key {
                lines.append(.key("items", self.quoted("\(rule.items)"), why: "\(what), identified by `key`."))
                lines.append(.key("key", self.quoted("\(key)"), why: nil))
            } else {
                lines.append(.key("items", self.quoted("\(rule.items)"), why: "\(what), each under its own name."))
            }
            let others = probe.otherCollections.map { self.quoted("\($0.items)") }
            if !others.isEmpty {
                lines.append(
                    .note("Other collections, with fewer changes or fewer items: \(others.joined(separator: ", ")).")
                )
            }
        } else {
            lines.append(.note("Nothing looks like a collection whose items can be told apart: no `items` and `key`."))
        }
        return lines + self.pages(probe, document)
    }

    private static func pages(_ probe: SourceProbe, _ document: Document) -> [Line] {
        guard probe.source.paginate == nil, let response = probe.first?.representation else { return [] }
        let items = probe.collection?.items ?? PageItems.pointer(in: document.root)
        guard let items, let list = document.value(at: items) else { return [] }
        let context = PageRule.Context(
            document: document,
            fields: response.fields,
            url: response.url ?? probe.source.url,
            count: list.count,
            countBefore: 0,
            lastItem: list.kind == .array ? list[list.count - 1] : nil
        )
        do throws(UpstreamError) {
            let rule = try PageDetection.rule(from: context)
            guard try rule.next(after: context) != nil else { return [] }
            return [.key("paginate", self.text(of: rule), why: "This is the first of several pages.")]
        } catch {
            return [.note("It seems to be one of several pages: \(error.message)")]
        }
    }

    private static func text(of rule: PageRule) -> String {
        switch rule {
        case .link: "{ style: link }"
        case .reference(let pointer): "{ style: next, next: \(self.quoted("\(pointer)")) }"
        case .token(let pointer, let parameter, nil):
            "{ style: cursor, next: \(self.quoted("\(pointer)")), param: \(self.quoted(parameter)) }"
        // What else these need to know is found out from the first page.
        case .single, .token, .lastItem, .number, .offset: "{ style: auto }"
        }
    }

    // MARK: Noise and validators

    private static func noise(_ probe: SourceProbe) -> [Line] {
        let noise = probe.noise.filter(\.isNoise).map { self.quoted("\($0.pattern)") }
        let others = probe.noise.filter { !$0.isNoise }.map { self.quoted("\($0.pattern)") }
        var lines: [Line] = []
        if !noise.isEmpty {
            let why = "These changed in every poll, and say something about the answer alone."
            lines.append(.key("ignore", "[\(noise.joined(separator: ", "))]", why: why))
        }
        if !others.isEmpty {
            let all = (noise + others).joined(separator: ", ")
            let why = "These changed in every poll too. Ignore them if they are not what the source is about."
            lines.append(.option("ignore", "[\(all)]", why: why))
        }
        return lines
    }

    private static func validators(_ probe: SourceProbe) -> [Line] {
        switch probe.verdict {
        case .absent:
            [.note("Its answers have neither ETag nor Last-Modified: every poll transfers the whole value.")]
        case .works(let isDate, let isWeak):
            [
                .note(
                    "Conditional requests work (\(isDate ? "Last-Modified" : isWeak ? "a weak ETag" : "ETag")): a poll "
                        + "without a change is answered with 304."
                )
            ]
        case .useless(true):
            [.key("accept_encoding", "identity", why: "Its ETag yields 304 only where the answer is not compressed.")]
        case .useless(false): [.note("Its ETag never yields a 304: every poll transfers the whole value.")]
        case .unstable: [.note("Its ETag changes without the value, as behind several servers; bodies are compared.")]
        case .lies: [.key("verify_every", "1", why: "It answered 304 for a value that another had replaced.")]
        case .refused(let status):
            [.note("It answers conditional requests with \(status): every poll transfers the whole value.")]
        case .unknown: [.note("Its validators could not be tried: the value changed each time.")]
        }
    }

    // MARK: YAML

    /// A text as a double-quoted scalar, in which nothing is a variable and nothing moves a cursor.
    package static func quoted(_ text: String) -> String {
        var json: [UInt8] = []
        appendJSONString(text.replacing("${", with: "$${"), to: &json)
        var quoted = ""
        for scalar in String(decoding: json, as: UTF8.self).unicodeScalars {
            switch scalar.value {
            case 0x7F...0x9F, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted
    }
}
