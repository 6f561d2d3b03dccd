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

    /// - Throws: ``StartFailure`` with every mistake of the configuration.
    init(_ auth: GatewayConfiguration.Auth) throws(StartFailure) {
        let client: UpstreamClient
        do throws(PollError) {
            client = try UpstreamClient()
        } catch {
            throw StartFailure("The keys of issuers cannot be fetched: \(error.message)")
        }
        self.authenticator = try Self.authenticator(auth) { request in try await Self.fetch(request, with: client) }
    }

    /// What knows the credentials of a configuration, and asks no issuer for its keys.
    ///
    /// - Throws: as ``init(_:)``.
    static func offline(_ auth: GatewayConfiguration.Auth) throws(StartFailure) -> Authenticator {
        try self.authenticator(auth) { _ in throw PollError(.policy, "not asked") }
    }

    private static func authenticator(
        _ auth: GatewayConfiguration.Auth,
        fetch: @escaping KeyFetch
    ) throws(StartFailure) -> Authenticator {
        do throws(AccessProblems) {
            return try Authenticator(
                auth.access,
                // No ticket is issued yet.
                ticketKey: .random(),
                fetch: fetch,
                clock: { WallTime(milliseconds: clinux_realtime_ns() / 1_000_000) }
            )
        } catch {
            throw StartFailure("\(error)")
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

    /// How often files, the age of keys and the revision are looked at. Changes of files are not reported.
    private static let interval = Duration.seconds(1)
    /// All streams are looked at after so many intervals, too (FAULTS S9): one may have been on its way to its shard when
    /// the others were.
    private static let reviewIntervals = 15

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
            try? await Task.sleep(for: Self.interval)
        }
    }

    private func reviewStreams() async {
        var revision = self.authenticator.revision
        var sinceReview = 0
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.interval)
            sinceReview += 1
            let present = self.authenticator.revision
            guard present != revision || sinceReview >= Self.reviewIntervals else { continue }
            revision = present
            sinceReview = 0
            self.streams.review { [authenticator] in Self.verdict($0, by: authenticator) }
        }
    }

    /// A stream that may no longer show all that it does ends: its client comes back to what is left.
    private static func verdict(_ owner: StreamOwner, by authenticator: Authenticator) -> OwnerVerdict {
        switch authenticator.standing(of: owner.principal) {
        case .expired: .ends(.expired)
        case .revoked: .ends(.revoked)
        case .valid(let present):
            owner.pattern.terms.allSatisfy(present.grants.read.covers) ? .goesOn : .ends(.revoked)
        }
    }
}
