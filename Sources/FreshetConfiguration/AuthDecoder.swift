// From nodes to the section `auth`: who may do what, and how it is proved (CONTRACT §8).

import FreshetAccess
import FreshetCore
import HTTPFields

/// Decodes `auth`. What is wrong is reported to the context; the gateway does not start then.
struct AuthDecoder {
    let context: DecodingContext

    /// Entries of one list.
    static let maxEntries = 10_000

    func decode(_ reader: SectionReader) -> GatewayConfiguration.Auth {
        var auth = GatewayConfiguration.Auth()
        if let anonymous = reader.section("anonymous", as: .authAnonymous) {
            auth.access.anonymous = self.grants(anonymous)
        }
        auth.access.keys = self.entries("keys", in: reader, as: .authKey, self.key)
        auth.access.issuers = self.entries("jwt", in: reader, as: .authIssuer, self.issuer)
        auth.access.certificates = self.entries("certificates", in: reader, as: .authCertificate, self.certificate)
        if let file = reader.scalar("deny_file") {
            auth.access.denyFile = FilePath.resolve(file.text, from: FilePath.directory(of: file.place.file))
        }
        let ttl = TicketLimits.minTTL...TicketLimits.maxTTL
        auth.access.ticketTTL = reader.duration("ticket_ttl", in: ttl) ?? auth.access.ticketTTL
        auth.cookie = self.cookie(reader)
        auth.allowsQueryToken = reader.flag("query_token") ?? auth.allowsQueryToken
        for problem in auth.access.problems() {
            self.context.error(problem.path, at: reader.place, problem.text, fix: nil)
        }
        return auth
    }

    private func entries<Entry>(
        _ name: String,
        in reader: SectionReader,
        as section: SettingSection,
        _ decode: (SectionReader) -> Entry?
    ) -> [Entry] {
        let fix = "let an issuer make tokens instead: auth.jwt"
        return reader.entries(name, as: section, atMost: Self.maxEntries, orElse: fix, decode)
    }

    private func key(_ reader: SectionReader) -> APIKey? {
        let grants = self.grants(reader)
        let (notBefore, notAfter) = (self.time("not_before", in: reader), self.time("not_after", in: reader))
        guard let id = self.required("id", in: reader), let secret = self.secret(in: reader) else { return nil }
        return APIKey(id: id.text, secret: secret, grants: grants, notBefore: notBefore, notAfter: notAfter)
    }

    private func certificate(_ reader: SectionReader) -> CertificateHolder? {
        let grants = self.grants(reader)
        return self.required("subject", in: reader).map { CertificateHolder(subject: $0.text, grants: grants) }
    }

    /// Refuses certificates where nothing asks clients for theirs.
    func check(_ auth: GatewayConfiguration.Auth, _ reader: SectionReader, tls: ConfigurationNode?) {
        guard !auth.access.certificates.isEmpty else { return }
        if case .mapping(let entries)? = tls?.content, entries.contains(where: { $0.key == "client_ca" }) { return }
        self.context.error(
            SectionReader.join(reader.path, "certificates"),
            at: reader.place(of: "certificates"),
            "no tls.client_ca: no client is asked for its certificate",
            fix: "add `client_ca` to `tls`, or remove `certificates`"
        )
    }

    private func issuer(_ reader: SectionReader) -> TokenIssuer? {
        let issuer = self.required("issuer", in: reader)
        let audience = self.required("audience", in: reader)
        var algorithms: Set<TokenAlgorithm> = []
        for value in reader.list("algorithms") {
            if let algorithm = TokenAlgorithm(rawValue: value.text) {
                algorithms.insert(algorithm)
            } else {
                let names = TokenAlgorithm.allCases.map(\.rawValue)
                let near = Spelling.nearest(to: value.text, among: names).map { "did you mean \($0)?" }
                self.context.error(
                    value.path,
                    at: value.place,
                    "\(value.shown) is not a signature algorithm",
                    fix: near ?? "write one of \(names.joined(separator: ", "))"
                )
            }
        }
        guard let keys = self.keys(in: reader), let issuer, let audience else { return nil }
        return TokenIssuer(issuer: issuer.text, audience: audience.text, algorithms: algorithms, keys: keys)
    }

