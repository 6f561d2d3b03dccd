// The libcurl that was found at run time, which need not be the one that was there when this was compiled.

import CCurl
package import FreshetCore

/// libcurl as a whole: its one-time preparation, and what it can do.
package enum CurlLibrary {
    /// As `7.88.1`.
    package static var version: String {
        guard let text = self.info?.pointee.version else { return "unknown" }
        return String(cString: text)
    }

    /// Names are resolved on other threads, or by c-ares: the poll thread never waits for them (F17).
    package static var resolvesAsynchronously: Bool { self.has(CURL_VERSION_ASYNCHDNS) }

    package static var hasHTTP2: Bool { self.has(CURL_VERSION_HTTP2) }

    /// The oldest libcurl that takes every option that is set here: 7.87.
    static let oldestVersionNumber: UInt32 = 0x07_57_00

    /// Prepares libcurl for this process. Any thread may call, any number of times.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal`.
    package static func prepare() throws(UpstreamError) {
        guard self.preparation == CURLE_OK else { throw UpstreamError(.internal, "libcurl cannot be initialised") }
        guard self.info?.pointee.version_num ?? 0 >= self.oldestVersionNumber else {
            throw UpstreamError(.internal, "libcurl \(self.version) is too old; 7.87 or later is needed")
        }
        guard self.has(CURL_VERSION_SSL) else {
            throw UpstreamError(.internal, "libcurl \(self.version) was built without TLS")
        }
    }

    private static let preparation = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

    private static var info: UnsafePointer<curl_version_info_data>? {
        ccurl_version_info()
    }

    private static func has(_ feature: Int32) -> Bool {
        guard let info = self.info else { return false }
        return info.pointee.features & feature != 0
    }
}
