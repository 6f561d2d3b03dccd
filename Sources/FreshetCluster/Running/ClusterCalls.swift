// What nodes ask of each other about a source or another unit: the one that owns it does it, once.

package import FreshetCore
import Synchronization

/// Something for the owner of a unit to do.
package enum ClusterCall: Hashable, Sendable {
    case poll
    case pause
    case resume
    case hook
    case push(body: [UInt8], contentType: [UInt8]?)
    /// Of an endpoint of `webhooks`: how it stands. ``pause`` and ``resume`` are answered with that, too.
    case report
    /// Of an endpoint: a message of the kind `test`.
    case test
    case write(WriteCall)
    /// An instance of a template: answered once what is due for those who came just now has been polled.
    case settle
    /// An instance that makes room for another: its owner ends it, unless somebody reads it elsewhere than at this node, where
    /// nobody does.
    case end(by: String)
    /// Of ``ClusterUnit/push``.
    case subscription(PushCall)

    static let maxBody = 256 << 20

    package func encoded(for source: String) -> [UInt8] {
        var writer = RecordWriter()
        writer.put(RecordFormat.version)
        writer.put(source.utf8)
        switch self {
        case .poll: writer.put(UInt8(0))
        case .pause: writer.put(UInt8(1))
        case .resume: writer.put(UInt8(2))
        case .hook: writer.put(UInt8(3))
        case .push(let body, let contentType):
            writer.put(UInt8(4))
            writer.put(body)
            writer.put(contentType)
        case .report: writer.put(UInt8(5))
        case .test: writer.put(UInt8(6))
        case .write(let call):
            writer.put(UInt8(7))
            writer.put(call)
        case .settle: writer.put(UInt8(20))
        case .end(let node):
            writer.put(UInt8(21))
            writer.put(node.utf8)
        case .subscription(let call):
            writer.put(UInt8(8))
            writer.put(call)
        }
        return writer.bytes
    }

    package static func decoded(_ bytes: [UInt8]) -> (source: String, call: ClusterCall)? {
        var reader = RecordReader(bytes[...])
        guard reader.number(UInt8.self) == RecordFormat.version,
            let source = reader.name(), let kind = reader.number(UInt8.self)
        else { return nil }
        switch kind {
        case 0: return (source, .poll)
        case 1: return (source, .pause)
        case 2: return (source, .resume)
        case 3: return (source, .hook)
        case 4:
            guard let body = reader.text(atMost: Self.maxBody), let type = reader.optionalText(atMost: 1024) else {
                return nil
            }
            return (source, .push(body: Array(body), contentType: type))
        case 5: return (source, .report)
        case 6: return (source, .test)
        case 7:
            guard let write = reader.writeCall(of: source), reader.isAtEnd else { return nil }
            return (source, .write(write))
        case 20: return (source, .settle)
        case 21:
            guard let node = reader.name() else { return nil }
            return (source, .end(by: node))
        case 8:
            guard let call = reader.pushCall(), reader.isAtEnd else { return nil }
            return (source, .subscription(call))
        default: return nil
        }
    }
}

