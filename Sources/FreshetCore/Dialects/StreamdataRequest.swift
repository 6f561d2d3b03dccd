// What a request of the Streamdata.io SDK asks for (CONTRACT §14).

import HTTPFields

/// Why such a request gets an error in its stream. None of it is secret.
package struct StreamdataProblem: Error, Hashable, Sendable {
    /// `status` of the error event, as the labels of metrics name them.
    package enum Kind: String, CaseIterable, Sendable {
        /// Not a request of the SDK, or one whose URL is not valid.
        case malformed
        /// The token is unknown, or the signature is not one of it.
        case unauthorized
        /// The address is not below any that is allowed.
        case forbidden
        /// Too many streams or instances.
        case busy
        /// The upstream fails.
        case upstream

        /// As the SDK's applications see it. The protocol's own table is not published but for 2005, an answer of the target
        /// that is no value; the others are the status that HTTP has for it.
        package var status: Int {
            switch self {
            case .malformed: 400
            case .unauthorized: 401
            case .forbidden: 403
            case .busy: 503
            case .upstream: 2005
            }
        }
    }

    package var kind: Kind
    /// The reason, as `cause`.
    package var cause: String

    package init(_ kind: Kind, _ cause: String) {
        self.kind = kind
        self.cause = cause
    }

    /// What it is, in general: `message`.
    package var message: String {
        switch self.kind {
        case .malformed: "Bad request. The URL cannot be read."
        case .unauthorized: "The token or the signature is not accepted."
        case .forbidden: "The URL is not allowed."
        case .busy: "Too many streams. Try again later."
        case .upstream: "HTTP error. The Http response cannot be processed."
        }
    }
}

