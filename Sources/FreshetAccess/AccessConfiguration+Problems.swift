// What `validate` refuses in `auth`.

import FreshetCore

extension AccessConfiguration {
    /// Every mistake, in the order of the configuration; none where it can be used. Reads no file.
    package func problems() -> [AccessProblem] {
        self.keyProblems() + self.issuerProblems() + self.certificateProblems() + self.timeProblems()
    }

    private func keyProblems() -> [AccessProblem] {
        var problems: [AccessProblem] = []
        var known: [SecretHash: Int] = [:]
        for (index, key) in self.keys.enumerated() {
            let path = "auth.keys[\(index)]"
            if let text = Self.weakness(of: key.secret) {
                problems.append(AccessProblem(path: "\(path).secret_file", text: text))
            }
            if let other = known.updateValue(index, forKey: SecretHash(of: key.secret)) {
                let text =
                    "the same secret as auth.keys[\(other)]; each key needs its own, as `freshet token key` makes"
                problems.append(AccessProblem(path: "\(path).secret_file", text: text))
            }
            if key.id.isEmpty || key.id.utf8.count > TokenLimits.maxNameBytes {
                let text = "an id has 1 to \(TokenLimits.maxNameBytes) bytes"
                problems.append(AccessProblem(path: "\(path).id", text: text))
            }
            if let from = key.notBefore, let until = key.notAfter, until <= from {
                let text = "\(until) is not after not_before, \(from): the key would never be valid"
                problems.append(AccessProblem(path: "\(path).not_after", text: text))
            }
        }
        return problems
    }

    /// Why a secret is no API key.
    private static func weakness(of secret: Secret) -> String? {
        let advice = "make one with `freshet token key`"
        guard !secret.bytes.isEmpty else { return "the file is empty; \(advice)" }
        guard secret.bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return "a key is visible ASCII without spaces, or no request field can carry it; \(advice)"
        }
        guard secret.bytes.count <= TokenLimits.maxBytes else {
            return "longer than \(TokenLimits.maxBytes) bytes, more than a request may present; \(advice)"
        }
        guard SecretStrength.upperBound(secret) >= SecretStrength.minimumBits else {
            return "less than \(Int(SecretStrength.minimumBits)) bits, which can be guessed; \(advice)"
        }
        return nil
    }

    private func issuerProblems() -> [AccessProblem] {
        var problems: [AccessProblem] = []
        var known: [[UInt8]: Int] = [:]
        for (index, issuer) in self.issuers.enumerated() {
            let path = "auth.jwt[\(index)]"
            func report(_ key: String, _ text: String) {
                problems.append(AccessProblem(path: "\(path).\(key)", text: text))
            }
            if issuer.issuer.isEmpty { report("issuer", "must be what the tokens have as `iss`") }
            if issuer.audience.isEmpty { report("audience", "must be what the tokens have as `aud`") }
            if let other = known.updateValue(index, forKey: Array(issuer.issuer.utf8)) {
                report("issuer", "auth.jwt[\(other)] has the same issuer; keys of one issuer belong into one entry")
            }
            let families = Set(issuer.algorithms.map(\.family))
            if families.isEmpty {
                report("algorithms", "must name at least one, such as [ES256]")
            } else if families.contains(.hmac), families.count > 1 {
                report("algorithms", "must be either HS… or others: a public key is no secret")
            }
            self.reportKeys(of: issuer, families: families, report)
        }
        return problems
    }

    private func reportKeys(
        of issuer: TokenIssuer,
        families: Set<TokenAlgorithm.Family>,
        _ report: (String, String) -> Void
    ) {
        switch issuer.keys {
        case .url(let url):
            if !KeySetURL.isAllowed(url) {
                report("jwks_url", "must be https, or http to a loopback host: others could send their keys")
            }
            if families.contains(.hmac) {
                report("algorithms", "HS… needs secret_file: what a URL serves is no secret")
            }
        case .file:
            break
        case .secret(let secret):
            guard families == [.hmac] else {
                report("algorithms", "secret_file is for HS256, HS384 and HS512; others need jwks_url or jwks_file")
                return
            }
            if let text = SharedSecret.weakness(of: secret.bytes, for: issuer.algorithms) {
                report("secret_file", text)
            }
        }
    }

    private func certificateProblems() -> [AccessProblem] {
        var problems: [AccessProblem] = []
        var known: [[UInt8]: Int] = [:]
        for (index, holder) in self.certificates.enumerated() {
            let path = "auth.certificates[\(index)].subject"
            if holder.subject.isEmpty {
                problems.append(AccessProblem(path: path, text: "must be a certificate's subject"))
            }
            if let other = known.updateValue(index, forKey: Array(holder.subject.utf8)) {
                problems.append(AccessProblem(path: path, text: "auth.certificates[\(other)] has the same subject"))
            }
        }
        return problems
    }

    private func timeProblems() -> [AccessProblem] {
        guard self.ticketTTL < TicketLimits.minTTL || self.ticketTTL > TicketLimits.maxTTL else { return [] }
        let text = "must be between \(TicketLimits.minTTL) and \(TicketLimits.maxTTL)"
        return [AccessProblem(path: "auth.ticket_ttl", text: text)]
    }
}

/// Where key sets may come from.
enum KeySetURL {
    /// Whether it is https, or http to `localhost`, `127.0.0.0/8` or `[::1]`. What the host resolves to is the transport's
    /// to check.
    static func isAllowed(_ url: String) -> Bool {
        let bytes = Array(url.utf8)
        guard bytes.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\\") }) else { return false }
        let lower = url.lowercased()
        if lower.hasPrefix("https://") { return !self.authority(lower.dropFirst(8)).isEmpty }
        guard lower.hasPrefix("http://") else { return false }
        let authority = self.authority(lower.dropFirst(7))
        // Of `user@host` the host is not what it begins with.
        guard !authority.contains("@") else { return false }
        if authority.hasPrefix("[") { return authority == "[::1]" || authority.hasPrefix("[::1]:") }
        let host = authority.prefix { $0 != ":" }
        return host == "localhost" || self.isLoopback(host)
    }

    private static func authority(_ rest: Substring) -> Substring {
        rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    }

    /// `127.a.b.c` in the one notation that all resolvers read alike.
    private static func isLoopback(_ host: Substring) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "127" else { return false }
        return parts.allSatisfy { part in
            guard let number = UInt8(part) else { return false }
            return String(number) == part
        }
    }
}
