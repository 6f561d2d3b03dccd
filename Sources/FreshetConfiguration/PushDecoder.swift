// From nodes to the section `push`.

import FreshetCore

/// Decodes `push`. What is wrong is reported to the context; the gateway does not start then.
struct PushDecoder {
    let context: DecodingContext

    /// Prefixes in `allow`.
    static let maxPrefixes = 1000

    func decode(_ reader: SectionReader) -> GatewayConfiguration.Push? {
        let subject = self.subject(reader)
        let keyFile = self.keyFile(reader)
        let allow = self.allow(reader)
        let day = Duration.seconds(86_400)
        let maxAge = reader.duration("max_age", in: .seconds(1)...(day * 3650))
        let range = 1...10_000_000
        let total = reader.count("max_subscriptions", in: range)
        let perCaller = reader.count("max_subscriptions_per_caller", in: range)
        let perHost = reader.count("max_subscriptions_per_host", in: range)
        guard let subject, let keyFile else { return nil }
        var push = GatewayConfiguration.Push(subject: subject, keyFile: keyFile)
        push.allow = allow
        push.maxAge = maxAge ?? push.maxAge
        push.maxSubscriptions = total ?? push.maxSubscriptions
        push.maxSubscriptionsPerCaller = perCaller ?? push.maxSubscriptionsPerCaller
        push.maxSubscriptionsPerHost = perHost ?? push.maxSubscriptionsPerHost
        return push
    }

    private func required(_ key: String, in reader: SectionReader, fix: String) -> ScalarValue? {
        if reader.entry(key) == nil {
            self.context.error(reader.path, at: reader.place, "no \(key)", fix: fix)
        }
        return reader.scalar(key)
    }

    /// What RFC 8292 §2.1 asks for, and what Apple's service takes: an address without white space and brackets.
    private func subject(_ reader: SectionReader) -> String? {
        let example = "write one such as mailto:ops@example.com"
        guard let value = self.required("subject", in: reader, fix: "add `subject: mailto:NAME@HOST`") else {
            return nil
        }
        let isPlain = value.text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"\"<>\\^`{|}".utf8.contains($0) }
        let parts = value.text.hasPrefix("mailto:") ? value.text.dropFirst(7).split(separator: "@") : []
        let isAddress = parts.count == 2 && value.text.utf8.count { $0 == UInt8(ascii: "@") } == 1
        let isURL = value.text.hasPrefix("https://") && (try? URLText(value.text)) != nil
        guard isPlain, isAddress || isURL, value.text.utf8.count <= 256 else {
            let what = "\(value.shown) is neither mailto:NAME@HOST nor an https URL"
            self.context.error(value.path, at: value.place, what, fix: example)
            return nil
        }
        return value.text
    }

    private func keyFile(_ reader: SectionReader) -> String? {
        guard let value = self.required("key_file", in: reader, fix: "add `key_file: vapid.pem`; it is made if absent")
        else { return nil }
        guard !value.text.isEmpty, !value.text.utf8.contains(0) else {
            let fix = "write one such as vapid.pem"
            self.context.error(value.path, at: value.place, "\(value.shown) is not a path", fix: fix)
            return nil
        }
        return FilePath.resolve(value.text, from: FilePath.directory(of: value.place.file))
    }

    private func allow(_ reader: SectionReader) -> [PushPrefix] {
        let values = reader.list("allow")
        guard values.count <= Self.maxPrefixes else {
            self.context.error(
                SectionReader.join(reader.path, "allow"),
                at: reader.place(of: "allow"),
                "\(values.count) prefixes, and \(Self.maxPrefixes) are the most",
                fix: "list the origins alone"
            )
            return []
        }
        return values.compactMap { value in
            do throws(URLText.Failure) {
                let url = try URLText(value.text)
                guard !value.text.contains("?") else {
                    throw URLText.Failure(what: "the URL has a query", fix: "end it before the ?")
                }
                let isSecure = value.text.lowercased().hasPrefix("https:")
                return PushPrefix(
                    scheme: isSecure ? "https" : "http",
                    host: url.host.contains(":") ? "[\(url.host)]" : url.host,
                    port: "\(url.port ?? (isSecure ? 443 : 80))",
                    path: url.path
                )
            } catch {
                // Of a URL that is asked for something, the fix would name a key that is not here.
                let fix = error.what.contains("user name") ? "write it without" : error.fix
                self.context.error(value.path, at: value.place, "\(value.shown): \(error.what)", fix: fix)
                return nil
            }
        }
    }
}
