// What `freshet token inspect` says, as text and as JSON.

import FreshetAccess
import FreshetConfiguration
import FreshetCore
import JSON

/// A credential, or a key, as far as it may be shown.
struct CredentialReport {
    enum Kind: String {
        case token
        case privateKey = "private key"
        case publicKey = "public key"
        case keySet = "key set"
        case secret

        /// Whether a client can present it.
        var isCredential: Bool { self == .token || self == .secret }
    }

    enum Verdict {
        /// The gateway accepts it, as this caller.
        case accepted(Principal, sources: [String])
        case refused(CredentialProblem)
        /// Unknown; and why.
        case unknown(String)
        /// The configuration has no `auth`.
        case noAuth
    }

    private(set) var kind = Kind.secret
    /// What it says, in words, in the order in which it is printed.
    private var facts: [(name: String, text: String)] = []
    /// The same for programs: names and JSON.
    private var members: [(name: String, json: [UInt8])] = []
    private var times: [(name: String, time: WallTime)] = []
    var verdict: Verdict?

    // MARK: Tokens

    mutating func describe(_ token: ReadToken) {
        self.kind = .token
        let header = token.header.root
        self.facts.append(("alg", header["alg"]?.string ?? "none"))
        if let keyID = header["kid"]?.string { self.facts.append(("kid", keyID)) }
        for member in token.claims.root.members {
            if ["exp", "nbf", "iat"].contains(member.name), let time = token.time(member.name) {
                self.times.append((member.name, time))
            } else {
                let text = member.value.string ?? String(decoding: member.value.text, as: UTF8.self)
                self.facts.append((member.name, text))
            }
        }
        self.members.append(("header", token.header.text))
        self.members.append(("claims", token.claims.text))
        for (name, time) in self.times {
            self.members.append((Self.longNames[name] ?? name, Self.json(time.description)))
        }
    }

    private static let longNames = ["exp": "expires_at", "nbf": "not_before", "iat": "issued_at"]

    // MARK: Keys

    mutating func describe(_ file: KeyFile) {
        switch file {
        case .signing(let key):
            self.kind = .privateKey
            if let publicKey = key.publicKey { self.describe(publicKey, "signs") }
        case .verifying(let key):
            self.kind = .publicKey
            self.describe(key, "verifies")
        case .keySet(let entries):
            self.kind = .keySet
            self.describe(entries)
        case .secret(let secret):
            self.kind = .secret
            self.describe(secret)
        }
    }

    private mutating func describe(_ key: PublicKey, _ verb: String) {
        let algorithms = key.algorithms.map(\.rawValue)
        self.facts.append(("key", key.name))
        self.facts.append((verb, algorithms.joined(separator: ", ")))
        self.facts.append(("thumbprint", key.thumbprint))
        self.members.append(("key", Self.json(key.name)))
        self.members.append(("algorithms", Self.json(algorithms)))
        self.members.append(("jwk", key.webKey()))
    }

    private mutating func describe(_ entries: [KeyFile.SetEntry]) {
        var keys: [[UInt8]] = []
        for entry in entries {
            switch entry {
            case .usable(let key):
                let name = key.keyID.map { "kid \($0)" } ?? "no kid"
                let algorithms = key.algorithms.map(\.rawValue).joined(separator: ", ")
                self.facts.append((name, "\(key.name): verifies \(algorithms)"))
                keys.append(key.webKey())
            case .skipped(let reason):
                self.facts.append(("not used", reason))
            }
        }
        if entries.isEmpty { self.facts.append(("keys", "none")) }
        self.members.append(("keys", Array("[".utf8) + keys.joined(separator: Array(",".utf8)) + Array("]".utf8)))
    }

    private mutating func describe(_ secret: Secret) {
        let bits = SecretStrength.upperBound(secret)
        let isKey = bits >= SecretStrength.minimumBits
        let algorithms = SigningKey(secret)?.algorithms.map(\.rawValue) ?? []
        self.facts.append(("strength", "at most \(Int(bits)) bits"))
        self.facts.append(
            ("API key", isKey ? "long enough" : "too short: \(Int(SecretStrength.minimumBits)) bits are needed")
        )
        self.facts.append(
            ("signs", algorithms.isEmpty ? "nothing: too short for HS256" : algorithms.joined(separator: ", "))
        )
        self.members.append(("bits", Array("\(Int(bits))".utf8)))
        self.members.append(("is_api_key", Array("\(isKey)".utf8)))
        self.members.append(("algorithms", Self.json(algorithms)))
    }

