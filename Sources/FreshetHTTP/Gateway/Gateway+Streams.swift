// What every request for a stream has to have before it becomes one, whatever connection it came on.

import FreshetCore
import FreshetStreaming
import System

extension Gateway {
    /// The request with what its events are to be compressed in (CONTRACT §9). Streams of tickets are not: each has bytes of
    /// its own in every event.
    func compressing(_ request: StreamRequest, _ head: RequestHead) -> StreamRequest {
        guard self.settings.compressesStreams, request.claim == nil, self.compression.mayCompress(request.pattern)
        else { return request }
        var request = request
        request.coding = CodingRange.best(acceptEncoding: head.value(of: "accept-encoding"))
        request.variesInCoding = true
        return request
    }

    /// Counts the snapshots of the past that a stream begins with: a client may never read them.
    func hold(_ position: StreamPosition, for client: PeerAddress) throws(Problem) -> UnsentTicket? {
        guard case .past(let start) = position, !start.snapshots.isEmpty else { return nil }
        var held = HeldBytes()
        for snapshot in start.snapshots {
            held.add(snapshot.bytes[...])
        }
        do throws(UnsentRefusal) {
            return try self.unread.desk.hold(held, for: client.readClient)
        } catch {
            self.unread.makeRoom(for: client.readClient, after: error)
            throw .unsent(error)
        }
    }

    /// Asks for a place among the subscribers, and whether its caller may read what it wants of the log.
    func admit(_ request: StreamRequest, from client: PeerAddress) throws(Problem) -> AdmissionTicket {
        if request.position.readsLog { try self.callers.checkReplay(by: request.principal) }
        let view = request.view.isWhole ? nil : request.view.hashValue
        return try self.admit(request.principal, sourceSet: request.sourceSet, view: view, from: client)
    }

    /// Asks for a place among the subscribers: of a stream, or of a socket, which has no sources of its own.
    func admit(
        _ principal: Principal,
        sourceSet: Int?,
        view: Int? = nil,
        from client: PeerAddress
    ) throws(Problem) -> AdmissionTicket {
        let caller = self.callers.streamCaller(of: principal)
        switch self.streams.admit(client, sourceSet: sourceSet, view: view, caller: caller) {
        case .admitted(let ticket):
            return ticket
        case .refused(let reason, let retryAfter):
            let seconds = retryAfter.milliseconds / 1000
            switch reason {
            case .full:
                throw .busy(
                    "too_many_subscribers",
                    "The gateway has reached its limit of streams.",
                    retryAfter: seconds
                )
            case .address:
                throw .busy(
                    "too_many_from_address",
                    "There are too many streams from this address.",
                    retryAfter: seconds
                )
            case .caller:
                throw .overRate(
                    "too_many_streams_of_caller",
                    "This caller has as many streams as limits.max_subscribers_per_caller allows; close some, or come later.",
                    retryAfter: seconds
                )
            case .sourceSets: throw .tooManySourceSets(retryAfter: seconds)
            case .views:
                let detail = "The streams of this gateway name as many different views as limits.max_views allows."
                throw .busy("too_many_views", detail, retryAfter: seconds)
            case .viewsOfAddress:
                let detail =
                    "The streams of this address name too many different views; close some, or follow several items in one."
                let field = AnswerField("Retry-After", "\(max(1, seconds))")
                throw Problem(429, "too_many_views_from_address", detail, fields: [field])
            case .memory:
                throw .busy("short_of_memory", "The gateway is short of memory.", retryAfter: seconds)
            case .draining: throw .draining(retryAfter: seconds)
            }
        }
    }
}

extension Problem {
    static func tooManySourceSets(retryAfter seconds: Int64) -> Problem {
        let detail =
            "The streams of this address name too many different sets of sources; open fewer, or name the same."
        return Problem(
            429,
            "too_many_source_sets",
            detail,
            fields: [AnswerField("Retry-After", "\(max(1, seconds))")]
        )
    }

    static func draining(retryAfter seconds: Int64) -> Problem {
        .busy("draining", "The gateway is shutting down.", retryAfter: seconds)
    }
}
