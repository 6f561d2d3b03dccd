// `GET /v1/durable/{source}?live=sse`: what one reader is sent.

import FreshetCore
import FreshetStreaming
import Synchronization

/// Sends the messages of a durable stream as events, from where its reader stood, and ends after a minute, so that readers
/// spread over new connections. A reader that does not read costs one part.
final class DurableFollower: AnswerParts {
    private struct State: Sendable {
        /// What is sent next, where it is known.
        var page: DurablePage?
        var cursor: Cursor
        /// The last one that was sent.
        var number: UInt64?
        var isOver = false
        /// Counts what the last part holds.
        var held: UnsentTicket?
    }

    private let gateway: Gateway
    private let principal: Principal
    private let inquiry: DurableInquiry
    private let reading: ChangeReading
    private let signal: ChangeSignal
    /// The place among the streams.
    private let ticket: AdmissionTicket
    private let state: Mutex<State>
    private let deadline: ContinuousClock.Instant

    /// How long one stream lasts (Durable Streams §10.2).
    static let lifetime = Duration.seconds(60)

    /// `page`: what it begins with.
    init(
        _ inquiry: DurableInquiry,
        beginning page: DurablePage,
        reading: ChangeReading,
        ticket: AdmissionTicket,
        _ context: GatewayContext,
        of gateway: Gateway
    ) {
        self.gateway = gateway
        self.principal = context.principal
        self.inquiry = inquiry
        self.reading = reading
        self.ticket = ticket
        self.signal = ChangeSignal(
            gateway: gateway,
            source: inquiry.source,
            eventLoop: context.request.eventLoop
        )
        self.deadline = .now + Self.lifetime
        self.state = Mutex(State(page: page, cursor: page.cursor, number: nil))
    }

    func next() async -> [UInt8]? {
        if let first = self.state.withLock({ $0.page.take() }) { return self.part(first) }
        return await self.following()
    }

    func end() {
        self.state.withLock { state in
            state.isOver = true
            state.held = nil
        }
    }

    /// What comes next, once it has come.
    private func following() async -> [UInt8]? {
        let heartbeat = self.gateway.settings.rowHeartbeat
        let cursor = self.state.withLock { $0.cursor }
        await self.signal.change(after: cursor.sequence, upTo: min(heartbeat, max(.zero, self.deadline - .now)))
        guard !Task.isCancelled, !self.state.withLock({ $0.isOver }), .now < self.deadline,
            (try? self.gateway.access.present(self.principal)) != nil,
            self.gateway.hub.name(of: self.inquiry.source) != nil,
            let page = try? await self.reading.next(after: cursor), page.gap == nil
        else { return nil }
        self.gateway.callers.replayed(page.bytes, to: self.principal)
        guard !page.events.isEmpty else {
            self.state.withLock { $0.cursor = page.cursor }
            return Array(":\n\n".utf8)
        }
        let version = self.gateway.hub.version(of: self.inquiry.source)
        return self.part(DurablePage(page, after: cursor, version: version))
    }

    /// - Returns: `nil` where so much waits for clients already that the stream ends.
    private func part(_ page: DurablePage) -> [UInt8]? {
        let number = self.number()
        let text = page.events(number: number)
        var copy = HeldBytes()
        copy.own = text.count
        let client = self.reading.client
        self.state.withLock { $0.held = nil }
        do throws(UnsentRefusal) {
            let held = try self.gateway.unread.desk.hold(copy, for: client)
            self.state.withLock { state in
                state.cursor = page.cursor
                state.number = number
                state.held = held
            }
        } catch {
            self.gateway.unread.makeRoom(for: client, after: error)
            return nil
        }
        return text
    }

    /// Greater than the one that the reader came with, and never less than the one before.
    private func number() -> UInt64 {
        var random = SystemRandomNumberGenerator()
        let last = self.state.withLock { $0.number }
        let known = last == nil ? self.inquiry.known : nil
        return max(last ?? 0, DurableCursor.next(at: WallClock.now, after: known, using: &random))
    }
}
