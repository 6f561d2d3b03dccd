// Who asks: `auth` of a source. No secret is ever shown.

import Foundation
import FreshetCore
import HTTPFields

extension SourceCredentials {
    /// Kinds of which a source has one.
    private static let kinds = ["bearer", "bearer_file", "basic", "api_key", "oauth2"]

    func readAuth(of reader: SectionReader, into source: inout SourceConfiguration) {
        guard let auth = reader.section("auth", as: .sourceAuth) else { return }
        let kinds = Self.kinds.filter { auth.entry($0) != nil }
        guard kinds.count <= 1 else {
            self.context.error(
                auth.path,
                at: auth.place(of: kinds[1]),
                "\(kinds.joined(separator: " and ")) at once",
                fix: "keep one of them"
            )
            return
        }
        if kinds.isEmpty, auth.entry("certificate") == nil, auth.isBlank {
            self.context.error(
                auth.path,
                at: auth.place,
                "no credentials",
                fix: "add `bearer_file`, `basic`, `api_key`, `oauth2` or `certificate`"
            )
        }
        let names = source.headers.map { $0.name.lowercased() }
        if let basic = auth.section("basic", as: .basicAuth) {
            self.readBasic(basic, into: &source)
        } else if let key = auth.section("api_key", as: .apiKeyAuth) {
            self.readAPIKey(key, into: &source)
        } else if let oauth2 = auth.section("oauth2", as: .oauth2Auth) {
            self.readOAuth2(oauth2, into: &source)
        } else if let secret = self.secret("bearer", in: auth) {
            self.add(secret, as: .bearer, to: &source)
        }
        if let certificate = auth.section("certificate", as: .certificateAuth) {
            self.readCertificate(certificate, into: &source)
        }
        let name = source.oauth2 == nil ? source.headers.last?.name : "Authorization"
        let isAdded = source.oauth2 != nil || source.headers.count > names.count
        if let name, isAdded, names.contains(name.lowercased()) {
            self.context.error(
                auth.path,
                at: reader.place(of: "auth"),
                "the field \(name) is set as well",
                fix: "keep one of the two"
            )
        }
    }

    /// Puts a secret where it belongs, and takes note of its file.
    private func add(
        _ secret: (text: String, path: String?),
        as place: SourceConfiguration.SecretFile.Place,
        to source: inout SourceConfiguration
    ) {
        // What `headers` has of the same name stays, and is an error.
        var empty = SourceConfiguration(name: source.name, url: source.url)
        switch place {
        case .bearer, .basic, .header:
            SecretPlaces.put(secret.text, at: place, into: &empty)
            source.headers += empty.headers
        case .query, .clientSecret, .proxyPassword, .certificate:
            SecretPlaces.put(secret.text, at: place, into: &source)
        }
        if let path = secret.path { source.secretFiles.append(.init(path: path, place: place)) }
    }

    private func readBasic(_ reader: SectionReader, into source: inout SourceConfiguration) {
        guard let name = reader.scalar("username") else {
            if reader.entry("username") == nil { self.missing("username", in: reader) }
            return
        }
        guard !name.text.contains(":"), let username = self.checked(name.text, path: name.path, place: name.place)
        else {
            self.context.error(name.path, at: name.place, "a user name cannot hold a colon (RFC 7617)", fix: "check it")
            return
        }
        guard let secret = self.required("password", in: reader) else { return }
        self.add(secret, as: .basic(username: username), to: &source)
    }

    private func readAPIKey(_ reader: SectionReader, into source: inout SourceConfiguration) {
        guard let name = reader.scalar("name") else {
            if reader.entry("name") == nil { self.missing("name", in: reader) }
            return
        }
        let isQuery = (reader.choice("in", of: KeyPlace.self) ?? .default) == .query
        guard name.text.utf8.isToken else {
            self.context.error(
                name.path,
                at: name.place,
                "\(name.shown) is not a name of a header field or parameter",
                fix: "use letters, digits, - and _"
            )
            return
        }
        guard let secret = self.required("value", in: reader) else { return }
        self.add(secret, as: isQuery ? .query(name.text) : .header(name.text), to: &source)
    }

    /// `in` of an API key.
    enum KeyPlace: String, CaseIterable {
        case header, query

        static let `default` = KeyPlace.header
    }

