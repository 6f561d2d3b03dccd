// What each caller of the matrix may do, said once more in the plainest words: no type of the gateway has a part in it.

/// Three tenants with fifty sources: who may do what, and what the answer to it is.
enum AccessOracle {
    static let tenants = ["north", "south", "east"]

    /// 16 sources of each tenant, one that all tenants share, one that is for everybody.
    static let sources =
        tenants.flatMap { tenant in (0..<16).map { "\(tenant)-\($0 < 10 ? "0" : "")\($0)" } } + ["shared", "lobby"]

    enum Credential: String, CaseIterable {
        case key, jwt, cookie, certificate, ticket, none
    }

    enum Action: String, CaseIterable {
        case stream, value, changes, write, publish, admin, push
    }

    /// Tenants read their first ten sources and the shared one.
    static func mayRead(_ tenant: String, _ source: String) -> Bool {
        source == "shared" || source.hasPrefix(tenant + "-0")
    }

    /// Of those they publish the first two, and one that they may not read.
    static func mayPublish(_ tenant: String, _ source: String) -> Bool {
        source == tenant + "-00" || source == tenant + "-01" || source == tenant + "-15"
    }

    /// They write the first two, and another one that they may not read.
    static func mayWrite(_ tenant: String, _ source: String) -> Bool {
        source == tenant + "-00" || source == tenant + "-01" || source == tenant + "-14"
    }

    /// `east` administers, but never by its cookie.
    static func mayAdminister(_ tenant: String, by credential: Credential) -> Bool {
        tenant == "east" && credential != .cookie && credential != .none
    }

    /// A ticket is for the sources that its owner may read, and opens a stream of them, or a socket, and nothing else.
    private static func statusByTicket(_ tenant: String, _ action: Action, _ source: String) -> Int {
        guard action == .stream else { return 401 }
        return self.sources.contains(source) && self.mayRead(tenant, source) ? 200 : 404
    }

    /// The status of the answer. A source that is not among ``sources`` does not exist.
    static func status(_ tenant: String, _ credential: Credential, _ action: Action, _ source: String) -> Int {
        let exists = self.sources.contains(source)
        if credential == .ticket { return self.statusByTicket(tenant, action, source) }
        if credential == .none {
            switch action {
            case .stream, .value, .changes: return source == "lobby" ? 200 : 401
            case .push: return source == "lobby" ? 201 : 401
            case .write, .publish, .admin: return 401
            }
        }
        switch action {
        case .stream, .value, .changes: return exists && self.mayRead(tenant, source) ? 200 : 404
        case .push: return exists && self.mayRead(tenant, source) ? 201 : 404
        case .write: return exists && self.mayWrite(tenant, source) ? 200 : 404
        case .publish: return exists && self.mayPublish(tenant, source) ? 200 : 404
        case .admin:
            guard self.mayAdminister(tenant, by: credential) else { return 403 }
            return exists && self.mayRead(tenant, source) ? 200 : 404
        }
    }

    /// What `*` means.
    static func readable(_ tenant: String, _ credential: Credential) -> Set<String> {
        Set(self.sources.filter { credential == .none ? $0 == "lobby" : self.mayRead(tenant, $0) })
    }
}
