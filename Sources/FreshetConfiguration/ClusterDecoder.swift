// From nodes to the section `cluster`, and what does not go together with it.

import FreshetCore

/// Decodes `cluster`. What is wrong is reported to the context; the gateway does not start then.
struct ClusterDecoder {
    let context: DecodingContext

    private static let maxServers = 100

    func decode(_ reader: SectionReader) -> GatewayConfiguration.Cluster? {
        let servers = self.servers(reader)
        let node = self.node(reader)
        let stream = self.name("stream", in: reader)
        let replicas = reader.count("replicas", in: 1...5)
        let maxBytes = reader.size("max_bytes", in: (16 << 20)...(1 << 44))
        let lease = reader.duration("lease", in: .seconds(1)...Duration.seconds(60))
        let credentials = self.path("credentials_file", in: reader)
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
            servers.append(value.text)
        }
        return servers.count == values.count ? servers : nil
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

    private func path(_ key: String, in reader: SectionReader) -> String? {
        guard let value = reader.scalar(key) else { return nil }
        guard !value.text.isEmpty, !value.text.utf8.contains(0) else {
            self.context.error(value.path, at: value.place, "\(value.shown) is not a path", fix: "write a file's path")
            return nil
        }
        return FilePath.resolve(value.text, from: FilePath.directory(of: value.place.file))
    }

    private func tls(_ reader: SectionReader) -> GatewayConfiguration.Cluster.TLS? {
        var tls = GatewayConfiguration.Cluster.TLS()
        tls.authorities = self.path("ca_file", in: reader)
        tls.certificate = self.path("certificate", in: reader)
        tls.key = self.path("key", in: reader)
        if (tls.certificate == nil) != (tls.key == nil) {
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
