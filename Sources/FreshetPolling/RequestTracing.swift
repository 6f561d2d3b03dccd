// Spans of polls and writes, where the program has a tracer (swift-distributed-tracing). Without one there is nothing to do
// but to see that there is none.

import FreshetCore
import FreshetUpstream
import Tracing

/// Request fields as a tracer reads and writes them.
struct TraceFields: Extractor, Injector {
    typealias Carrier = [SourceConfiguration.Field]

    func extract(key: String, from carrier: Carrier) -> String? {
        let name = key.lowercased()
        return carrier.first { $0.name.lowercased() == name }?.value
    }

    func inject(_ value: String, forKey key: String, into carrier: inout Carrier) {
        let name = key.lowercased()
        carrier.removeAll { $0.name.lowercased() == name }
        carrier.append(SourceConfiguration.Field(name: key, value: value))
    }
}

extension Tracer {
    /// What a request to an upstream takes along.
    fileprivate func fields(of span: any Tracing.Span) -> [SourceConfiguration.Field] {
        var fields: [SourceConfiguration.Field] = []
        self.inject(span.context, into: &fields, using: TraceFields())
        return fields
    }

    fileprivate func begin(
        _ name: String,
        _ kind: SpanKind,
        in context: ServiceContext,
        of source: String
    ) -> any Tracing.Span {
        let span: any Tracing.Span = self.startSpan(name, context: context, ofKind: kind)
        span.updateAttributes { $0["freshet.source"] = SpanAttribute.string(source) }
        return span
    }
}

/// A poll that is traced, from its first request to the verdict on the last answer.
struct TracedPoll {
    let tracer: any Tracer
    let span: any Tracing.Span
    /// What each of its requests takes along.
    let fields: [SourceConfiguration.Field]
    private let source: String

    init(of source: SourceConfiguration, by tracer: any Tracer) {
        self.tracer = tracer
        self.source = source.name
        // Nobody asks for a poll: it is the beginning of a trace.
        self.span = tracer.begin("poll", .client, in: .topLevel, of: source.name)
        let (url, method) = (URLRedaction.redacted(source.url), source.method)
        self.span.updateAttributes { attributes in
            attributes["url.full"] = SpanAttribute.string(url)
            attributes["http.request.method"] = SpanAttribute.string(method == .post ? "POST" : "GET")
        }
        self.fields = tracer.fields(of: self.span)
    }

    func end(_ outcome: PollOutcome, status: Int?, error: UpstreamError?) {
        self.span.updateAttributes { attributes in
            attributes["freshet.outcome"] = SpanAttribute.string(outcome.label)
            if let status { attributes["http.response.status_code"] = SpanAttribute.int64(Int64(status)) }
            if let error { attributes["error.type"] = SpanAttribute.string(error.kind.rawValue) }
        }
        if error != nil { self.span.setStatus(SpanStatus(code: .error)) }
    }

    /// The way of what it brought to where it can be read: until `ended` is called with the cursor of the event.
    func publish() -> TracedPublishing {
        TracedPublishing(span: self.tracer.begin("publish", .producer, in: self.span.context, of: self.source))
    }
}

/// The way of a change from a poll to its event.
struct TracedPublishing: Sendable {
    fileprivate let span: any Tracing.Span

    func end(_ cursor: Cursor?) {
        if let cursor { self.span.updateAttributes { $0["freshet.cursor"] = SpanAttribute.string(cursor.description) } }
        self.span.end()
    }
}

extension Tracer {
    /// Carries a write out as a part of its caller's trace, whose fields came with it.
    func traced(_ request: WriteRequest, _ body: () async -> WriteAnswer) async -> WriteAnswer {
        var context = ServiceContext.topLevel
        self.extract(request.fields, into: &context, using: TraceFields())
        let span = self.begin("write", .server, in: context, of: request.source)
        defer { span.end() }
        let answer = await ServiceContext.withValue(span.context, operation: body)
        span.updateAttributes { attributes in
            attributes["http.request.method"] = SpanAttribute.string(request.method.rawValue)
            attributes["http.response.status_code"] = SpanAttribute.int64(Int64(answer.status))
            if let cursor = answer.cursor { attributes["freshet.cursor"] = SpanAttribute.string(cursor.description) }
        }
        if answer.status >= 500 { span.setStatus(SpanStatus(code: .error)) }
        return answer
    }
}

/// One request of a write to the upstream.
struct TracedExchange {
    private let span: any Tracing.Span
    let fields: [SourceConfiguration.Field]

    init(_ exchange: WriteExchange, of request: WriteRequest, by tracer: any Tracer) {
        let context = ServiceContext.current ?? .topLevel
        self.span = tracer.begin("write upstream", .client, in: context, of: request.source)
        self.span.updateAttributes { $0["http.request.method"] = SpanAttribute.string(exchange.method.rawValue) }
        self.fields = tracer.fields(of: self.span)
    }

    func end(_ result: Result<ExchangeResponse, WriteFailure>) {
        switch result {
        case .success(let response):
            self.span.updateAttributes { $0["http.response.status_code"] = SpanAttribute.int64(Int64(response.status)) }
        case .failure:
            self.span.setStatus(SpanStatus(code: .error))
        }
        self.span.end()
    }
}
