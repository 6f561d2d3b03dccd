// Values in several pages: each page is a request that waits its turn like any other; what comes of them is one poll.

import FreshetCore
import FreshetUpstream
import Synchronization

extension PollLane {
    /// Begins a read, or goes on with it.
    func startPage(_ source: PolledSource, _ pagination: Pagination, now: MonotonicTime) {
        let reading = source.reading ?? self.reading(source, pagination, now: now)
        source.reading = reading
        self.inbox.metrics.withLock { $0.pageRequests += 1 }
        do throws(UpstreamError) {
            let url = try UpstreamURL(reading.request.url)
            let poll = PollRequest(validators: reading.request.validators)
            var request = ExchangeRequest(poll, of: source.machine.configuration, page: url)
            if let traced = source.traced { request.fields = traced.fields }
            self.transport.start(ExchangeID(source.id), request, now: now)
        } catch {
            self.transport.fail(ExchangeID(source.id), error)
        }
    }

    private func reading(_ source: PolledSource, _ pagination: Pagination, now: MonotonicTime) -> PolledSource.Reading {
        let configuration = source.machine.configuration
        var read = PagedRead(
            configuration,
            pagination,
            known: source.group.pages,
            isConditional: source.group.mayBeConditional(verifyEvery: configuration.verifyEvery)
        )
        let request = read.begin()
        return PolledSource.Reading(read: read, request: request, since: now)
    }

    /// Takes an answer to the read.
    ///
    /// - Returns: How the poll has ended; `nil` where another page comes.
    func pageEnded(_ source: PolledSource, _ result: Result<ExchangeResponse, UpstreamError>, now: MonotonicTime)
        -> PollEnd?
    {
        guard var reading = source.reading else { return .answer(result) }
        let response: ExchangeResponse
        do throws(UpstreamError) {
            response = try result.get()
        } catch {
            source.reading = nil
            return .answer(.failure(error))
        }
        let step = reading.read.received(response)
        switch step {
        case .ask(let request):
            reading.request = request
            source.reading = reading
            return nil
        case .whole(let pages, let isChanged):
            source.reading = nil
            source.group.took(pages, isChanged: isChanged)
            return .pages(pages, last: response, wireBytes: reading.read.wireBytes, joined: nil)
        case .refused(let response):
            source.reading = nil
            return .answer(.success(response))
        case .failed(let error):
            source.reading = nil
            return .answer(.failure(error))
        }
    }

    /// The next page of a read is due now.
    func queuePage(_ source: PolledSource, now: MonotonicTime) {
        source.activity = .scheduled
        source.due = now
        self.queue.set(source.id, due: now)
    }
}
