// The moment in which a connection becomes a stream: checked, duplicated, and given to a shard.

import CLinux
import FreshetCore
import FreshetStreaming
import NIOCore

extension ConnectionHandler {
    /// Answers a request below ``StreamRequest/pathPrefix``.
    func stream(_ head: RequestHead, context: ChannelHandlerContext) {
        switch head.method {
        case "GET", "HEAD":
            do {
                try self.open(head, context: context)
            } catch {
                self.answer(self.responder.allow(head, error.answer), to: head, context: context)
            }
        case "OPTIONS":
            self.answer(self.responder.options(head, methods: StreamRequest.methods), to: head, context: context)
        default:
            let problem = Problem.methodNotAllowed(StreamRequest.methods)
            self.answer(self.responder.allow(head, problem.answer), to: head, context: context)
        }
    }

    private func open(_ head: RequestHead, context: ChannelHandlerContext) throws(Problem) {
        let request = try StreamRequest(head, hub: self.gateway.hub)
        var answer = self.responder.allow(head, request.answer)
        guard head.method == "GET" else {
            answer.isStream = true
            return self.answer(answer, to: head, context: context)
        }
        let ticket = try self.admit(request)
        let descriptor = try self.duplicate(context)
        let isChunked = head.version == .http11
        let bytes = AnswerHead.bytes(
            answer,
            framing: isChunked ? .chunked : .close,
            keepsAlive: isChunked && head.keepsAlive,
            version: head.version,
            now: WallClock.now
        )
        self.log(head, status: 200)
        self.gateway.counters.handedOver()
        self.leave(context)
        let streams = self.gateway.streams
        // A time has to be looked up first, perhaps on the disk.
        self.gateway.hub.locate(request.position, of: request.sources, format: request.format) { position in
            streams.adopt(
                StreamHandover(
                    descriptor: descriptor,
                    sources: request.sources,
                    selector: request.selector,
                    format: request.format,
                    position: position,
                    head: bytes,
                    isChunked: isChunked,
                    ticket: ticket
                )
            )
        }
    }

    private func admit(_ request: StreamRequest) throws(Problem) -> AdmissionTicket {
        switch self.gateway.streams.admit(self.client, sourceSet: request.sourceSet) {
        case .admitted(let ticket):
            return ticket
        case .refused(let reason, let retryAfter):
            let seconds = retryAfter.milliseconds / 1000
            switch reason {
            case .full: throw .busy("too_many_subscribers", "The gateway has no room for more.", retryAfter: seconds)
            case .address:
                throw .busy(
                    "too_many_from_address",
                    "There are too many streams from this address.",
                    retryAfter: seconds
                )
            case .sourceSets:
                let detail =
                    "The streams of this address name too many different sets of sources; open fewer, or name the same."
                let field = AnswerField("Retry-After", "\(max(1, seconds))")
                throw Problem(429, "too_many_source_sets", detail, fields: [field])
            case .memory:
                throw .busy("short_of_memory", "The gateway has no memory for more.", retryAfter: seconds)
            case .draining: throw .busy("draining", "The gateway is shutting down.", retryAfter: seconds)
            }
        }
    }

    /// A second descriptor of the connection, owned by the caller.
    private func duplicate(_ context: ChannelHandlerContext) throws(Problem) -> Int32 {
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
