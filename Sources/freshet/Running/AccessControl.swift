// What stands between the section `auth` and the room that knows credentials: files, requests to issuers, the clock.

import CLinux
import FreshetAccess
import FreshetConfiguration
import FreshetCore
import FreshetStreaming
import FreshetUpstream
import Logging
import ServiceLifecycle

/// The credentials of a gateway, and what keeps them up to date. Any thread.
struct AccessControl: Sendable {
    let authenticator: Authenticator
    /// This gateway's own.
    let ticketKey: TicketKey

    /// `ticketKey`: see ``ticketKey(besideLog:logger:)``. `ticketSharing`: what the gateways of a cluster say of tickets.
    ///
    /// - Throws: ``StartFailure`` with every mistake of the configuration.
    init(
        _ auth: GatewayConfiguration.Auth,
        ticketKey: TicketKey = .random(),
        ticketSharing: (any TicketSharing)? = nil
    ) throws(StartFailure) {
        self.ticketKey = ticketKey
        let client: UpstreamClient
        do throws(UpstreamError) {
            client = try UpstreamClient()
        } catch {
            throw StartFailure("The keys of issuers cannot be fetched: \(error.message)")
        }
        self.authenticator = try Self.authenticator(auth, ticketKey, ticketSharing) {
            try await Self.fetch($0, with: client)
        }
    }

    /// What knows the credentials of a configuration, and asks no issuer for its keys.
    ///
    /// - Throws: as ``init(_:ticketKey:ticketSharing:)``.
    static func offline(_ auth: GatewayConfiguration.Auth) throws(StartFailure) -> Authenticator {
        try self.authenticator(auth, .random(), nil) { _ in throw UpstreamError(.policy, "not asked") }
    }

    private static func authenticator(
        _ auth: GatewayConfiguration.Auth,
        _ ticketKey: TicketKey,
        _ ticketSharing: (any TicketSharing)?,
        fetch: @escaping KeyFetch
    ) throws(StartFailure) -> Authenticator {
        do throws(AccessProblems) {
            return try Authenticator(
                auth.access,
                ticketKey: ticketKey,
                ticketSharing: ticketSharing,
                fetch: fetch,
                clock: { WallTime(milliseconds: clinux_realtime_ns() / 1_000_000) }
            )
        } catch {
            throw StartFailure("\(error)")
        }
    }

    /// Where the key of tickets is kept; `nil` without a log.
    static func ticketKeyPath(besideLog logPath: String?) -> String? {
        logPath.map { "\(FilePath.directory(of: $0))/ticket.key" }
    }

    /// The key of tickets, which is kept beside the change log; without a log tickets end with the process, as its cursors
    /// do. A disk that takes no file ends no service: what is lost with the key is that streams resume after a restart.
    ///
    /// - Throws: ``StartFailure`` where the file cannot be read, or others can read it.
    static func ticketKey(besideLog logPath: String?, logger: Logger) throws(StartFailure) -> TicketKey {
        guard let path = self.ticketKeyPath(besideLog: logPath) else { return .random() }
        do throws(TicketKeyProblem) {
            return try .persisted(at: path)
        } catch {
            guard error.isNotMade else { throw StartFailure("The key of tickets cannot be used: \(error)") }
            logger.warning(
                "the key of tickets is kept in memory alone: their streams do not resume after a restart",
                metadata: ["path": "\(error.path)", "reason": "\(error.text)"]
            )
            return .random()
        }
    }

    /// Redirects of an issuer are answers, and not followed (FAULTS S7).
    private static func fetch(_ request: KeyRequest, with client: UpstreamClient) async throws -> KeyResponse {
        let configuration = ExchangeConfiguration(timeout: request.timeout, maxBodyBytes: request.maxBytes)
        let answer = try await client.send(ExchangeRequest(), to: UpstreamURL(request.url), configuration)
        return KeyResponse(status: answer.status, body: answer.body)
    }
}

/// Fetches the keys of issuers before they are too old, reads the deny list when it changes, and ends the streams of those
/// who lost their rights: within a second of the change, however long an issuer takes to answer.
struct AccessService: Service {
    let authenticator: Authenticator
    let streams: StreamServer
    let hub: Hub
    /// What a stream may go on for at most after its right has ended.
    let heartbeat: Duration

    /// How often files, the age of keys and the revision are looked at. Changes of files are not reported.
    private var interval: Duration { min(.seconds(1), self.heartbeat / 4) }
    /// All streams are looked at so often in any case (FAULTS S9): one may have been on its way to its shard when the others
    /// were.
    private var reviewInterval: Duration { min(.seconds(15), self.heartbeat / 2) }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.keepCredentials() }
                group.addTask { await self.reviewStreams() }
            }
        }
    }

    private func keepCredentials() async {
        while !Task.isCancelled {
            await self.authenticator.maintain()
            // Files and issuers do not tell when they change: they are read at this interval.
            try? await Task.sleep(for: self.interval)
        }
    }

    private func reviewStreams() async {
        var revision = self.authenticator.revision
        var sinceReview = Duration.zero
        while !Task.isCancelled {
            // Rights end by the clock too: the review is periodic. Cancellation ends the wait.
            try? await Task.sleep(for: self.interval)
            sinceReview += self.interval
            let present = self.authenticator.revision
            guard present != revision || sinceReview >= self.reviewInterval else { continue }
            revision = present
            sinceReview = .zero
            self.streams.review { [authenticator, hub] in Self.verdict($0, by: authenticator, hub) }
        }
    }

    /// A stream goes on with what it may still show.
    private static func verdict(_ owner: StreamOwner, by authenticator: Authenticator, _ hub: Hub) -> OwnerVerdict {
        switch authenticator.standing(of: owner.principal) {
        case .expired: return .ends(.expired)
        case .revoked: return .ends(.revoked)
        case .valid(let present):
            let kept = owner.pattern.intersection(present.grants.read)
                .filteringInstances { hub.permits($0, to: present) }
            guard kept != owner.pattern else { return .goesOn }
            return kept == .none ? .ends(.revoked) : .keeps(kept)
        }
    }
}
