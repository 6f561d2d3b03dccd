// Single requests for those who are not polled for: keys of issuers, tokens, writes. They run on a thread of their own, so
// that nothing of theirs delays a poll.

package import FreshetCore
import Synchronization
import System

/// Carries out requests, each with its own URL. Any thread may call.
package final class UpstreamClient: Sendable {
    /// Requests under way at one time; one more is refused. The default is 256.
    package static let maxUnderWay = 256

    private let inbox: ClientInbox
    private let thread: SystemThread

    /// Starts the thread.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where descriptors, memory, threads or libcurl are lacking.
    package init(
        configuration: CurlTransport.Configuration = CurlTransport.Configuration(),
        maxUnderWay: Int = UpstreamClient.maxUnderWay
    ) throws(UpstreamError) {
        try CurlLibrary.prepare()
        let inbox = ClientInbox(wakeUp: try UpstreamError.wrapping(WakeUp.init))
        self.inbox = inbox
        self.thread = try UpstreamError.wrapping { () throws(SystemError) in
            try SystemThread(name: "upstream") {
                // Made on its thread, as libcurl's handles belong to one.
                do throws(UpstreamError) {
                    try ClientLoop(inbox: inbox, configuration: configuration, maxUnderWay: maxUnderWay).run()
                } catch {
                    for command in inbox.close() { command.refuse(error) }
                }
            }
        }
    }

    deinit {
        self.inbox.post(.stop)
        self.thread.join()
    }

    /// Sends a request and returns its answer, whatever its status. Ends with the task.
    ///
    /// - Throws: ``UpstreamError`` where there is no complete answer.
    package func send(
        _ request: ExchangeRequest,
        to url: UpstreamURL,
        _ configuration: ExchangeConfiguration = ExchangeConfiguration()
    ) async throws(UpstreamError) -> ExchangeResponse {
        try await self.carryOut(request, to: url, configuration).result.get()
    }

    /// As ``send(_:to:_:)``, for who has to know how far a request came that has no answer: ``ExchangeEnd/wasSent``.
    package func carryOut(
        _ request: ExchangeRequest,
        to url: UpstreamURL,
        _ configuration: ExchangeConfiguration = ExchangeConfiguration()
    ) async -> ExchangeEnd {
        let id = self.inbox.nextID()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.inbox.post(.send(id, request, url, configuration) { continuation.resume(returning: $0) })
                // A task that was cancelled before has had its handler called already.
                if Task.isCancelled { self.inbox.post(.cancel(id)) }
            }
        } onCancel: {
            self.inbox.post(.cancel(id))
        }
    }
}

/// How a single request ended.
package struct ExchangeEnd: Sendable {
    package var result: Result<ExchangeResponse, UpstreamError>
    /// Some of the request may have left. False only where certainly nothing has.
    package var wasSent: Bool
    /// What the last request took, and what was said; `nil` where none was made.
    package var trace: ExchangeTrace?

    package init(result: Result<ExchangeResponse, UpstreamError>, wasSent: Bool, trace: ExchangeTrace? = nil) {
        self.result = result
        self.wasSent = wasSent
        self.trace = trace
    }
}

/// Where requests go again and again, and how. Requests over equal lines that are not the same share nothing but connections.
package final class UpstreamLine: Sendable {
    package let url: UpstreamURL
    package let configuration: ExchangeConfiguration

    package init(_ url: UpstreamURL, _ configuration: ExchangeConfiguration) {
        self.url = url
        self.configuration = configuration
    }
}
