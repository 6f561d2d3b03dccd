// The request fields of a source: `headers` and `auth`. No value of either is ever shown.

import Foundation
package import FreshetCore

package struct SourceCredentials {
    let context: DecodingContext

    /// The largest secret in a file.
    static let maxSecretBytes = 64 << 10

    /// Fields that the gateway or libcurl writes, so that a second one would contradict it.
    private static let reserved: [String: String] = [
        "host": "it follows from the URL",
        "content-length": "a poll has no body",
        "transfer-encoding": "a poll has no body",
        "connection": "it belongs to the connection",
        "if-none-match": "polls are always conditional",
        "if-modified-since": "polls are always conditional",
        "accept-encoding": "the gateway asks for what it can decode",
        "range": "a range is not a whole value",
    ]

    /// The fields of the source and, where a name is not among them, of the defaults; then `Authorization`. And the file
    /// that this one was read from, if any.
    func fields(of reader: SectionReader) -> ([SourceConfiguration.Field], [SourceConfiguration.SecretFile]) {
        var fields = self.headers(of: reader)
        var files: [SourceConfiguration.SecretFile] = []
        if let (value, file) = self.authorization(of: reader) {
            if let file { files.append(file) }
            if fields.contains(where: { $0.name.lowercased() == "authorization" }) {
                self.context.error(
                    SectionReader.join(reader.path, "auth"),
                    at: reader.place(of: "auth"),
                    "an Authorization header is set as well",
                    fix: "keep one of the two"
                )
            }
            fields.append(SourceConfiguration.Field(name: "Authorization", value: value))
        }
        return (fields, files)
    }

    /// The value of `Authorization` with a secret as it was written.
    static func authorization(_ scheme: SourceConfiguration.SecretFile.Scheme, secret: String) -> String {
        switch scheme {
        case .bearer: "Bearer \(secret)"
        case .basic(let username): "Basic " + Data("\(username):\(secret)".utf8).base64EncodedString()
        }
    }

    /// The fields of a source with its secrets read from their files again; `nil` where they are as they were, or a file
    /// holds none that can be sent.
    package static func renewed(
        _ source: SourceConfiguration,
        files: ConfigurationFiles = .system
    ) -> [SourceConfiguration.Field]? {
        var fields = source.headers
        for file in source.secretFiles {
            guard let secret = try? self.secret(in: file.path, files: files), !secret.isEmpty,
                secret.utf8.allSatisfy(Self.isValueByte),
                let index = fields.firstIndex(where: { $0.name.lowercased() == "authorization" })
            else { return nil }
            fields[index].value = self.authorization(file.scheme, secret: secret)
        }
        return fields == source.headers ? nil : fields
    }

    /// What a file holds, without the line break that editors and `echo` end it with and that is no part of a secret.
    private static func secret(
        in path: String,
        files: ConfigurationFiles
    ) throws(ConfigurationFiles.Failure) -> String {
        var bytes = try files.read(path, self.maxSecretBytes, false)
        while let last = bytes.last, last == 0x0A || last == 0x0D {
            bytes.removeLast()
        }
        return String(validating: bytes, as: UTF8.self) ?? "\u{0}"
    }

    private func headers(of reader: SectionReader) -> [SourceConfiguration.Field] {
        var fields: [SourceConfiguration.Field] = []
        for (node, path) in reader.layers("headers") {
            guard case .mapping(let entries) = node.content else {
                self.context.error(
                    path,
                    at: node.place,
                    "\(node.kind), where a mapping belongs",
                    fix: "write `Name: value` lines"
                )
                continue
            }
            for entry in entries {
                guard let field = self.field(entry, path: SectionReader.join(path, entry.key)) else { continue }
                guard !fields.contains(where: { $0.name.lowercased() == field.name.lowercased() }) else { continue }
                fields.append(field)
            }
        }
        return fields
    }

    private func field(_ entry: ConfigurationNode.Entry, path: String) -> SourceConfiguration.Field? {
        if let first = entry.firstPlace {
            self.context.error(
                path,
                at: entry.keyPlace,
                "duplicate key, first at line \(first.line)",
                fix: "keep one of the two"
            )
            return nil
        }
        guard !entry.key.isEmpty, entry.key.utf8.allSatisfy(Self.isTokenByte) else {
            self.context.error(
                path,
                at: entry.keyPlace,
                "not a name of a header field",
                fix: "use letters, digits and - (RFC 9110 §5.6.2)"
            )
            return nil
        }
        if let reason = Self.reserved[entry.key.lowercased()] {
            self.context.error(path, at: entry.keyPlace, "this header cannot be set: \(reason)", fix: "remove it")
            return nil
        }
        guard let value = SectionReader.scalar(entry.value, path: path, context: self.context),
            let text = self.checked(value.text, path: path, place: value.place)
        else { return nil }
        self.context.record(
            EffectiveValue(
                path: path,
                text: "(redacted)",
                origin: value.variables.isEmpty ? .file(value.place) : .environment(value.variables, value.place)
            )
        )
        return SourceConfiguration.Field(name: entry.key, value: text)
    }

    /// The text, if it can stand in a field's value: no control characters, which would begin a field of their own
    /// (FAULTS S15), no bytes beyond ASCII, which servers read differently. Checked after expansion.
    private func checked(_ text: String, path: String, place: Place) -> String? {
        guard text.utf8.allSatisfy(Self.isValueByte) else {
            let isControl = text.utf8.contains { $0 < 0x20 || $0 == 0x7F }
            self.context.error(
                path,
                at: place,
                isControl
                    ? "the value holds a control character, such as a line break"
                    : "the value holds a character that is not ASCII",
                fix: "remove it; the value is not shown here"
            )
            return nil
        }
        return text.trimmingCharacters(in: .whitespaces)
    }

    private static func isValueByte(_ byte: UInt8) -> Bool {
        byte == 0x09 || (0x20...0x7E).contains(byte)
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

// MARK: - auth

extension SourceCredentials {
    private typealias Authorization = (value: String, file: SourceConfiguration.SecretFile?)

    private func authorization(of reader: SectionReader) -> Authorization? {
        guard let auth = reader.section("auth", as: .sourceAuth) else { return nil }
        let kinds = ["bearer", "bearer_file", "basic"].filter { auth.entry($0) != nil }
        guard kinds.count <= 1 else {
            self.context.error(
                auth.path,
                at: auth.place(of: kinds[1]),
                "\(kinds.joined(separator: " and ")) at once",
                fix: "keep one of them"
            )
            return nil
        }
        if let basic = auth.section("basic", as: .basicAuth) {
            return self.basic(basic)
        }
        guard let (token, path) = self.secret("bearer", in: auth) else {
            if auth.isBlank {
                self.context.error(
                    auth.path,
                    at: auth.place,
                    "no credentials",
                    fix: "add `bearer`, `bearer_file` or `basic`"
                )
            }
            return nil
        }
        return Self.authorization(.bearer, secret: token, path: path)
    }

    private static func authorization(
        _ scheme: SourceConfiguration.SecretFile.Scheme,
        secret: String,
        path: String?
    ) -> Authorization {
        (self.authorization(scheme, secret: secret), path.map { .init(path: $0, scheme: scheme) })
    }

    private func basic(_ reader: SectionReader) -> Authorization? {
        guard let name = reader.scalar("username") else {
            if reader.entry("username") == nil {
                self.context.error(reader.path, at: reader.place, "no username", fix: "add `username`")
            }
            return nil
        }
        guard !name.text.contains(":"), let username = self.checked(name.text, path: name.path, place: name.place)
        else {
            self.context.error(name.path, at: name.place, "a user name cannot hold a colon (RFC 7617)", fix: "check it")
            return nil
        }
        let hasBoth = reader.entry("password") != nil && reader.entry("password_file") != nil
        guard !hasBoth, let (password, path) = self.secret("password", in: reader) else {
            if hasBoth {
                self.context.error(
                    reader.path,
                    at: reader.place(of: "password_file"),
                    "password and password_file at once",
                    fix: "keep one of them"
                )
            } else if reader.entry("password") == nil, reader.entry("password_file") == nil {
                self.context.error(
                    reader.path,
                    at: reader.place,
                    "no password",
                    fix: "add `password` or `password_file`"
                )
            }
            return nil
        }
        return Self.authorization(.basic(username: username), secret: password, path: path)
    }

    /// A secret from its key, or from the file that its `_file` twin names, and then with the file's path.
    private func secret(_ key: String, in reader: SectionReader) -> (text: String, path: String?)? {
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
            let text = try Self.secret(in: path, files: self.context.files)
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