    private func keys(in reader: SectionReader) -> TokenIssuer.Keys? {
        let names = ["jwks_url", "jwks_file", "secret_file"].filter { reader.entry($0) != nil }
        guard names.count == 1, let name = names.first else {
            self.context.error(
                reader.path,
                at: reader.place,
                names.isEmpty ? "no keys" : "\(names.joined(separator: " and ")) at once",
                fix: names.isEmpty ? "add `jwks_url`, `jwks_file` or `secret_file`" : "keep one of them"
            )
            return nil
        }
        switch name {
        case "secret_file": return self.secret(in: reader).map { .secret($0) }
        case "jwks_file":
            return reader.scalar(name).map { value in
                .file(FilePath.resolve(value.text, from: FilePath.directory(of: value.place.file)))
            }
        case _: return reader.scalar(name).map { .url($0.text) }
        }
    }

    private func required(_ key: String, in reader: SectionReader) -> ScalarValue? {
        if reader.entry(key) == nil {
            self.context.error(reader.path, at: reader.place, "no \(key)", fix: "add `\(key)`")
        }
        return reader.scalar(key)
    }

    private func secret(in reader: SectionReader) -> Secret? {
        guard let file = self.required("secret_file", in: reader) else { return nil }
        do throws(ConfigurationFiles.Failure) {
            let path = FilePath.resolve(file.text, from: FilePath.directory(of: file.place.file))
            return Secret(fileContent: try self.context.files.read(path, SourceCredentials.maxSecretBytes, false))
        } catch {
            self.context.error(file.path, at: file.place, "\(file.shown) \(error.what)", fix: error.fix)
            return nil
        }
    }

    /// The grants that an entry gives.
    private func grants(_ reader: SectionReader) -> Grants {
        Grants(
            read: self.pattern("read", in: reader),
            write: self.pattern("write", in: reader),
            publish: self.pattern("publish", in: reader),
            admin: reader.section.setting(named: "admin") == nil ? false : reader.flag("admin") ?? false,
            parameters: [:]
        )
    }

    private func pattern(_ key: String, in reader: SectionReader) -> SourcePattern {
        var terms: [SourceSelector.Term] = []
        for value in reader.list(key) {
            if let selector = SourceSelector(value.text), selector.terms.count == 1 {
                terms += selector.terms
            } else {
                self.context.error(
                    value.path,
                    at: value.place,
                    "\(value.shown) names no sources",
                    fix: "write a source's name, the beginning of names and *, or \"*\""
                )
            }
        }
        guard terms.count <= SourceSelector.maxTerms else {
            self.context.error(
                SectionReader.join(reader.path, key),
                at: reader.place(of: key),
                "\(terms.count) patterns, more than the maximum of \(SourceSelector.maxTerms)",
                fix: "name several sources by their beginning and *"
            )
            return .none
        }
        return SourcePattern(terms)
    }

    private func time(_ key: String, in reader: SectionReader) -> WallTime? {
        guard let value = reader.scalar(key) else { return nil }
        guard let time = WallTime(rfc3339: value.text) else {
            self.context.error(
                value.path,
                at: value.place,
                "\(value.shown) is not a time",
                fix: "write one such as 2027-01-01T00:00:00Z (RFC 3339)"
            )
            return nil
        }
        return time
    }

    /// The name of the cookie that may hold a credential (RFC 6265 §4.1.1: a token).
    private func cookie(_ reader: SectionReader) -> String? {
        guard let value = reader.scalar("cookie") else { return nil }
        guard value.text.utf8.isToken, value.text.utf8.count <= 256 else {
            self.context.error(
                value.path,
                at: value.place,
                "\(value.shown) is not the name of a cookie",
                fix: "write one such as __Secure-freshet"
            )
            return nil
        }
        return value.text
    }
}
