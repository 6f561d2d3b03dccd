// URLs, read by the parser that will also dial them: two parsers that disagree on where a host ends are how requests
// reach hosts that are not configured (FAULTS S16, S17).

import CCurl
package import FreshetCore
import HTTPFields

/// Scheme, host and port (RFC 6454 §4): what a secret is bound to, and what connections are counted by.
package struct Origin: Hashable, Sendable {
    /// `http` or `https`.
    package var scheme: String
    /// In lower case; IPv6 in brackets.
    package var host: String
    package var port: String

    package init(scheme: String, host: String, port: String) {
        self.scheme = scheme
        self.host = host
        self.port = port
    }
}

/// An absolute `http` or `https` URL.
package struct UpstreamURL: Hashable, Sendable {
    package let text: String
    package let origin: Origin

    /// - Throws: ``UpstreamError`` of kind `policy` for anything but an absolute URL of `http` or `https`.
    package init(_ text: String) throws(UpstreamError) {
        let parser = try Parser()
        // libcurl would stop at a NUL, and what stands behind it is what a person reads.
        guard text.utf8.allSatisfy({ $0 > 0x1F && $0 != 0x7F }), parser.set(text) == CURLUE_OK, let url = parser.url()
        else {
            throw UpstreamError(.policy, "not an absolute http:// or https:// URL")
        }
        self = url
    }

    private init(text: String, origin: Origin) {
        self.text = text
        self.origin = origin
    }

    /// Where a redirect leads (RFC 9110 §10.2.2); ``RedirectRule`` says whether it is followed.
    ///
    /// - Throws: ``UpstreamError`` of kind `redirect` for anything but a reference to an `http` or `https` URL.
    func redirected(to location: [UInt8]) throws(UpstreamError) -> UpstreamURL {
        // An empty reference is this very URL, which does not need a redirect.
        guard !location.isEmpty else {
            throw UpstreamError(
                .redirect,
                "redirected with an empty Location; the upstream must say where the value is"
            )
        }
        let parser = try Parser()
        guard parser.set(self.text) == CURLUE_OK, parser.set(Self.encoded(location)) == CURLUE_OK,
            let target = parser.url()
        else { throw UpstreamError(.redirect, "redirected to something that is not an http:// or https:// URL") }
        return target
    }

    /// A Location with every byte outside ASCII percent-encoded as it is, whatever charset it was meant in; but for the
    /// host, whose name libcurl reads as UTF-8.
    private static func encoded(_ location: [UInt8]) -> String {
        var start = 0
        let marker = Array("//".utf8)
        if let scheme = location.firstIndex(of: UInt8(ascii: ":")), location[..<scheme].allSatisfy(\.isSchemeCharacter),
            location[(scheme + 1)...].starts(with: marker)
        {
            start = scheme + 3
        } else if location.starts(with: marker) {
            start = 2
        }
        if start > 0 {
            let ends = Array("/?#".utf8)
            start = location[start...].firstIndex { ends.contains($0) } ?? location.count
        }
        var text = Array(location[..<start])
        for byte in location[start...] {
            if byte < 0x80 {
                text.append(byte)
            } else {
                text.append(UInt8(ascii: "%"))
                for nibble in [byte >> 4, byte & 0xF] { text.append(nibble < 10 ? 0x30 + nibble : 0x37 + nibble) }
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension UpstreamURL {
    /// Owns libcurl's URL handle.
    private struct Parser: ~Copyable {
        private let handle: OpaquePointer

        init() throws(UpstreamError) {
            guard let handle = curl_url() else { throw UpstreamError(.internal, "no memory for a URL") }
            self.handle = handle
        }

        deinit { curl_url_cleanup(self.handle) }

        /// A relative reference is resolved against what was set before.
        func set(_ text: String) -> CURLUcode {
            curl_url_set(self.handle, CURLUPART_URL, text, UInt32(CURLU_URLENCODE))
        }

        func url() -> UpstreamURL? {
            guard let text = self.part(CURLUPART_URL), let scheme = self.part(CURLUPART_SCHEME),
                scheme == "http" || scheme == "https",
                let host = self.part(CURLUPART_HOST), !host.isEmpty,
                let port = self.part(CURLUPART_PORT, flags: UInt32(CURLU_DEFAULT_PORT))
            else { return nil }
            return UpstreamURL(text: text, origin: Origin(scheme: scheme, host: host.lowercased(), port: port))
        }

        private func part(_ part: CURLUPart, flags: UInt32 = 0) -> String? {
            var text: UnsafeMutablePointer<CChar>?
            guard curl_url_get(self.handle, part, &text, flags) == CURLUE_OK, let text else { return nil }
            defer { curl_free(text) }
            return String(cString: text)
        }
    }
}
