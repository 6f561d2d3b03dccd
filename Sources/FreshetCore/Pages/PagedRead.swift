// One read of a value in several pages: which page comes next, whether they belong together, and what came of it (FAULTS
// F37). All pages or nothing.
//
// A page is read at a time of its own, and the collection may change meanwhile: items move between pages, and a read that
// took them as they came would lose some and count others twice. So a read in which any page differs from what was known
// is followed by one pass over the same pages, which is cheap where they have validators. Where every page is still as it
// was read, all of them were so at the moment between the two passes, and are one state of the collection. Otherwise the
// read is torn, and says nothing.

import HTTPFields
import JSON

/// Decides each request of one read. A value: reads no clock, and asks nobody.
package struct PagedRead: Sendable {
    /// One page to ask for.
    package struct Request: Hashable, Sendable {
        package var url: String
        package var validators: Validators
    }

    /// What is to be done after an answer.
    package enum Step: Sendable {
        case ask(Request)
        /// The pages belong together. `isChanged`: they differ from what was known.
        case whole(PageSet, isChanged: Bool)
        /// The answer is for the source to judge, as if it were that of a single request.
        case refused(ExchangeResponse)
        case failed(UpstreamError)
    }

    private enum Pass {
        case reading
        /// Looks at the page of this index once more.
        case confirming(Int)
    }

    private let configuration: SourceConfiguration
    private let pagination: Pagination
    private let reader: PageReader
    private let known: PageSet?
    private var knownPages: [String: Page] = [:]

    private var pass = Pass.reading
    private var pages: [Page] = []
    private var rule: PageRule?
    private var items: Pointer?
    private var isChanged = false
    private var request: Request
    /// The page was asked for again, without a condition.
    private var isRepeated = false
    private var seen: Set<String> = []
    private var bytes = 0
    /// Requests so far.
    package private(set) var requests = 0
    /// Of all answers, on the wire.
    package private(set) var wireBytes = 0

    /// `known`: the pages of the last read. `isConditional`: ask only for what differs from them.
    package init(_ configuration: SourceConfiguration, _ pagination: Pagination, known: PageSet?, isConditional: Bool) {
        self.configuration = configuration
        self.pagination = pagination
        self.reader = PageReader(configuration, pagination)
        self.known = known
        if isConditional, let known {
            for page in known.pages { self.knownPages[page.url] = page }
        }
        self.rule = self.reader.rule
        self.items = nil
        self.request = Request(url: self.reader.firstURL, validators: Validators())
    }

    /// The first request.
    package mutating func begin() -> Request { self.ask(self.request.url) }

    private mutating func ask(_ url: String) -> Request {
        self.seen.insert(url)
        self.isRepeated = false
        let isConditional = self.configuration.method == .get
        let validators: Validators
        if case .confirming(let index) = self.pass, self.pages.indices.contains(index) {
            validators = self.pages[index].validators
        } else {
            validators = self.knownPages[url]?.validators ?? Validators()
        }
        self.requests += 1
        self.request = Request(url: url, validators: isConditional ? Self.condition(validators) : Validators())
        return self.request
    }

    /// The tag, or the date where there is none (RFC 9110 §13.1.3).
    private static func condition(_ validators: Validators) -> Validators {
        validators.etag == nil ? validators : Validators(etag: validators.etag, url: validators.url)
    }

    /// The answer to the last request.
    package mutating func received(_ response: ExchangeResponse) -> Step {
        self.wireBytes = self.wireBytes.addingClamped(response.wireBytes)
        let sent = self.request.validators.applying(to: response.url)
        do throws(UpstreamError) {
            switch AnswerMeaning(response, to: sent, configuration: self.configuration) {
            case .representation where response.status != 204:
                return try self.pageReceived(response)
            case .unchanged:
                return try self.pageConfirmed(response)
            case .refusedCondition where !self.isRepeated:
                self.isRepeated = true
                self.requests += 1
                self.request.validators = Validators()
                return .ask(self.request)
            case .missing where self.isFirst, .representation where self.isFirst:
                return .refused(response)
            case .missing, .representation:
                throw Self.refusal(response)
            case .refusal where response.status == 410 && !self.isFirst:
                // The page is gone, and not the value.
                throw Self.refusal(response)
            case .unasked, .refusedCondition, .refusal:
                return .refused(response)
            }
        } catch {
            return .failed(self.located(error))
        }
    }

    private static func refusal(_ response: ExchangeResponse) -> UpstreamError {
        UpstreamError(status: response.status, ResponseFreshness(fields: response.fields, wallNow: 0))
    }

    private var isFirst: Bool {
        if case .reading = self.pass { return self.pages.isEmpty }
        return false
    }

    /// The error with the number of the page that it is about.
    private func located(_ error: UpstreamError) -> UpstreamError {
        guard case .reading = self.pass, !self.pages.isEmpty, error.kind != .torn else { return error }
        return UpstreamError(error.kind, "page \(self.pages.count + 1): \(error.message)")
    }

    private mutating func pageReceived(_ response: ExchangeResponse) throws(UpstreamError) -> Step {
        switch self.pass {
        case .reading:
            let before = self.pages.reduce(0) { $0.addingClamped($1.count) }
            let isDetected = self.rule == nil
            let read = try self.reader.page(
                response,
                url: self.request.url,
                rule: self.rule,
                items: self.items,
                before: before
            )
            self.rule = read.rule
            self.items = read.items
            // By another rule the known pages lead elsewhere.
            if isDetected, let known, known.rule != read.rule { self.knownPages = [:] }
            if let first = self.pages.first, first.isKeyed != read.page.isKeyed {
                throw UpstreamError(.unexpected, "its items are an array on one page and an object on another")
            }
            return try self.take(read.page)
        case .confirming(let index):
            guard self.pages.indices.contains(index) else { throw Self.outOfStep }
            let first = self.pages[index]
            let read = try self.reader.page(
                response,
                url: first.url,
                rule: self.rule,
                items: self.items,
                before: 0
            )
            guard read.page.hash == first.hash, (read.page.next == nil) == (first.next == nil) else {
                throw UpstreamError(
                    .torn,
                    "the collection changed while its \(self.pages.count) pages were read, so that they do not belong "
                        + "together; the last good value stays"
                )
            }
            self.pages[index].validators = read.page.validators
            return self.confirm(after: index)
        }
    }

    /// 304.
    private mutating func pageConfirmed(_ response: ExchangeResponse) throws(UpstreamError) -> Step {
        switch self.pass {
        case .reading:
            guard var page = self.knownPages[self.request.url] else { throw Self.outOfStep }
            self.rule = self.rule ?? self.known?.rule
            self.items = self.items ?? self.known?.items
            // A field may say more than the page did: 304 renews it (RFC 9110 §15.4.5).
            if self.rule == .link || self.rule == .single {
                switch LinkHeader.finding(in: response.fields) {
                case .none: break
                case .last: page.next = nil
                case .next(let reference):
                    self.rule = .link
                    page.next = URLReference.resolved(reference, against: response.url ?? page.url)
                }
            }
            return try self.take(page)
        case .confirming(let index):
            return self.confirm(after: index)
        }
    }

    /// Goes on from a page of the first pass.
    private mutating func take(_ page: Page) throws(UpstreamError) -> Step {
        self.pages.append(page)
        self.bytes = self.bytes.addingClamped(page.bytes)
        guard self.bytes <= self.pagination.maxBytes else {
            throw UpstreamError(
                .tooLarge,
                "all pages up to it have \(self.bytes) bytes, more than `paginate.max_bytes`, \(self.pagination.maxBytes)"
            )
        }
        if let next = page.next {
            guard self.pages.count < self.pagination.maxPages else {
                throw UpstreamError(
                    .tooLarge,
                    "there are more pages than `paginate.max_pages`, \(self.pagination.maxPages)"
                )
            }
            guard !self.seen.contains(next) else {
                throw UpstreamError(
                    .torn,
                    "page \(self.pages.count) leads back to a page that was read before: the collection changed meanwhile, or "
                        + "`paginate` is not how this upstream works"
                )
            }
            return .ask(self.ask(next))
        }
        self.isChanged = self.known.map { $0.pages.map(\.hash) != self.pages.map(\.hash) } ?? true
        // What was known is a state, and so is one answer.
        guard self.isChanged, self.pages.count > 1 else { return self.whole }
        self.pass = .confirming(-1)
        return self.confirm(after: -1)
    }

    private mutating func confirm(after index: Int) -> Step {
        let next = index + 1
        guard self.pages.indices.contains(next) else { return self.whole }
        self.pass = .confirming(next)
        return .ask(self.ask(self.pages[next].url))
    }

    private var whole: Step {
        let pages = PageSet(pages: self.pages, rule: self.rule ?? .single, items: self.items ?? Pointer())
        return .whole(pages, isChanged: self.isChanged)
    }

    private static let outOfStep = UpstreamError(.internal, "an answer came for a page that was not asked for")
}

extension ExchangeResponse {
    /// The answer that all pages amount to. `isConfirmation`: the value is what it was, and needs no body. The fields that
    /// belong to one page alone are left out of those of the last answer.
    package init(_ last: ExchangeResponse, pages: PageSet, isConfirmation: Bool, wireBytes: Int) {
        let ofOnePage: Set<String> = [
            "etag", "last-modified", "content-length", "content-encoding", "transfer-encoding", "link", "content-range",
            "content-type",
        ]
        var fields = last.fields.filter { !ofOnePage.contains(String(decoding: $0.name, as: UTF8.self)) }
        fields.append(HeaderField(name: Array("content-type".utf8), value: Array("application/json".utf8)))
        self.init(
            status: isConfirmation ? 304 : 200,
            fields: fields,
            body: isConfirmation ? [] : pages.joined,
            wireBytes: wireBytes
        )
        self.isConfirmation = isConfirmation
    }
}

extension Int {
    fileprivate func addingClamped(_ other: Int) -> Int {
        let (sum, overflow) = self.addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
