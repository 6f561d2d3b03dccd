// The moment in which a connection becomes a stream: checked, duplicated, and given to a shard.

import CLinux
import FreshetCore
import FreshetStreaming
import NIOCore
import TLS

extension ConnectionHandler {
    /// Answers a request whose route is a stream.
    func stream(_ plan: RequestPlan, _ route: Route, context: ChannelHandlerContext) {
        let head = plan.head
        let names = (plan.match?.parameters[StreamRequest.parameter] ?? "").utf8
        let hub = self.gateway.hub
        do throws(Problem) {
            switch try self.responder.streamCaller(plan, names: names, by: self.listener, for: route) {
            case .principal(let principal):
                let request = try StreamRequest(head, names: names, hub: hub, principal: principal, from: self.client)
                try self.open(request, head, context: context)
            case .ticket(let claim):
                let request = try StreamRequest(
                    head,
                    names: names,
                    hub: hub,
                    principal: claim.principal,
                    from: self.client,
                    claim: claim
                )
                try self.open(request, head, context: context)
            case .dead:
                var answer = Answer(204, fields: [AnswerField("Cache-Control", "no-store")])
                answer.isRefusal = true
                self.answer(self.responder.allow(head, answer), to: head, context: context)
            }
        } catch {
            self.answer(self.responder.allow(head, error.answer), to: head, context: context)
        }
    }

    private func open(
        _ request: StreamRequest,
        _ head: RequestHead,
        context: ChannelHandlerContext
    ) throws(Problem) {
        let request = self.gateway.compressing(request, head)
        guard head.method == "GET" else {
            var answer = self.responder.allow(head, request.answer)
            answer.isStream = true
            return self.answer(answer, to: head, context: context)
        }
        let ticket = try self.gateway.admit(request, from: self.client)
        guard self.gateway.hub.isToBeLocated(request.position) else {
            return try self.handOver(request, at: request.position, head, ticket, context: context)
        }
        // Looked up first, perhaps on the disk. Until then the connection stays here, so that the read is given up with
        // it.
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let (hub, client, eventLoop) = (self.gateway.hub, self.client.readClient, context.eventLoop)
        self.task = Task(executorPreference: LoopExecutor(eventLoop)) {
            let located: Result<StreamPosition, ReadRefusal>
            do throws(ReadRefusal) {
                located = .success(
                    try await hub.locate(
                        request.position,
                        of: request.sources,
                        in: request.view,
                        needs: .events(request.format.wire),
                        for: client
                    )
                )
            } catch {
                located = .failure(error)
            }
            eventLoop.execute {
                let (handler, context) = bound.value
                handler.located(located, request, head, ticket, context: context)
            }
        }
    }

    private func located(
        _ position: Result<StreamPosition, ReadRefusal>,
        _ request: StreamRequest,
        _ head: RequestHead,
        _ ticket: AdmissionTicket,
        context: ChannelHandlerContext
    ) {
        guard self.isAnswering else { return }
        self.task = nil
        do throws(Problem) {
            switch position {
            case .success(let position): try self.handOver(request, at: position, head, ticket, context: context)
            case .failure(let refusal): throw .unread(refusal)
            }
        } catch {
            self.answer(self.responder.allow(head, error.answer), to: head, context: context)
        }
    }

    /// Gives the connection to a shard.
    private func handOver(
        _ request: StreamRequest,
        at position: StreamPosition,
        _ head: RequestHead,
        _ ticket: AdmissionTicket,
        context: ChannelHandlerContext
    ) throws(Problem) {
        let held = try self.gateway.hold(position, for: self.client)
        let descriptor = try self.duplicate(context)
        guard let socket = self.socket(descriptor, isStream: true) else { return }
        let framing: Framing = head.version == .http11 ? .chunked : .closeDelimited
        let bytes = AnswerHead.bytes(
            self.responder.allow(head, request.answer),
            framing: framing == .chunked ? .chunked : .close,
            keepsAlive: framing == .chunked && head.keepsAlive,
            version: head.version,
            now: WallClock.now
        )
        request.claim?.use()
        self.log(head, status: 200)
        self.gateway.counters.handedOver()
        self.leave(context)
        self.gateway.streams.adopt(
            StreamHandover(
                connection: socket,
                sources: request.sources,
                pattern: request.pattern,
                format: request.format,
                view: request.view,
                position: position,
                head: bytes,
                framing: framing,
                coding: request.coding,
                ticket: ticket,
                held: held,
                owner: self.gateway.access.owner(of: request),
                holds: request.holds
            )
        )
    }

    /// The connection as it leaves, with its session where it has one; `nil` where that has failed, and the connection is
    /// being closed. `isStream`: the client has nothing more to say, so that the session can be detached.
    func socket(_ descriptor: Int32, isStream: Bool = false) -> Socket? {
        guard let tls else { return Socket(descriptor: descriptor) }
        guard let session = tls.takeSession() else {
            _ = clinux_close(descriptor)
            return nil
        }
        if isStream, let detached = session.detach() {
            return Socket(descriptor: descriptor, detached: DetachedHandover(detached))
        }
        return Socket(descriptor: descriptor, session: session)
    }

    /// A second descriptor of the connection, owned by the caller.
    func duplicate(_ context: ChannelHandlerContext) throws(Problem) -> Int32 {
        // Bytes that NIO still holds would be lost with the channel. An answer has left before the next request is
        // looked at, so only an interim answer can wait here.
        let waiting = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)
        guard waiting ?? 0 == 0 else {
            throw .busy("client_too_slow", "The connection does not take its bytes.", retryAfter: 1)
        }
        let descriptor = try? context.channel.pipeline.syncOperations
            .withUnsafeTransportIfAvailable(of: CInt.self) { clinux_dup($0) }
        guard let descriptor, descriptor >= 0 else {
            throw .busy(
                "no_descriptor",
                "The gateway is out of file descriptors.",
                retryAfter: Int64.random(in: 1...10)
            )
        }
        return descriptor
    }
}