    // MARK: As text

    func text(now: WallTime) -> String {
        var lines = [Colour.bold(self.kind.rawValue)]
        lines += self.facts.map { Self.line($0.name, $0.text) }
        lines += self.times.map { Self.line($0.name, "\($0.time), \(Self.distance(from: now, to: $0.time))") }
        lines += self.verdictLines
        return lines.joined(separator: "\n")
    }

    private var verdictLines: [String] {
        switch self.verdict {
        case nil where self.kind == .token: [Colour.yellow("Nothing of this is verified; --config does that.")]
        case nil: []
        case .noAuth: [Colour.yellow("The configuration has no auth: everybody may read, and no credential counts.")]
        case .unknown(let reason): [Colour.yellow("Not verified: \(reason).")]
        case .refused(let problem): [Colour.red("Refused: \(problem)")]
        case .accepted(let principal, let sources): Self.lines(principal, sources)
        }
    }

    private static func lines(_ principal: Principal, _ sources: [String]) -> [String] {
        var lines = [Colour.green("Accepted as \(principal.kind.rawValue) \(principal.id.escapingControls()).")]
        for (name, pattern) in self.patterns(principal) {
            let named = sources.filter(pattern.matches)
            let shown = named.prefix(20).joined(separator: ", ") + (named.count > 20 ? ", …" : "")
            let count = named.isEmpty ? "no source" : "\(named.count) of \(sources.count) sources: \(shown)"
            let text = pattern.terms.isEmpty ? "nothing" : "\(Self.text(pattern)) (\(count))"
            lines.append(self.line(name, text))
        }
        lines.append(self.line("admin", principal.grants.admin ? "yes" : "no"))
        for (name, value) in principal.grants.parameters.sorted(by: { $0.key < $1.key }) {
            lines.append(self.line("parameter", "\(name)=\(value)"))
        }
        if let end = principal.validUntil { lines.append(self.line("until", end.description)) }
        return lines
    }

    private static func patterns(_ principal: Principal) -> [(String, SourcePattern)] {
        [("read", principal.grants.read), ("write", principal.grants.write), ("publish", principal.grants.publish)]
    }

    private static func text(_ pattern: SourcePattern) -> String {
        pattern.terms.map(\.description).joined(separator: ", ")
    }

    private static func line(_ name: String, _ text: String) -> String {
        let name = name.escapingControls()
        let space = String(repeating: " ", count: max(1, 12 - name.count))
        return "  \(name)\(space)\(text.escapingControls())"
    }

    /// `in 59m58s`, or `5m ago`.
    private static func distance(from now: WallTime, to time: WallTime) -> String {
        let (difference, overflow) = time.milliseconds.subtractingReportingOverflow(now.milliseconds)
        guard !overflow, difference > .min else { return "far away" }
        let seconds = Duration.seconds(abs(difference) / 1000)
        guard seconds <= DurationText.longest else { return difference < 0 ? "long ago" : "in many years" }
        let text = DurationText.describe(seconds)
        return difference < 0 ? "\(text) ago" : "in \(text)"
    }

    // MARK: As JSON

    var json: String {
        var json = JSONWriter()
        json.object { json in
            json.member("kind", self.kind.rawValue)
            for (name, value) in self.members { json.member(name, raw: value) }
            self.writeVerdict(to: &json)
        }
        return String(decoding: json.text, as: UTF8.self)
    }

    private func writeVerdict(to json: inout JSONWriter) {
        switch self.verdict {
        case nil, .noAuth, .unknown:
            json.member("accepted", raw: Array("null".utf8))
        case .refused(let problem):
            json.member("accepted", false)
            json.member("reason", problem.reason.rawValue)
        case .accepted(let principal, let sources):
            json.member("accepted", true)
            json.member("caller", principal.kind.rawValue)
            json.member("id", principal.id)
            for (name, pattern) in Self.patterns(principal) {
                json.member(name, raw: Self.json(pattern.terms.map(\.description)))
            }
            json.member("admin", principal.grants.admin)
            json.member("sources", raw: Self.json(sources.filter(principal.grants.read.matches)))
        }
    }

    private static func json(_ text: String) -> [UInt8] {
        var json = JSONWriter()
        json.string(text)
        return json.text
    }

    private static func json(_ texts: [String]) -> [UInt8] {
        var json = JSONWriter()
        json.array { json in texts.forEach { json.string($0) } }
        return json.text
    }
}
