// From nodes to the section `tls`: which certificates clients are shown, and where (CONTRACT §9).

import Foundation
import FreshetCore
import TLS

/// Decodes `tls`. The files are read, so that a pair that cannot be used is found before the gateway starts.
struct TLSDecoder {
    let context: DecodingContext

    /// Pairs to choose from by the name that a client asks for.
    static let maxCertificates = 64

    func decode(_ reader: SectionReader) -> GatewayConfiguration.TLS? {
        var files: [File] = []
        let pairs = self.pairs(in: reader, &files)
        let listen = GatewayDecoder(context: self.context).address("listen", in: reader)
        let authorities = self.file("client_ca", in: reader, &files)
        guard let pairs, !pairs.isEmpty, reader.entry("client_ca") == nil || authorities != nil else { return nil }
        let detaches = reader.flag("detach") ?? true
        let configured = TLSFiles(pairs: pairs, clientAuthorities: authorities, detaches: detaches)
        guard self.check(configured, files, of: reader) else { return nil }
        return GatewayConfiguration.TLS(files: configured, listen: listen)
    }

    /// A file that the section names.
    private struct File {
        var path: String
        var value: ScalarValue
        var bytes: [UInt8]
    }

    private func pairs(in reader: SectionReader, _ files: inout [File]) -> [TLSFiles.Pair]? {
        let isShort = reader.entry("certificate") != nil || reader.entry("key") != nil
        guard reader.entry("certificates") != nil else { return self.pair(in: reader, &files).map { [$0] } }
        guard !isShort else {
            self.context.error(
                reader.path,
                at: reader.place,
                "certificate and certificates at once",
                fix: "move the pair into `certificates`"
            )
            return nil
        }
        let pairs = reader.entries(
            "certificates",
            as: .tlsCertificate,
            atMost: Self.maxCertificates,
            orElse: "one certificate may hold many names"
        ) { self.pair(in: $0, &files) }
        if case .list(let nodes)? = reader.entry("certificates")?.entry.value.content, nodes.isEmpty {
            self.context.error(reader.path, at: reader.place, "no certificate", fix: "add `certificate` and `key`")
        }
        return pairs
    }

    private func pair(in reader: SectionReader, _ files: inout [File]) -> TLSFiles.Pair? {
        for key in ["certificate", "key"] where reader.entry(key) == nil {
            self.context.error(reader.path, at: reader.place, "no \(key)", fix: "add `\(key)`, a file in PEM")
        }
        let certificate = self.file("certificate", in: reader, &files)
        guard let key = self.file("key", in: reader, &files), let certificate else { return nil }
        return TLSFiles.Pair(certificate: certificate, key: key)
    }

    /// Reads a file that the section names.
    private func file(_ key: String, in reader: SectionReader, _ files: inout [File]) -> String? {
        guard let value = reader.scalar(key) else { return nil }
        let path = FilePath.resolve(value.text, from: FilePath.directory(of: value.place.file))
        do throws(ConfigurationFiles.Failure) {
            let bytes = try self.context.files.read(path, TLSFiles.maxBytes, false)
            files.append(File(path: path, value: value, bytes: bytes))
            return path
        } catch {
            self.context.error(value.path, at: value.place, "\(value.shown) \(error.what)", fix: error.fix)
            return nil
        }
    }

    /// Reports each pair that cannot be used, and the authorities.
    private func check(_ configured: TLSFiles, _ files: [File], of reader: SectionReader) -> Bool {
        var isGood = true
        for (number, pair) in configured.pairs.enumerated() {
            // A file may stand in several places.
            let path = reader.entry("certificates") == nil ? reader.path : "\(reader.path).certificates[\(number)]"
            let own = files.filter { $0.value.path.hasPrefix("\(path).") }
            guard let expiry = self.expiries(of: TLSFiles(pairs: [pair]), own)?.first else {
                isGood = false
                continue
            }
            guard expiry <= Int64(Date().timeIntervalSince1970) else { continue }
            guard let value = files.first(where: { $0.path == pair.certificate })?.value else { continue }
            self.context.warning(value.path, at: value.place, "\(value.shown) has expired", fix: "renew it")
        }
        return isGood && self.expiries(of: configured, files) != nil
    }

    /// When the certificates end; `nil` where something cannot be used, and was reported.
    private func expiries(of configured: TLSFiles, _ files: [File]) -> [Int64]? {
        do throws(TLSFilesError) {
            return try configured.load { path throws(TLSFilesError) in
                guard let file = files.first(where: { $0.path == path }) else {
                    throw TLSFilesError(path: path, what: "is not there", fix: "check the path")
                }
                return file.bytes
            }.expiries
        } catch {
            guard let value = files.first(where: { $0.path == error.path })?.value else { return nil }
            self.context.error(value.path, at: value.place, "\(value.shown) \(error.what)", fix: error.fix)
            return nil
        }
    }
}
