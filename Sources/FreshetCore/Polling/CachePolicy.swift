// What the upstream allows the caches after us, for `/v1/values`.

/// The directives of the last answer that matter beyond the gateway (RFC 9111 §5.2.2, RFC 5861).
package struct CachePolicy: Hashable, Sendable {
    /// How long the value was fresh when it arrived; zero where it must be asked for each time.
    package var freshFor: Duration = .zero
    /// `no-store`: the gateway holds the value because it was configured to; no other cache may.
    package var forbidsStoring = false
    package var isPrivate = false
    /// `must-revalidate` and its kin.
    package var mustRevalidate = false
    package var staleWhileRevalidate: Duration?
    package var staleIfError: Duration?

    /// No cache needs more: a year, which RFC 2616 §14.21 has as the most that `Expires` means.
    private static let longest: Int64 = 365 * 86_400

    package init() {}

    package init(_ freshness: ResponseFreshness) {
        self.freshFor = freshness.freshFor ?? .zero
        self.forbidsStoring = freshness.forbidsStoring
        self.isPrivate = freshness.isPrivate
        self.mustRevalidate = freshness.mustNotBeServedStale && !freshness.needsValidation
        self.staleWhileRevalidate = freshness.staleWhileRevalidate
        self.staleIfError = freshness.staleIfError
    }

    /// The value of `Cache-Control` for who asks the gateway; `Age` counts from the gateway's own answer.
    package var cacheControl: String {
        guard !self.forbidsStoring else { return "no-store" }
        var directives: [String] = []
        let seconds = min(self.freshFor.milliseconds / 1000, Self.longest)
        directives.append(seconds > 0 ? "max-age=\(seconds)" : "no-cache")
        if self.isPrivate { directives.append("private") }
        guard seconds > 0 else { return directives.joined(separator: ", ") }
        if self.mustRevalidate { directives.append("must-revalidate") }
        if let window = self.staleWhileRevalidate, !self.mustRevalidate {
            directives.append("stale-while-revalidate=\(min(window.milliseconds / 1000, Self.longest))")
        }
        if let window = self.staleIfError, !self.mustRevalidate {
            directives.append("stale-if-error=\(min(window.milliseconds / 1000, Self.longest))")
        }
        return directives.joined(separator: ", ")
    }
}
