// What can be said about an upstream's URL without asking anybody. libcurl, which will use it, decides the rest.

import Foundation
import FreshetCore

/// A checked absolute `http` or `https` URL.
package struct URLText: Hashable, Sendable {
    package var text: String
    /// In lower case; an IPv6 address without its brackets.
    package var host: String
    /// As written; `nil` for the scheme's own.
    package var port: Int?
    /// Percent-encoded, as written; begins with a slash or is empty.
    package var path: String

    package struct Failure: Error, Hashable, Sendable {
        package var what: String
        package var fix: String
    }

    /// The longest URL.
    package static let maxBytes = 8 << 10

    /// - Throws: ``Failure``, which does not show the URL, since it may hold a secret.
    package init(_ text: String) throws(Failure) {
        let fix = "write an absolute URL such as https://api.example.com/rates"
        guard text.utf8.count <= Self.maxBytes else {
            throw Failure(what: "the URL is longer than 8KiB", fix: "shorten it")
        }
        if let bad = text.unicodeScalars.first(where: { $0.value <= 0x20 || $0.value == 0x7F }) {
            let name = bad == " " ? "a space" : "a control character"
            throw Failure(what: "the URL holds \(name)", fix: "percent-encode it, such as %20 for a space")
        }
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
            throw Failure(
                what: "the URL holds a character that is not ASCII",
                fix: "percent-encode it, and write a host name in its xn-- form"
            )
        }
        guard !text.contains("{"), !text.contains("}") else {
            throw Failure(
                what: "the URL holds a brace",
                fix: "percent-encode it, %7B or %7D; a parameter of a source is {name}, of letters, digits and _"
            )
        }
        guard let separator = text.range(of: "://") else { throw Failure(what: "not an absolute URL", fix: fix) }
        let scheme = text[..<separator.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else {
            throw Failure(what: "the scheme is neither http nor https", fix: fix)
        }
        let rest = text[separator.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.contains("@") else {
            throw Failure(
                what: "the URL holds a user name or password",
                fix: "use `auth: {basic: {username: …, password_file: …}}`"
            )
        }
        guard !authority.contains("\\"), !rest.contains("\\") else {
            throw Failure(what: "the URL holds a backslash", fix: "write / or %5C")
        }
        guard !rest.contains("#") else {
            throw Failure(what: "the URL has a fragment, which no server sees", fix: "remove it from # on")
        }
        (self.host, self.port) = try Self.hostAndPort(of: authority)
        self.path = String(rest.dropFirst(authority.count).prefix { $0 != "?" })
        self.text = text
    }

    /// The same of a URL that may have parameters, as one value of theirs would make it.
    init(template text: String) throws(Failure) {
        var plain = Array(text.utf8)
        for placeholder in Placeholder.all(in: plain).reversed() {
            plain.replaceSubrange(placeholder.range, with: [UInt8(ascii: "x")])
        }
        try self.init(String(decoding: plain, as: UTF8.self))
    }

    private static func hostAndPort(of authority: Substring) throws(Failure) -> (host: String, port: Int?) {
        let host: Substring
        let port: Substring
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else {
                throw Failure(what: "\"[\" without \"]\" in the URL's host", fix: "write [::1] for an IPv6 address")
            }
            host = authority[authority.index(after: authority.startIndex)..<end]
            port = authority[authority.index(after: end)...]
            guard !host.isEmpty,
                host.utf8.allSatisfy({ $0 == 0x3A || $0 == 0x2E || Character(Unicode.Scalar($0)).isHexDigit })
            else {
                throw Failure(what: "the URL's host is not an IPv6 address", fix: "write one such as [::1]")
            }
        } else {
            host = authority.prefix { $0 != ":" }
            port = authority.dropFirst(host.count)
            guard !host.isEmpty else { throw Failure(what: "the URL has no host", fix: "write https://HOST/PATH") }
            guard host.utf8.allSatisfy(Self.isHostByte) else {
                throw Failure(what: "the URL's host holds a character that no host name has", fix: "check it")
            }
        }
        guard
            port.isEmpty
                || (port.hasPrefix(":")
                    && (WholeNumber.parse(String(port.dropFirst())).map { (1...65_535).contains($0) } ?? false))
        else {
            throw Failure(
                what: "the URL's port is not a number from 1 to 65535",
                fix: "write one, or leave it out with its colon"
            )
        }
        return (host.lowercased(), WholeNumber.parse(String(port.dropFirst())).flatMap { Int(exactly: $0) })
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        Character(Unicode.Scalar(byte)).isLetter || Character(Unicode.Scalar(byte)).isNumber
            || "-._~%".utf8.contains(byte)
    }
}

extension URLText {
    /// Whether the host is this machine, as far as its text says.
    var isLoopback: Bool {
        let labels = self.host.split(separator: ".", omittingEmptySubsequences: false)
        if labels.count == 4, labels.allSatisfy({ UInt8($0) != nil }) { return labels[0] == "127" }
        return self.host == "::1" || self.host == "localhost" || self.host.hasSuffix(".localhost")
    }

    /// Whether the host is on this machine or a private network as far as its text says: a loopback or private
    /// address, a single label, or a name under a suffix that is never public (RFC 6761, RFC 6762, RFC 9476).
    package var isLocal: Bool {
        if self.host.contains(":") {
            return self.host == "::1" || self.host.hasPrefix("fe80:") || self.host.hasPrefix("fc")
                || self.host.hasPrefix("fd")
        }
        let labels = self.host.split(separator: ".")
        let numbers = labels.compactMap { UInt8($0) }
        if labels.count == 4, numbers.count == 4 {
            switch (numbers[0], numbers[1]) {
            case (127, _), (10, _), (192, 168), (169, 254), (172, 16...31), (100, 64...127): return true
            default: return false
            }
        }
        guard labels.count > 1, let last = labels.last else { return true }
        return ["localhost", "local", "internal", "lan", "home", "test", "alt"].contains(String(last))
            || self.host.hasSuffix(".home.arpa")
    }
}
