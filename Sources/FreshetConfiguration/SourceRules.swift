// The keys of a source that say what may count as its value, and from whom: `content_type`, `separator`, `expect`, `tls`.

import FreshetCore
import HTTPFields
import JSON
import JSONPath

struct SourceRules {
    let context: DecodingContext

    /// What `expect` holds: a pointer, a list of them, or pointers with values.
    func expectations(of reader: SectionReader) -> [Expectation] {
        guard let (entry, path) = reader.entry("expect"), case .mapping(let entries) = entry.value.content else {
            return reader.list("expect").compactMap { value in
                guard let pointer = Pointer(value.text) else {
                    SourcesDecoder(context: self.context).rejectPointer(value)
                    return nil
                }
                return Expectation(pointer: pointer)
            }
        }
        return entries.compactMap { entry -> Expectation? in
            let path = SectionReader.join(path, entry.key)
            if let first = entry.firstPlace {
                self.context.error(
                    path,
                    at: entry.keyPlace,
                    "duplicate key, first at line \(first.line)",
                    fix: "keep one of the two"
                )
                return nil
            }
            guard let value = SectionReader.scalar(entry.value, path: path, context: self.context) else { return nil }
            guard let pointer = Pointer(entry.key) else {
                self.context.error(
                    path,
                    at: entry.keyPlace,
                    "not a JSON Pointer",
                    fix: SourcesDecoder.fix(forPointer: entry.key)
                )
                return nil
            }
            return Expectation(pointer: pointer, value: value.text)
        }
    }

    /// The query of `select`.
    func path(of reader: SectionReader) -> Path? {
        guard let value = reader.scalar("select") else { return nil }
        do throws(PathError) {
            return try Path(value.text)
        } catch {
            self.context.error(
                value.path,
                at: value.place,
                "\(value.shown) is not a JSONPath: \(error)",
                fix: value.text.hasPrefix("/")
                    ? "write a JSON Pointer as root" : "write one such as $.data[?@.open == true]"
            )
            return nil
        }
    }

    /// The media types that are taken.
    func contentTypes(of reader: SectionReader) -> [MediaTypeRange] {
        reader.list("content_type").compactMap { value in
            if let range = MediaTypeRange(value.text) { return range }
            self.context.error(
                value.path,
                at: value.place,
                "\(value.shown) is not a media type",
                fix: "write one such as application/json or text/*, without parameters"
            )
            return nil
        }
    }

    /// Which redirects are followed: one word, or a list of origins.
    func redirects(of reader: SectionReader) -> SourceConfiguration.Redirects? {
        guard let (entry, _) = reader.entry("redirects") else { return nil }
        let values = reader.list("redirects")
        if case .text = entry.value.content {
            switch values.first?.text {
            case "same-origin": return .sameOrigin
            case "any": return .any
            case _: break
            }
        }
        return .origins(values.compactMap { self.origin($0) })
    }

    private func origin(_ value: ScalarValue) -> String? {
        let example = "write same-origin, any, or a list of origins such as [https://api.example.com]"
        let url = try? URLText(value.text)
        if let url, url.path.isEmpty, !value.text.contains(where: { $0 == "?" || $0 == "#" }) { return url.text }
        self.context.error(
            value.path,
            at: value.place,
            url == nil ? "\(value.shown) is not an origin" : "\(value.shown) has more than an origin",
            fix: url == nil ? example : "write its scheme, host and port only, such as https://api.example.com:8443"
        )
        return nil
    }

    /// What separates the columns of a table.
    func separator(of reader: SectionReader) -> UInt8? {
        guard let value = reader.scalar("separator") else { return nil }
        if ["tab", "\\t"].contains(value.text.lowercased()) { return 0x09 }
        let bytes = Array(value.text.utf8)
        if bytes.count == 1, let byte = bytes.first, byte < 0x80, ![0, 0x0A, 0x0D, UInt8(ascii: "\"")].contains(byte) {
            return byte
        }
        self.context.error(
            value.path,
            at: value.place,
            "\(value.shown) is not one character of ASCII that can stand between columns",
            fix: "write one such as \";\" or \"|\", or tab"
        )
        return nil
    }

    /// Verification of the upstream's certificate. That it is not is said on every load.
    func tls(of reader: SectionReader) -> SourceConfiguration.TLS {
        var tls = SourceConfiguration.TLS()
        guard let section = reader.section("tls", as: .sourceTLS) else { return tls }
        if let file = section.scalar("ca_file") {
            let path = FilePath.resolve(file.text, from: FilePath.directory(of: file.place.file))
            do throws(ConfigurationFiles.Failure) {
                _ = try self.context.files.read(path, Self.maxCertificateBytes, false)
                tls.caFile = path
            } catch {
                self.context.error(file.path, at: file.place, "\(file.shown) \(error.what)", fix: error.fix)
            }
        }
        if let pin = section.scalar("pinned_key") {
            let isPin = pin.text.hasPrefix(Self.pinPrefix) && pin.text.utf8.count == Self.pinPrefix.utf8.count + 44
            if isPin { tls.pinnedKey = pin.text } else { self.rejectPin(pin) }
        }
        tls.isInsecure = section.flag("insecure") ?? false
        if tls.isInsecure {
            self.context.warning(
                SectionReader.join(section.path, "insecure"),
                at: section.place(of: "insecure"),
                "the certificate of this upstream is not verified: anyone on the network path can impersonate it",
                fix: "name its certificate with ca_file"
            )
        }
        return tls
    }

    /// The largest file of certificates.
    private static let maxCertificateBytes = 4 << 20
    private static let pinPrefix = "sha256//"

    private func rejectPin(_ value: ScalarValue) {
        self.context.error(
            value.path,
            at: value.place,
            "\(value.shown) is not the hash of a public key",
            fix: "write \(Self.pinPrefix) and 44 characters of base64"
        )
    }
}