    private func readOAuth2(_ reader: SectionReader, into source: inout SourceConfiguration) {
        let url = self.tokenURL(of: reader)
        let id = reader.scalar("client_id")
        if id == nil, reader.entry("client_id") == nil { self.missing("client_id", in: reader) }
        let secret = self.required("client_secret", in: reader)
        let audience = reader.scalar("audience")?.text
        let style = reader.choice("style", of: OAuth2.Style.self)
        let scopes = reader.list("scopes").compactMap { scope -> String? in
            guard !scope.text.isEmpty,
                scope.text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C })
            else {
                self.context.error(
                    scope.path,
                    at: scope.place,
                    "\(scope.shown) is not a scope (RFC 6749 §3.3)",
                    fix: "write a list of scopes, each without spaces"
                )
                return nil
            }
            return scope.text
        }
        guard let url, let id, let secret else { return }
        var oauth2 = OAuth2(tokenURL: url, clientID: id.text, clientSecret: "")
        oauth2.scopes = scopes
        oauth2.audience = audience
        oauth2.style = style ?? oauth2.style
        source.oauth2 = oauth2
        self.add(secret, as: .clientSecret, to: &source)
    }

    /// `https`, or `http` to this machine: the secret goes there.
    private func tokenURL(of reader: SectionReader) -> String? {
        guard let value = reader.scalar("token_url") else {
            if reader.entry("token_url") == nil { self.missing("token_url", in: reader) }
            return nil
        }
        do throws(URLText.Failure) {
            let url = try URLText(value.text)
            guard url.text.lowercased().hasPrefix("https://") || url.isLoopback else {
                self.context.error(
                    value.path,
                    at: value.place,
                    "the client's secret would go over the network in the clear",
                    fix: "write an https:// URL; http:// is for this machine alone"
                )
                return nil
            }
            return url.text
        } catch {
            self.context.error(value.path, at: value.place, error.what, fix: error.fix)
            return nil
        }
    }

    private func readCertificate(_ reader: SectionReader, into source: inout SourceConfiguration) {
        guard let certificate = self.path(of: "certificate", in: reader) else {
            if reader.entry("certificate") == nil { self.missing("certificate", in: reader) }
            return
        }
        guard reader.entry("key") == nil || self.path(of: "key", in: reader) != nil else { return }
        let key = self.path(of: "key", in: reader) ?? certificate
        source.tls.clientCertificate = .init(
            certificate: certificate,
            key: key,
            stamp: SecretPlaces.stamp(certificate, key, files: self.context.files) ?? 0
        )
        source.secretFiles += Set([certificate, key]).sorted().map { .init(path: $0, place: .certificate) }
    }

    /// The path of a file that is there.
    private func path(of key: String, in reader: SectionReader) -> String? {
        guard let value = reader.scalar(key) else { return nil }
        let path = FilePath.resolve(value.text, from: FilePath.directory(of: value.place.file))
        do throws(ConfigurationFiles.Failure) {
            let bytes = try self.context.files.read(path, SecretPlaces.maxCertificateBytes, false)
            guard String(decoding: bytes, as: UTF8.self).contains("-----BEGIN ") else {
                self.context.error(value.path, at: value.place, "\(value.shown) is not PEM", fix: "convert it to PEM")
                return nil
            }
            return path
        } catch {
            self.context.error(value.path, at: value.place, "\(value.shown) \(error.what)", fix: error.fix)
            return nil
        }
    }

    private func missing(_ key: String, in reader: SectionReader) {
        self.context.error(reader.path, at: reader.place, "no \(key)", fix: "add `\(key)`")
    }

    /// A secret that has to be there.
    func required(_ key: String, in reader: SectionReader) -> (text: String, path: String?)? {
        if reader.entry(key) != nil, reader.entry("\(key)_file") != nil {
            self.context.error(
                reader.path,
                at: reader.place(of: "\(key)_file"),
                "\(key) and \(key)_file at once",
                fix: "keep one of them"
            )
            return nil
        }
        if reader.entry(key) == nil, reader.entry("\(key)_file") == nil {
            self.context.error(reader.path, at: reader.place, "no \(key)", fix: "add `\(key)` or `\(key)_file`")
            return nil
        }
        return self.secret(key, in: reader)
    }

    /// A secret from its key, or from the file that its `_file` twin names, and then with the file's path.
    func secret(_ key: String, in reader: SectionReader) -> (text: String, path: String?)? {
        if let value = reader.scalar(key) {
            return self.nonEmpty(
                self.checked(value.text, path: value.path, place: value.place),
                path: value.path,
                place: value.place
            ).map { ($0, nil) }
        }
        guard let file = reader.scalar("\(key)_file") else { return nil }
        do throws(ConfigurationFiles.Failure) {
            let path = FilePath.resolve(file.text, from: FilePath.directory(of: file.place.file))
            let text = try SecretPlaces.secret(in: path, files: self.context.files)
            return self.nonEmpty(
                self.checked(text, path: file.path, place: file.place),
                path: file.path,
                place: file.place
            ).map { ($0, path) }
        } catch {
            self.context.error(file.path, at: file.place, "\(file.shown) \(error.what)", fix: error.fix)
            return nil
        }
    }

    private func nonEmpty(_ text: String?, path: String, place: Place) -> String? {
        guard let text else { return nil }
        guard !text.isEmpty else {
            self.context.error(path, at: place, "the secret is empty", fix: "check the variable or the file")
            return nil
        }
        return text
    }
}
