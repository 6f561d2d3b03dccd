// Secrets in files: where each of them goes, and how they are read again (FAULTS F30, F85).

import Foundation
package import FreshetCore

/// Puts secrets into a source.
package enum SecretPlaces {
    /// The largest secret in a file.
    static let maxSecretBytes = 64 << 10
    /// The largest file of certificates.
    static let maxCertificateBytes = 4 << 20

    /// Puts a secret where it belongs, in the place of an earlier one.
    static func put(
        _ secret: String,
        at place: SourceConfiguration.SecretFile.Place,
        into source: inout SourceConfiguration
    ) {
        switch place {
        case .bearer: self.set("Authorization", "Bearer \(secret)", in: &source.headers)
        case .basic(let username):
            let pair = Data("\(username):\(secret)".utf8).base64EncodedString()
            self.set("Authorization", "Basic \(pair)", in: &source.headers)
        case .header(let name): self.set(name, secret, in: &source.headers)
        case .query(let name): self.set(name, secret, in: &source.query)
        case .clientSecret: source.oauth2?.clientSecret = secret
        case .proxyPassword:
            guard case .proxy(var proxy) = source.route else { return }
            proxy.password = secret
            let route = SourceConfiguration.Route.proxy(proxy)
            source.route = route
            source.oauth2?.route = route
        case .certificate: break
        }
    }

    private static func set(_ name: String, _ value: String, in fields: inout [SourceConfiguration.Field]) {
        if let index = fields.lastIndex(where: { $0.name.lowercased() == name.lowercased() }) {
            fields[index].value = value
        } else {
            fields.append(.init(name: name, value: value))
        }
    }

    /// The source with its secrets read from their files again; `nil` where they are as they were, or a file holds none
    /// that can be sent.
    package static func renewed(
        _ source: SourceConfiguration,
        files: ConfigurationFiles = .system
    ) -> SourceConfiguration? {
        var renewed = source
        for file in source.secretFiles where file.place != .certificate {
            guard let secret = try? self.secret(in: file.path, files: files), !secret.isEmpty,
                secret.utf8.allSatisfy(SourceCredentials.isValueByte)
            else { return nil }
            self.put(secret.trimmingCharacters(in: .whitespaces), at: file.place, into: &renewed)
        }
        if let own = source.tls.clientCertificate {
            guard let stamp = self.stamp(own.certificate, own.key, files: files) else { return nil }
            renewed.tls.clientCertificate?.stamp = stamp
            renewed.oauth2?.tls.clientCertificate?.stamp = stamp
        }
        return renewed == source ? nil : renewed
    }

    /// A number of what two files hold; `nil` where one cannot be read, or holds no PEM.
    static func stamp(_ one: String, _ other: String, files: ConfigurationFiles) -> UInt64? {
        var all: [UInt8] = []
        for path in [one, other] {
            guard let bytes = try? files.read(path, self.maxCertificateBytes, false),
                String(decoding: bytes, as: UTF8.self).contains("-----BEGIN ")
            else { return nil }
            all += bytes + [0]
        }
        return StableHash.of(all)
    }

    /// What a file holds, without the line break that editors and `echo` end it with and that is no part of a secret.
    static func secret(in path: String, files: ConfigurationFiles) throws(ConfigurationFiles.Failure) -> String {
        var bytes = try files.read(path, self.maxSecretBytes, false)
        while let last = bytes.last, last == 0x0A || last == 0x0D {
            bytes.removeLast()
        }
        return String(validating: bytes, as: UTF8.self) ?? "\u{0}"
    }
}
