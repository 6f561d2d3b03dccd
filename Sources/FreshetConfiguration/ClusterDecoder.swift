// From nodes to the section `cluster`, and what does not go together with it.

import FreshetCore

/// Decodes `cluster`. What is wrong is reported to the context; the gateway does not start then.
struct ClusterDecoder {
    let context: DecodingContext

    private static let maxServers = 100
    private static let pem = "-----BEGIN "

    func decode(_ reader: SectionReader) -> GatewayConfiguration.Cluster? {
        let servers = self.servers(reader)
        let node = self.node(reader)
        let stream = self.name("stream", in: reader)
        let replicas = reader.count("replicas", in: 1...5)
        let maxBytes = reader.size("max_bytes", in: (16 << 20)...(1 << 44))
        let lease = reader.duration("lease", in: .seconds(1)...Duration.seconds(60))
        let credentials = self.file("credentials_file", holding: "-----BEGIN NATS USER JWT-----", in: reader)
        let tls = reader.section("tls", as: .clusterTLS).flatMap { self.tls($0) }
        guard let servers, let node else { return nil }
        var cluster = GatewayConfiguration.Cluster(servers: servers, node: node)
        cluster.stream = stream ?? cluster.stream
        cluster.replicas = replicas ?? cluster.replicas
        cluster.maxBytes = maxBytes ?? cluster.maxBytes
        cluster.lease = lease ?? cluster.lease
        cluster.credentialsFile = credentials
        cluster.tls = tls
        return cluster
    }

    private func servers(_ reader: SectionReader) -> [String]? {
        let values = reader.list("servers")
        guard !values.isEmpty, values.count <= Self.maxServers else {
            let what = values.isEmpty ? "no servers" : "\(values.count) servers, and \(Self.maxServers) are the most"
            self.context.error(reader.path, at: reader.place, what, fix: "add `servers: [nats://HOST:4222]`")
            return nil
        }
        var servers: [String] = []
        for value in values {
            let isAddress =
                (value.text.hasPrefix("nats://") || value.text.hasPrefix("tls://")) && !value.text.hasSuffix("/")
                && value.text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ",") }
            guard isAddress else {
                self.context.error(
                    value.path,
                    at: value.place,
                    "\(value.shown) is not the address of a server of NATS",
                    fix: "write one such as nats://10.0.0.1:4222"
                )
                continue
            }
            self.warnOfSecret(value)
            servers.append(value.text)
        }
        return servers.count == values.count ? servers : nil
    }

    /// A secret that stands in the file is in backups and in the repository; one of the environment is not.
    private func warnOfSecret(_ value: ScalarValue) {
        let authority = value.text.drop { $0 != "/" }.dropFirst(2)
        guard value.variables.isEmpty, let at = authority.lastIndex(of: "@"), authority[..<at].contains(":") else {
            return
        }
        self.context.warning(
            value.path,
            at: value.place,
            "the address holds a password",
            fix: "name a credentials_file, or put a variable in its place, such as ${NATS_PASSWORD}"
        )
    }

    private func node(_ reader: SectionReader) -> String? {
        if reader.entry("node") == nil {
            self.context.error(
                reader.path,
                at: reader.place,
                "no node",
                fix: "add `node: NAME`, another one for each gateway, such as ${HOSTNAME}"
            )
            return nil
        }
        return self.name("node", in: reader)
    }

    /// What may be a part of a subject and the name of a stream.
    private func name(_ key: String, in reader: SectionReader) -> String? {
        guard let value = reader.scalar(key) else { return nil }
        let isName =
            !value.text.isEmpty && value.text.utf8.count <= 64
            && value.text.utf8.allSatisfy { byte in
                let character = Character(Unicode.Scalar(byte))
                return byte < 0x80 && (character.isLetter || character.isNumber || "-_".utf8.contains(byte))
            }
        guard isName else {
            self.context.error(
                value.path,
                at: value.place,
                "\(value.shown) is not a name",
                fix: "write up to 64 letters, digits, - and _"
            )
            return nil
        }
        return value.text
    }

    /// A file that is there, and holds `mark`: the broker's library would say so only when it connects.
    private func file(_ key: String, holding mark: String, in reader: SectionReader) -> String? {
        guard let value = reader.scalar(key) else { return nil }
        guard !value.text.isEmpty, !value.text.utf8.contains(0) else {
            self.context.error(value.path, at: value.place, "\(value.shown) is not a path", fix: "write a file's path")
            return nil
        }
        let path = FilePath.resolve(value.text, from: FilePath.directory(of: value.place.file))
        do throws(ConfigurationFiles.Failure) {
            let bytes = try self.context.files.read(path, SecretPlaces.maxCertificateBytes, false)
            guard String(decoding: bytes, as: UTF8.self).contains(mark) else {
                let isPEM = mark == Self.pem
                self.context.error(
                    value.path,
                    at: value.place,
                    "\(value.shown) \(isPEM ? "is not PEM" : "holds no credentials of a user of NATS")",
                    fix: isPEM ? "convert it to PEM" : "write it with `nsc generate creds`"
                )
                return nil
            }
            return path
        } catch {
            self.context.error(value.path, at: value.place, "\(value.shown) \(error.what)", fix: error.fix)
            return nil
        }
    }

    private func tls(_ reader: SectionReader) -> GatewayConfiguration.Cluster.TLS? {
        var tls = GatewayConfiguration.Cluster.TLS()
        tls.authorities = self.file("ca_file", holding: Self.pem, in: reader)
        tls.certificate = self.file("certificate", holding: Self.pem, in: reader)
        tls.key = self.file("key", holding: Self.pem, in: reader)
        if (reader.entry("certificate") == nil) != (reader.entry("key") == nil) {
            self.context.error(
                reader.path,
                at: reader.place,
                "a certificate and its key belong together",
                fix: "add the other one"
            )
        }
        return tls
    }
}
