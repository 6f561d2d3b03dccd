// `/v1/admin`: what changes the gateway, and who may.

import FreshetAccess
import FreshetCore
import FreshetStreaming
import JSON
import NIOCore
import System

struct AdminRoutes: Sendable {
    let gateway: Gateway

    /// The most subscribers in one list.
    static let maxSubscribers = 10_000

    func add(to routes: inout RouteTable) {
        self.route(.post, "/v1/admin/sources/:source/value", bodyLimit: .upload, in: &routes) {
            try await Self.push(self.source($0), $0, self.gateway)
        }
        self.route(.post, "/v1/admin/sources/:source/poll", in: &routes) { try await self.poll($0) }
        self.route(.post, "/v1/admin/sources/:source/pause", in: &routes) { context in
            try await self.report(context) { await self.gateway.control.pause($0) }
        }
        self.route(.post, "/v1/admin/sources/:source/resume", in: &routes) { context in
            try await self.report(context) { await self.gateway.control.resume($0) }
        }
        self.route(.post, "/v1/admin/reload", in: &routes) { _ in try await self.reload() }
        self.route(.post, "/v1/admin/log/backup", in: &routes) { _ in try await self.backup() }
        self.route(.get, "/v1/admin/subscribers", in: &routes) { try await self.subscribers($0) }
        self.route(.delete, "/v1/admin/subscribers/:id", in: &routes) { try await self.close($0) }
    }

    private func route(
        _ method: Route.Method,
        _ path: String,
        bodyLimit: Route.BodyLimit = .dropped,
        in routes: inout RouteTable,
        _ handler: @escaping Route.Handler
    ) {
        routes.on(method, path, for: .administrator, bodyLimit: bodyLimit, isCrossOrigin: false, handler)
    }

    private func source(_ context: GatewayContext) throws(Problem) -> SourceID {
        try SourceSelection.one(context.segment("source").utf8, in: self.gateway.hub, for: context.principal)
    }

