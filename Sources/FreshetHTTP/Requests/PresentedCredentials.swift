// Where a request may hold credentials (CONTRACT §8).

import FreshetAccess
import FreshetCore
import HTTPFields

/// What a request presents.
enum Presented: Sendable {
    case credentials(Credentials)
    /// A field that holds no credential that this gateway knows the form of.
    case malformed
}

/// Finds credentials in requests. A value; performs no I/O.
struct CredentialReader: Sendable {
    /// The cookie that may hold one.
    let cookie: String?
    /// `?access_token=` may hold one.
    let allowsQueryToken: Bool
    let crossOrigin: CrossOrigin

    func read(_ head: RequestHead) -> Presented {
        var credentials = Credentials()
        for value in head.values(of: "authorization") {
            guard let token = Self.bearerToken(value) else { return .malformed }
            credentials.present(.bearer(Secret(String(token))))
        }
        for value in head.values(of: "x-api-key") { credentials.present(.apiKey(Secret(value))) }
        let query = QueryString(head.query)
        for value in query.values(of: "ticket") { credentials.present(.ticket(Secret(value))) }
        if self.allowsQueryToken {
            for value in query.values(of: "access_token") { credentials.present(.queryToken(Secret(value))) }
        }
        for value in self.cookies(of: head) { credentials.present(.cookie(Secret(String(value)))) }
        return .credentials(credentials)
    }

    /// The token of `Bearer TOKEN` (RFC 6750 §2.1).
    static func bearerToken(_ value: String) -> Substring? {
        let parts = value.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].utf8.equals(ignoringCase: "bearer") else { return nil }
        return parts[1].drop { $0 == " " }
    }

    /// The values of our cookie. A browser sends it along whoever asked it to: so it counts where the page that asked is
    /// ours or a listed one, and for reading also where no page says that it asked (FAULTS S4).
    private func cookies(of head: RequestHead) -> [Substring] {
        guard let cookie, self.crossOrigin.mayUseCookie(head) else { return [] }
        return head.values(of: "cookie").flatMap { $0.split(separator: ";") }.compactMap { pair in
            let pair = pair.drop { $0 == " " }
            guard let mark = pair.firstIndex(of: "="), pair[..<mark].utf8.elementsEqual(cookie.utf8) else { return nil }
            return pair[pair.index(after: mark)...]
        }
    }
}
