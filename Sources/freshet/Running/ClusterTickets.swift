// Tickets of a cluster: what stands between its stream and those who issue and redeem them.

import FreshetAccess
import FreshetCluster
import FreshetCore
import FreshetStreaming
import Logging
import Synchronization

/// Brings all gateways to one key of tickets, and does what others say of a ticket. Any thread may call.
final class ClusterTickets: Sendable {
    private let log: ClusterLog
    private let authenticator: Authenticator
    private let streams: StreamServer
    /// Where the key is kept for the next process; `nil` where it is not.
    private let path: String?
    private let logger: Logger
    private let agreement: Mutex<KeyAgreement>

    init(
        _ log: ClusterLog,
        key: TicketKey,
        keptAt path: String?,
        authenticator: Authenticator,
        streams: StreamServer,
        logger: Logger
    ) {
        self.path = path
        self.log = log
        self.authenticator = authenticator
        self.streams = streams
        self.logger = logger
        self.agreement = Mutex(KeyAgreement(own: key.bytes))
    }

    /// To be called when the broker can be asked, and then every second.
    func tick() {
        self.carryOut(self.agreement.withLock { $0.timePassed(now: .now) })
    }

    private func carryOut(_ action: KeyAgreement.Action?) {
        switch action {
        case nil: break
        case .ask:
            self.log.readTicketKey { [weak self] result in
                guard let self else { return }
                self.carryOut(self.agreement.withLock { $0.answered(result, now: .now) })
            }
        case .publish(let record):
            self.log.writeTicketKey(record) { [weak self] outcome in
                guard let self else { return }
                self.carryOut(self.agreement.withLock { $0.published(outcome, now: .now) })
            }
        case .adopt(let bytes):
            guard let key = TicketKey(bytes: bytes) else { return }
            self.authenticator.adopt(key)
            // Not on the thread of the broker's answers.
            Task { self.keep(key) }
        }
    }

    /// So that the next process knows the tickets of this one before it has asked the broker.
    private func keep(_ key: TicketKey) {
        self.logger.info("tickets are sealed with the key of the cluster")
        guard let path else { return }
        do throws(TicketKeyProblem) {
            try key.replace(at: path)
        } catch {
            self.logger.warning(
                "the cluster's key of tickets cannot be kept: after a restart it is asked for again",
                metadata: ["path": "\(error.path)", "reason": "\(error.text)"]
            )
        }
    }

    func heard(_ notice: TicketNotice) {
        switch notice {
        case .resumed(let ticket): self.streams.endStreams(of: ticket)
        case .revoked(let ticket): self.authenticator.ticketRevoked(ticket)
        }
    }
}

extension ClusterDesk {
    /// What brings the tickets of this gateway together with those of the others.
    func tickets(_ access: AccessControl, keptAt path: String?, streams: StreamServer) -> ClusterTickets {
        ClusterTickets(
            self.log,
            key: access.ticketKey,
            keptAt: path,
            authenticator: access.authenticator,
            streams: streams,
            logger: self.logger
        )
    }
}
