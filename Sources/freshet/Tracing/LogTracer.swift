// The tracer of the program: traces by W3C Trace Context, and spans that are lines of the log.

import FreshetCore
import Logging
import Synchronization
import Tracing

/// Follows traces of callers and begins others, tells upstreams of them (`traceparent`, `tracestate`), and writes each span
/// that is sampled to the log when it ends. Any thread.
struct LogTracer: Tracer {
    private let logger: Logger
    private let oneIn: UInt64

    /// Of the traces that begin here one in `oneIn` is sampled, drawn by lot; of others their callers say so.
    init(oneIn: Int, logger: Logger) {
        self.oneIn = UInt64(clamping: max(1, oneIn))
        self.logger = logger
    }

    func startSpan<Instant: TracerInstant>(
        _ operationName: String,
        context: @autoclosure () -> ServiceContext,
        ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant,
        function: String,
        file fileID: String,
        line: UInt
    ) -> TraceSpan {
        var context = context()
        let parent = context.place?.parent
        let place = Self.place(
            under: context.place,
            isSampled: parent?.isSampled ?? (UInt64.random(in: 0..<self.oneIn) == 0)
        )
        context.place = place
        return TraceSpan(
            operationName,
            context: context,
            place: place,
            under: parent,
            since: instant().nanosecondsSinceEpoch,
            logger: self.logger
        )
    }

    private static func place(under place: TracePlace?, isSampled: Bool) -> TracePlace {
        func identifier() -> UInt64 { UInt64.random(in: 1...(.max)) }
        let parent = place?.parent
        let made = TraceParent(
            traceHigh: parent?.traceHigh ?? identifier(),
            traceLow: parent?.traceLow ?? identifier(),
            span: identifier(),
            isSampled: isSampled
        )
        return TracePlace(parent: made, state: place?.state)
    }

    @available(*, deprecated)
    func forceFlush() {}

    func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier,
        into context: inout ServiceContext,
        using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let text = extractor.extract(key: TracePlace.parentName, from: carrier), let parent = TraceParent(text)
        else { return }
        let state = extractor.extract(key: TracePlace.stateName, from: carrier)
        // Longer ones need not be passed on (§3.3.1.5).
        context.place = TracePlace(parent: parent, state: state.flatMap { $0.utf8.count <= 512 ? $0 : nil })
    }

    func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext,
        into carrier: inout Carrier,
        using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let place = context.place, let parent = place.parent else { return }
        injector.inject(parent.description, forKey: TracePlace.parentName, into: &carrier)
        if let state = place.state { injector.inject(state, forKey: TracePlace.stateName, into: &carrier) }
    }
}

/// Where in a trace something is done.
struct TracePlace: Sendable {
    static let parentName = "traceparent"
    static let stateName = "tracestate"

    var parent: TraceParent?
    /// What other tracers say of it, passed on as it is.
    var state: String?
}

private enum TracePlaceKey: ServiceContextKey {
    typealias Value = TracePlace
}

extension ServiceContext {
    fileprivate var place: TracePlace? {
        get { self[TracePlaceKey.self] }
        set { self[TracePlaceKey.self] = newValue }
    }
}

/// What takes a time, and is a line of the log when it ends. Any thread.
final class TraceSpan: Span {
    let context: ServiceContext
    private let place: TracePlace
    private let parent: TraceParent?
    private let since: UInt64
    private let logger: Logger
    private let state: Mutex<State>

    private struct State: Sendable {
        var name: String
        var attributes: SpanAttributes = [:]
        var hasFailed = false
        var hasEnded = false
    }

    fileprivate init(
        _ name: String,
        context: ServiceContext,
        place: TracePlace,
        under parent: TraceParent?,
        since: UInt64,
        logger: Logger
    ) {
        self.context = context
        self.place = place
        self.parent = parent
        self.since = since
        self.logger = logger
        self.state = Mutex(State(name: name))
    }

    var isRecording: Bool { self.place.parent?.isSampled == true && !self.state.withLock { $0.hasEnded } }

    var operationName: String {
        get { self.state.withLock { $0.name } }
        set { self.state.withLock { $0.name = newValue } }
    }

    var attributes: SpanAttributes {
        get { self.state.withLock { $0.attributes } }
        set { if self.isRecording { self.state.withLock { $0.attributes = newValue } } }
    }

    func setStatus(_ status: SpanStatus) {
        if status.code == .error { self.state.withLock { $0.hasFailed = true } }
    }

    func addEvent(_ event: SpanEvent) {}

    func addLink(_ link: SpanLink) {}

    func recordError<Instant: TracerInstant>(
        _ error: any Error,
        attributes: SpanAttributes,
        at instant: @autoclosure () -> Instant
    ) {
        self.state.withLock { $0.hasFailed = true }
    }

    func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        let state: State? = self.state.withLock { state in
            guard !state.hasEnded else { return nil }
            state.hasEnded = true
            return state
        }
        guard let state, let own = self.place.parent, own.isSampled else { return }
        let end = instant().nanosecondsSinceEpoch
        var metadata: Logger.Metadata = [
            "trace": "\(own.traceText)", "span": "\(own.spanText)", "name": "\(state.name)",
            "duration_us": "\((end - min(end, self.since)) / 1000)",
        ]
        if let parent { metadata["parent"] = "\(parent.spanText)" }
        if state.hasFailed { metadata["status"] = "error" }
        state.attributes.forEach { name, value in
            switch value {
            case .string(let text): metadata[name] = "\(text)"
            case .int64(let number): metadata[name] = "\(number)"
            case _: break
            }
        }
        self.logger.info("span", metadata: metadata)
    }
}