/// What the owner answers.
package enum ClusterReply: Hashable, Sendable {
    case done
    case polled(PollOutcome)
    case pushed(Cursor)
    case wrote(WriteAnswer)
    case failed(UpstreamError.Kind, String)
    case webhook(WebhookStanding)
    case tried(WebhookTryReport)
    /// The source stands so, and what was polled of it is at or before this position. With the failure of its last poll.
    case settled(SourceState, Cursor, UpstreamError?)
    case subscription(PushReply)
    /// The node does not own the source.
    case notOwner

    private static let outcomes: [PollOutcome] = [.notModified, .unchanged, .changed, .superseded]

    package var encoded: [UInt8] {
        var writer = RecordWriter()
        writer.put(RecordFormat.version)
        switch self {
        case .done: writer.put(UInt8(0))
        case .polled(let outcome):
            writer.put(UInt8(1))
            writer.put(UInt8(clamping: Self.outcomes.firstIndex(of: outcome) ?? 1))
        case .pushed(let cursor):
            writer.put(UInt8(2))
            writer.put(cursor.description.utf8)
        case .failed(let kind, let message):
            writer.put(UInt8(3))
            writer.put(kind.rawValue.utf8)
            writer.put(message.utf8)
        case .notOwner: writer.put(UInt8(4))
        case .webhook(let standing):
            writer.put(UInt8(5))
            writer.put(standing)
        case .tried(let report):
            writer.put(UInt8(6))
            writer.put(report)
        case .wrote(let answer):
            writer.put(UInt8(7))
            writer.put(answer)
        case .settled(let state, let cursor, let failure):
            writer.put(UInt8(20))
            writer.put(state.rawValue.utf8)
            writer.put(cursor.description.utf8)
            writer.put(failure.map { Array($0.kind.rawValue.utf8) })
            writer.put((failure?.message ?? "").utf8)
        case .subscription(let reply):
            writer.put(UInt8(8))
            writer.put(reply)
        }
        return writer.bytes
    }

    /// The reply as a message of so many bytes can hold it: the answer to a write without its values where it must be.
    package func encoded(atMost limit: Int) -> [UInt8] {
        let whole = self.encoded
        guard whole.count > limit, case .wrote(let answer) = self, let reduced = answer.reduced else { return whole }
        return ClusterReply.wrote(reduced).encoded
    }

    package init?(_ bytes: [UInt8]) {
        var reader = RecordReader(bytes[...])
        guard reader.number(UInt8.self) == RecordFormat.version else { return nil }
        switch reader.number(UInt8.self) {
        case 0: self = .done
        case 1:
            guard let index = reader.number(UInt8.self), Self.outcomes.indices.contains(Int(index)) else { return nil }
            self = .polled(Self.outcomes[Int(index)])
        case 2:
            guard let cursor = reader.string(atMost: Cursor.maxTextBytes).flatMap({ Cursor($0) }) else { return nil }
            self = .pushed(cursor)
        case 3:
            guard let kind = reader.string(atMost: 64).flatMap({ UpstreamError.Kind(rawValue: $0) }),
                let message = reader.string(atMost: 64 << 10)
            else { return nil }
            self = .failed(kind, message)
        case 4: self = .notOwner
        case 5:
            guard let standing = reader.webhookStanding() else { return nil }
            self = .webhook(standing)
        case 6:
            guard let report = reader.webhookTry() else { return nil }
            self = .tried(report)
        case 7:
            guard let answer = reader.writeAnswer(), reader.isAtEnd else { return nil }
            self = .wrote(answer)
        case 20:
            guard let state = reader.string(atMost: 32).flatMap({ SourceState(rawValue: $0) }),
                let cursor = reader.string(atMost: Cursor.maxTextBytes).flatMap({ Cursor($0) }),
                let name = reader.optionalText(atMost: 64), let message = reader.string(atMost: 64 << 10)
            else { return nil }
            var failure: UpstreamError?
            if let name {
                guard let kind = UpstreamError.Kind(rawValue: String(decoding: name, as: UTF8.self)) else { return nil }
                failure = UpstreamError(kind, message)
            }
            self = .settled(state, cursor, failure)
        case 8:
            guard let push = reader.pushReply(), reader.isAtEnd else { return nil }
            self = .subscription(push)
        default: return nil
        }
    }
}

extension ClusterLog {
    /// Whether a message can hold a call.
    package func canCarry(_ call: ClusterCall, of source: String) -> Bool {
        call.encoded(for: source).count <= self.stream.maxPayloadBytes
    }

    /// Asks the owner of a source. Where no heartbeat of that node is heard any more, its answer is not waited for.
    package func call(
        _ call: ClusterCall,
        of source: String,
        at node: String,
        timeout: Duration,
        done: @escaping @Sendable (Result<ClusterReply, StreamFailure>) -> Void
    ) {
        let subject = self.settings.subjects.requests(to: node)
        let id = self.shared.withLock { shared in
            shared.lastCall += 1
            shared.calls[shared.lastCall] = (node, done)
            return shared.lastCall
        }
        self.stream.request(subject, call.encoded(for: source), timeout: timeout) { [weak self] result in
            let reply = result.flatMap { bytes -> Result<ClusterReply, StreamFailure> in
                ClusterReply(bytes).map { .success($0) }
                    ?? .failure(StreamFailure(.other, "the answer of another gateway cannot be read"))
            }
            self?.endCall(id, reply)
        }
    }

    private func endCall(_ id: UInt64, _ reply: Result<ClusterReply, StreamFailure>) {
        let call = self.shared.withLock { $0.calls.removeValue(forKey: id) }
        call?.done(reply)
    }

    /// Ends the calls to nodes of which no heartbeat is heard any more.
    func endCalls(to gone: Set<String>) {
        guard !gone.isEmpty else { return }
        let ended = self.shared.withLock { shared in
            let calls = shared.calls.filter { gone.contains($0.value.node) }
            for id in calls.keys { shared.calls[id] = nil }
            return calls
        }
        for call in ended.values { call.done(.failure(StreamFailure(.gone, "no heartbeat of it is heard any more"))) }
    }

    /// Answers what other nodes ask of this one, and takes what they tell all.
    package func serve(
        calls: @escaping @Sendable (String, ClusterCall, @escaping @Sendable (ClusterReply) -> Void) -> Void,
        announcements: @escaping @Sendable (ClusterAnnouncement) -> Void
    ) {
        let stream = self.stream
        stream.serve(self.settings.subjects.requests(to: self.settings.node)) { [weak stream] request in
            guard let (source, call) = ClusterCall.decoded(request.payload) else {
                return request.answer(ClusterReply.failed(.internal, "a request that cannot be read").encoded)
            }
            let limit = stream?.maxPayloadBytes ?? 0
            calls(source, call) { request.answer($0.encoded(atMost: limit)) }
        }
        let node = self.settings.node
        self.stream.serve(self.settings.subjects.announcements) { request in
            guard let announcement = ClusterAnnouncement(request.payload), announcement.node != node else { return }
            announcements(announcement)
        }
    }

    package func announce(_ announcement: ClusterAnnouncement) {
        self.stream.send(self.settings.subjects.announcements, announcement.encoded)
    }
}