    /// Publishes a body as a source's new value.
    static func push(_ source: SourceID, _ context: GatewayContext, _ gateway: Gateway) async throws -> Answer {
        let before = gateway.hub.version(of: source)?.cursor
        // `curl -d` says that it sends a form, whatever it sends: that tells nothing about the value.
        let type = context.request.head.value(of: "content-type")
            .flatMap { $0.lowercased().hasPrefix("application/x-www-form-urlencoded") ? nil : Array($0.utf8) }
        do {
            let body = Array(context.request.body.readableBytesView)
            let cursor = try await gateway.control.push(source, body: body, contentType: type)
            return .json(Array(#"{"cursor":"\#(cursor)","changed":\#(cursor != before)}"#.utf8))
        } catch {
            throw Self.refusal(error, status: 422, code: "value_refused")
        }
    }

    private func poll(_ context: GatewayContext) async throws -> Answer {
        let source = try self.source(context)
        guard self.gateway.hub.report(of: source)?.status.isPolled ?? true else { throw Problem.notPolled }
        do {
            let outcome = try await self.gateway.control.poll(source)
            var json = JSONWriter()
            json.object { json in
                json.member("outcome", outcome.label)
                json.member("cursor", optional: self.gateway.hub.version(of: source)?.cursor.description)
            }
            return .json(json.text)
        } catch {
            throw Self.refusal(error, status: 502, code: "poll_failed")
        }
    }

    /// A failure in a problem's form; its `kind` is that of `last_error`.
    private static func refusal(_ error: UpstreamError, status: Int, code: String) -> Problem {
        var problem = Problem(status, code, error.message)
        problem.members.append(Problem.Member(name: "kind", text: error.kind.rawValue))
        return problem
    }

    private func report(_ context: GatewayContext, after action: (SourceID) async -> Void) async throws -> Answer {
        let source = try self.source(context)
        await action(source)
        guard let report = self.gateway.hub.report(of: source) else { throw Problem.unknownSource() }
        return SourceRoutes.answer(report)
    }

    private func reload() async throws -> Answer {
        guard let reload = self.gateway.reload else {
            throw Problem(501, "not_supported", "This gateway was started without a configuration file to reload.")
        }
        let waiting: [String]
        do {
            // It reads files, which event loops must not wait for: a detached task runs elsewhere.
            waiting = try await Task.detached { try await reload() }.value
        } catch {
            throw Problem(422, "reload_refused", "\(error)")
        }
        var json = JSONWriter()
        json.object { json in
            json.member("reloaded", true)
            json.name("needs_restart")
            json.array { json in for name in waiting { json.string(name) } }
        }
        return .json(json.text)
    }
}

// MARK: - Log

extension AdminRoutes {
    /// Copies the log, on a thread of its own: it takes as long as the disk does.
    private func backup() async throws -> Answer {
        guard let backup = self.gateway.backup else {
            throw Problem(501, "not_supported", "This gateway keeps no log on a disk; set log.path.")
        }
        let result: Result<BackupReport, StoreError> = await withCheckedContinuation { continuation in
            do throws(SystemError) {
                try SystemThread.detach(name: "log-backup") {
                    let result: Result<BackupReport, StoreError>
                    do throws(StoreError) {
                        result = .success(try backup())
                    } catch {
                        result = .failure(error)
                    }
                    continuation.resume(returning: result)
                }
            } catch {
                continuation.resume(returning: .failure(StoreError(.io, "no thread for a backup: \(error)")))
            }
        }
        switch result {
        case .success(let report):
            var json = JSONWriter()
            json.object { json in
                json.member("path", report.path)
                json.member("bytes", report.bytes)
                json.member("cursor", report.cursor.description)
            }
            return .json(json.text)
        case .failure(let error) where error.kind == .locked:
            throw Problem(409, "backup_under_way", "A backup of the log is under way; ask again when it has ended.")
        case .failure(let error):
            throw Problem.busy("backup_failed", "The log was not copied: \(error.message)", retryAfter: 60)
        }
    }
}

// MARK: - Subscribers

extension AdminRoutes {
    private func subscribers(_ context: GatewayContext) async throws -> Answer {
        let sources = self.gateway.hub.sources().map { ($0.id, $0.name) }
        let names = Dictionary(sources, uniquingKeysWith: { first, _ in first })
        let epoch = self.gateway.hub.cursor.epoch
        let reports = await self.gateway.streams.subscribers(limit: Self.maxSubscribers)
        var json = JSONWriter()
        json.object { json in
            json.name("subscribers")
            json.array { json in
                for report in reports {
                    Self.write(report, names: names, epoch: epoch, to: &json)
                }
            }
        }
        return .json(json.text)
    }

    private static func write(
        _ report: SubscriberReport,
        names: [SourceID: String],
        epoch: Epoch,
        to json: inout JSONWriter
    ) {
        json.object { json in
            json.member("id", report.id.description)
            json.member("peer", report.peer.description)
            json.member("subject", optional: report.subject)
            json.name("sources")
            json.array { json in
                for source in report.sources {
                    if let name = names[source] { json.string(name) }
                }
            }
            json.member("mode", report.format.mode.rawValue)
            json.member("format", report.format.wire.name)
            json.member("cursor", Cursor(epoch: epoch, sequence: report.sequence).description)
            json.member("state", report.state.rawValue)
            json.member("since", report.since.description)
        }
    }

    private func close(_ context: GatewayContext) async throws -> Answer {
        let authenticator = self.gateway.access.authenticator
        let id = SubscriberID(String(context.segment("id")))
        // Before its client hears of the end, and comes back with its ticket.
        let revoke = { @Sendable (owner: StreamOwner) in
            if let mark = owner.mark { authenticator?.revokeTicket(mark.ticket) }
        }
        guard let id, await self.gateway.streams.close(id, first: revoke) else {
            throw Problem(404, "unknown_subscriber", "There is no such subscriber.")
        }
        return Answer(204)
    }
}

extension StreamWire {
    /// As administrators see it.
    fileprivate var name: String {
        switch self.form {
        case .eventStream, .markedEventStream: "sse"
        case .jsonLines: "ndjson"
        case .messages, .deflatedMessages: "socket"
        }
    }
}
