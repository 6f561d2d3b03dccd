// Which redirects an exchange follows, and which of its fields go along.

import FreshetCore

/// The redirects that exchanges with one URL follow.
struct RedirectRule {
    /// What a target is to the source.
    enum Target: Hashable {
        /// Of the origin of the configured URL.
        case home
        /// Listed in the configuration: its addresses may be private.
        case listed
        /// Chosen by the upstream alone: its addresses must be public (FAULTS S16).
        case chosen
    }

    /// Fields that name no one and open nothing, and therefore may go to another origin (FAULTS S19).
    static let harmlessFields: Set<String> = ["accept", "accept-encoding", "accept-language", "user-agent"]

    private let home: Origin
    private let listed: Set<Origin>
    private let allowsAny: Bool
    /// Without it redirects are answers.
    let follows: Bool

    init(_ redirects: SourceConfiguration.Redirects?, home: Origin) {
        self.home = home
        self.follows = redirects != nil && redirects != .refused
        switch redirects {
        case .sameOrigin, .refused, nil: (self.listed, self.allowsAny) = ([], false)
        case .any: (self.listed, self.allowsAny) = ([], true)
        case .origins(let texts): (self.listed, self.allowsAny) = (Set(texts.compactMap { Origin($0) }), false)
        }
    }

    /// Whether a redirect to the origin is followed.
    ///
    /// - Throws: ``UpstreamError`` of kind `redirect` where it is not.
    func target(_ origin: Origin) throws(UpstreamError) -> Target {
        if origin == self.home { return .home }
        if self.listed.contains(origin) { return .listed }
        guard self.allowsAny else {
            throw UpstreamError(
                .redirect,
                "redirected to another origin, \(origin); if that is right, list it under `redirects`, or configure the "
                    + "new URL"
            )
        }
        guard self.home.scheme != "https" || origin.scheme == "https" else {
            throw UpstreamError(
                .redirect,
                "redirected from https to \(origin), where anyone on the network path can change the value; if that is "
                    + "right, list it under `redirects`"
            )
        }
        return .chosen
    }

    /// The configured fields that a request to the target carries.
    static func fields(_ fields: [SourceConfiguration.Field], to target: Target) -> [SourceConfiguration.Field] {
        target == .home ? fields : fields.filter { self.harmlessFields.contains($0.name.lowercased()) }
    }
}

extension Origin: CustomStringConvertible {
    /// `nil` unless the text is an absolute URL of http or https.
    package init?(_ text: String) {
        guard let url = try? UpstreamURL(text) else { return nil }
        self = url.origin
    }

    /// As in a URL, with the port also where it is the scheme's own.
    package var description: String { "\(self.scheme)://\(self.host):\(self.port)" }
}