/// A request of the SDK: a URL with the SDK's own parameters behind its own.
package struct StreamdataRequest: Hashable, Sendable {
    /// The proof that whoever has the token's key made the URL.
    package struct Signature: Hashable, Sendable {
        /// `X-Auth-Sd-Ts`: milliseconds since 1970, as sent.
        package var stamp: String
        /// `X-Auth-Sd-S`.
        package var text: String
        /// What was signed: the URL as the application gave it.
        package var url: [UInt8]
    }

    /// Without the SDK's parameters.
    package var target: TargetAddress
    /// Sent to the upstream, in their order.
    package var fields: [SourceConfiguration.Field]
    package var token: String
    package var signature: Signature?

    /// The most parameters of a URL.
    package static let maxParameters = 500
    /// The most fields, and the most bytes of them together.
    package static let maxFields = 32
    package static let maxFieldBytes = 8 << 10

    /// Fields that are never taken along, by their names in lower case: they belong to one connection (RFC 9110 §7.6.1), to
    /// the gateway's own request, or to what it asks conditionally.
    private static let ownFields: Set<String> = [
        "host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "expect",
        "accept", "accept-encoding", "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
        "if-range", "forwarded", "via", "max-forwards",
    ]
    /// How the names of others begin.
    private static let ownPrefixes = ["content-", "proxy-", "x-forwarded-", "x-sd-", "x-auth-sd-", ":"]

    /// Reads the target as it came, with the parameters of the SDK; `tokens` are those of the field `X-Sd-Token`.
    ///
    /// - Throws: ``StreamdataProblem``, malformed or without a token.
    package init(url: [UInt8], tokens headerTokens: [String] = []) throws(StreamdataProblem) {
        let mark = url.firstIndex(of: UInt8(ascii: "?")) ?? url.endIndex
        var kept: [ArraySlice<UInt8>] = []
        var lines: [String] = []
        var tokens = headerTokens
        var stamps: [String] = []
        var signatures: [String] = []
        let parts =
            mark == url.endIndex
            ? []
            : url[(mark + 1)...].split(
                separator: UInt8(ascii: "&"),
                maxSplits: Self.maxParameters,
                omittingEmptySubsequences: false
            )
        guard parts.count <= Self.maxParameters else {
            throw StreamdataProblem(.malformed, "The URL has more than \(Self.maxParameters) parameters.")
        }
        for part in parts {
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            guard let name = Self.ownName(part[..<equals]) else {
                kept.append(part)
                continue
            }
            switch name {
            case "x-sd-token": tokens.append(try Self.text(part[equals...].dropFirst(), of: name))
            case "x-sd-header": lines.append(try Self.text(part[equals...].dropFirst(), of: name))
            case "x-auth-sd-ts": stamps.append(try Self.text(part[equals...].dropFirst(), of: name))
            case "x-auth-sd-s": signatures.append(try Self.text(part[equals...].dropFirst(), of: name))
            case _: break
            }
        }
        guard let token = tokens.first, !token.isEmpty, tokens.allSatisfy({ $0.utf8.elementsEqual(token.utf8) }) else {
            throw StreamdataProblem(.unauthorized, "One X-Sd-Token is needed.")
        }
        self.token = token
        let query = kept.isEmpty ? [] : Array("?".utf8) + kept.joined(separator: "&".utf8)
        do throws(TargetAddress.Malformed) {
            self.target = try TargetAddress(url[..<mark] + query)
        } catch {
            throw StreamdataProblem(.malformed, "\(error.what).")
        }
        self.fields = try Self.fields(lines)
        guard stamps.count < 2, signatures.count < 2 else {
            throw StreamdataProblem(.malformed, "The URL is signed twice.")
        }
        guard let stamp = stamps.first, let signature = signatures.first else { return }
        self.signature = Signature(stamp: stamp, text: signature, url: Self.signed(url))
    }

    /// The name of a parameter in lower case, where the upstream is not to see it: one of the SDK, or of its polyfill.
    private static func ownName(_ name: ArraySlice<UInt8>) -> String? {
        // However it is encoded: what somebody decodes to a token must not leave.
        let decoded = PercentEncoding.decoded(name) ?? Array(name)
        let text = String(decoding: decoded.map(\.lowercasedASCII), as: UTF8.self)
        return ["x-sd-", "x-auth-sd-", "evs_"].contains(where: text.hasPrefix) ? text : nil
    }

    /// `encodeURIComponent`, undone: a plus sign is one.
    private static func text(_ value: ArraySlice<UInt8>, of name: String) throws(StreamdataProblem) -> String {
        guard let bytes = PercentEncoding.decoded(value), let text = String(validating: bytes, as: UTF8.self) else {
            throw StreamdataProblem(.malformed, "The value of \(name) is not percent-encoded UTF-8.")
        }
        return text
    }

    /// What stands before the first parameter of the signature.
    private static func signed(_ url: [UInt8]) -> [UInt8] {
        let name = Array("X-Auth-Sd-Ts=".utf8)
        for index in url.indices where url[index] == UInt8(ascii: "?") || url[index] == UInt8(ascii: "&") {
            if url[(index + 1)...].starts(with: name) { return Array(url[..<index]) }
        }
        return url
    }

    // MARK: Fields

    private static func fields(_ lines: [String]) throws(StreamdataProblem) -> [SourceConfiguration.Field] {
        guard lines.count <= Self.maxFields, lines.reduce(0, { $0 + $1.utf8.count }) <= Self.maxFieldBytes else {
            throw StreamdataProblem(
                .malformed,
                "There are more than \(Self.maxFields) X-Sd-Header, or more than \(Self.maxFieldBytes) bytes of them."
            )
        }
        var fields: [SourceConfiguration.Field] = []
        var named: Set<String> = []
        for line in lines {
            let bytes = Array(line.utf8)
            guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), bytes[..<colon].isToken else {
                throw StreamdataProblem(.malformed, "An X-Sd-Header is not Name: value.")
            }
            let value = bytes[(colon + 1)...].trimmed
            guard value.allSatisfy({ (0x20...0x7E).contains($0) || $0 >= 0x80 || $0 == 0x09 }) else {
                throw StreamdataProblem(.malformed, "The value of an X-Sd-Header holds a control character.")
            }
            let name = String(decoding: bytes[..<colon], as: UTF8.self)
            if name.lowercased() == "connection" {
                named.formUnion(
                    value.split(separator: UInt8(ascii: ",")).map {
                        String(decoding: $0.trimmed.map(\.lowercasedASCII), as: UTF8.self)
                    }
                )
            }
            fields.append(.init(name: name, value: String(decoding: value, as: UTF8.self)))
        }
        return fields.filter { field in
            let name = field.name.lowercased()
            // A name with an underscore is the same name to servers that hand fields on as variables (RFC 3875 §4.1.18).
            let plain = name.replacing("_", with: "-")
            return !Self.ownFields.contains(plain) && !Self.ownPrefixes.contains(where: plain.hasPrefix)
                && !named.contains(name)
        }
    }
}
