// On whose account an instance is.

import FreshetCore

extension InstanceDesk {
    /// Who an instance is counted for.
    struct Caller: Hashable, Sendable {
        private enum Identity: Hashable, Sendable {
            case account(Principal.Account)
            case address(ReadClient)
            case token(Fingerprint)
        }

        private let template: String
        private let identity: Identity

        /// `nil` for administrators, and for anonymous callers of this machine: they may be anybody.
        init?(_ principal: Principal, from client: ReadClient?, template: String) {
            self.template = template
            switch principal.kind {
            case .key, .jwt, .certificate: self.identity = .account(principal.account)
            case .administrator: return nil
            case .anonymous:
                guard let client else { return nil }
                self.identity = .address(client)
            }
        }

        /// Whoever has the token, or this hash.
        init(token: Fingerprint, template: String) {
            self.template = template
            self.identity = .token(token)
        }

        /// What tells it from others, in words.
        var text: String { "\(self.template)\n\(self.identity)" }

        /// `nil` where it is known by more than a hash.
        var fingerprint: Fingerprint? {
            switch self.identity {
            case .token(let token): token
            case .account, .address: nil
            }
        }
    }
}
