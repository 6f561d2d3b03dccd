import HTTPFields
import System
import Testing

@testable import FreshetCore

/// Runs the required cases of the suite against the rules as a polling client applies them. A request with other fields
/// or another query is another source, and shares nothing with the first.
///
/// Out of scope, each counted and printed:
/// - writes, which invalidate by polling at once (the write path's tests);
/// - conditional requests of a subscriber, which the gateway answers from its value (the HTTP room's tests);
/// - answering with an older version because the newer one is `no-store`: a poller always shows the newest;
/// - counting background revalidations that a request sets off: polls are set off by time.
@Suite("HTTP caching suite", .enabled(if: CacheSuite.isPresent, "no suites: set FRESHET_SUITES"))
struct CacheSuiteTests {
    private enum OutOfScope: String, CaseIterable {
        case write = "writes"
        case subscriberCondition = "a subscriber's conditional request"
        case olderVersion = "older version in place of a no-store one"
        case backgroundCount = "counts background revalidations"
    }

    private func outOfScope(_ test: CacheSuite.Case) -> OutOfScope? {
        if test.steps.contains(where: { $0.request_method != nil }) { return .write }
        if test.suite == "conditional-inm", test.id != "conditional-etag-vary-headers" { return .subscriberCondition }
        if test.id.hasPrefix("cc-resp-no-store-old") { return .olderVersion }
        if test.id == "stale-while-revalidate-window" { return .backgroundCount }
        return nil
    }

    @Test("every required case that a polling client meets holds, and the others are counted")
    func required() throws {
        let cases = try CacheSuite.cases(level: "required")
        var skipped: [OutOfScope: Int] = [:]
        var run = 0
        for test in cases {
            if let reason = outOfScope(test) {
                skipped[reason, default: 0] += 1
                continue
            }
            run += 1
            check(test)
        }
        print("http-caching, required: \(cases.count) cases, \(run) run")
        for reason in OutOfScope.allCases {
            print("  out of scope, \(reason.rawValue): \(skipped[reason] ?? 0)")
        }
        #expect(run + skipped.values.reduce(0, +) == cases.count)
        #expect(run >= 139)
    }

    @Test("freshness that is stated in any valid form saves the poll")
    func optimal() throws {
        let suites = ["cc-freshness", "cc-parse", "age-parse", "expires", "expires-parse"]
        let cases = try CacheSuite.cases(level: "optimal").filter { suites.contains($0.suite) }
        #expect(cases.count >= 20)
        for test in cases { check(test) }
    }

    private func check(_ test: CacheSuite.Case) {
        var pollers: [String: PollingCache] = [:]
        var now = 1_795_420_800
        for (index, step) in test.steps.enumerated() {
            for problem in pollers[step.source, default: PollingCache()].take(step, now: now) {
                Issue.record("\(test.id), step \(index + 1): \(problem)")
            }
            now += step.wait_seconds_before_next_step ?? 0
        }
    }

    @Test(
        "the polls of a source keep to them: later where the answer is fresh, at once and conditional where it is not"
    )
    func polls() throws {
        var checked = 0
        for level in ["required", "optimal"] {
            for test in try CacheSuite.cases(level: level) where outOfScope(test) == nil && PolledCase.takes(test) {
                var polled = PolledCase()
                for (index, step) in test.steps.enumerated() {
                    for problem in polled.take(step) {
                        Issue.record("\(test.id), step \(index + 1): \(problem)")
                    }
                }
                checked += 1
            }
        }
        print("http-caching, with polls: \(checked) cases")
        #expect(checked >= 100)
    }
}

/// A case whose origin answers are handed to a source's state machine.
private struct PolledCase {
    private var machine: SourceStateMachine
    private var now = MonotonicTime(nanoseconds: 0)
    private let start = 1_795_420_800
    private var generator = SplitMix64(seed: 1)
    private static let interval = Duration.seconds(1)

    /// What the gateway does otherwise, each for a reason.
    private static let others = [
        // The lifetime of a private answer says when asking again is useful, whoever may keep it.
        "cc-resp-private-shared",
        // A poll is what revalidates; nobody waits for it.
        "stale-while-revalidate",
        // No lifetime is made up.
        "heuristic-200-cached", "heuristic-203-cached",
    ]

    /// The cases in which one source gets answers that are values, or 304 where it has one.
    static func takes(_ test: CacheSuite.Case) -> Bool {
        !self.others.contains(test.id) && Set(test.steps.map(\.source)).count == 1
            && test.steps.allSatisfy { [200, 203, 304].contains($0.origin_response.status ?? 0) }
            && test.steps.first?.origin_response.status != 304
            && !test.steps.contains { $0.origin_response.disconnect_without_reply ?? false }
    }

    init() {
        var configuration = SourceConfiguration(name: "test", url: "http://upstream.test/")
        configuration.interval = .fixed(Self.interval)
        configuration.maxInterval = .seconds(1_000_000)
        configuration.respectCache = .shared
        self.machine = SourceStateMachine(
            configuration: configuration,
            phase: 0,
            now: self.now,
            wall: WallTime(milliseconds: Int64(self.start) * 1000)
        )
    }

    private var wallNow: Int { self.start + Int(self.now.nanoseconds / 1_000_000_000) }

    mutating func take(_ step: CacheSuite.Step) -> [String] {
        var problems: [String] = []
        let isHeldBack = self.machine.nextPoll - self.now > Self.interval
        switch step.expect {
        case "must_contact_origin" where isHeldBack: problems.append("the poll is held back")
        case "must_not_contact_origin" where !isHeldBack: problems.append("the poll is not held back")
        case _: break
        }
        if !isHeldBack || step.expect == "first_or_unspecified" {
            let wall = WallTime(milliseconds: Int64(self.wallNow) * 1000)
            let request = self.machine.pollStarted(now: self.now, wall: wall)
            if step.expect == "must_send_If-None-Match_with_stored_ETag", request.validators.etag == nil {
                problems.append("no If-None-Match")
            }
            if step.expect == "must_send_If-Modified-Since_with_stored_Last-Modified",
                request.validators.lastModified == nil
            {
                problems.append("no If-Modified-Since")
            }
            let response = ExchangeResponse(
                status: step.origin_response.status ?? 0,
                fields: (step.origin_response.headers ?? []).map { line in
                    let field = line.field(serverNow: self.wallNow)
                    return HeaderField(name: field.name.map(\.lowercasedASCII), value: field.value)
                },
                body: step.origin_response.status == 304 ? [] : Array("[1]".utf8)
            )
            _ = self.machine.responseReceived(response, now: self.now, wall: wall, using: &self.generator)
        }
        self.now = self.now + .seconds(step.wait_seconds_before_next_step ?? 0)
        return problems
    }
}

extension CacheSuite.Step {
    /// Names the source that such a request would be.
    fileprivate var source: String {
        let fields = (self.request_headers ?? []).map { "\($0.name.lowercased()):\($0.text ?? "")" }.sorted()
        return ([self.query_arg ?? ""] + fields).joined(separator: "\n")
    }
}

/// The least cache that the rules make: one stored answer.
private struct PollingCache {
    private var now = 0
    private var stored: StoredFields?
    private var freshness: ResponseFreshness?
    private var receivedAt = 0

    /// Does one step and says what was wrong with it.
    mutating func take(_ step: CacheSuite.Step, now: Int) -> [String] {
        self.now = now
        var problems: [String] = []
        let elapsed = Duration.seconds(now - receivedAt)
        let isReusable = stored != nil && (freshness?.mayBeReused(after: elapsed) ?? false)
        switch step.expect {
        case "must_contact_origin":
            if isReusable { problems.append("reused what it must ask for") }
        case "must_not_contact_origin":
            if !isReusable { problems.append("asked for what it has") }
        case "must_send_If-None-Match_with_stored_ETag":
            if isReusable || stored?.values(of: "etag").isEmpty ?? true { problems.append("no entity tag to send") }
        case "must_send_If-Modified-Since_with_stored_Last-Modified":
            let isValidator = freshness?.lastModifiedIsValidator(wallNow: receivedAt) ?? false
            if isReusable || !isValidator { problems.append("no date to send") }
        default:
            break
        }
        if step.origin_response.disconnect_without_reply ?? false {
            if freshness?.mayBeServedOnError(after: elapsed) ?? false {
                problems.append("served stale what must not be")
            }
        } else if !isReusable {
            receive(step.origin_response)
        }
        problems += headerProblems(step)
        return problems
    }

    private mutating func receive(_ response: CacheSuite.Response) {
        let fields = (response.headers ?? []).map { $0.field(serverNow: now) }
        if response.status == 304, var renewed = stored {
            renewed.notModified(received: fields)
            stored = renewed
        } else {
            stored = StoredFields(received: fields)
        }
        freshness = ResponseFreshness(
            fields: stored?.fields ?? [],
            status: response.status ?? 0,
            wallNow: now,
            countsShared: true
        )
        receivedAt = now
    }

    private func headerProblems(_ step: CacheSuite.Step) -> [String] {
        let fields = stored?.fields ?? []
        func values(_ name: String) -> [String] {
            fields.filter { String(decoding: $0.name, as: UTF8.self).lowercased() == name.lowercased() }
                .map { String(decoding: $0.value, as: UTF8.self) }
        }
        var problems: [String] = []
        for line in step.expected_response_headers ?? [] {
            let isMet: Bool
            if line.name == "Age", let least = line.number {
                isMet = (freshness?.age ?? .zero) + .seconds(now - receivedAt) > .seconds(least)
            } else if line.name == "Date" {
                isMet = values("Date") == [String(decoding: HTTPDate(unixSeconds: receivedAt).bytes, as: UTF8.self)]
            } else {
                isMet = values(line.name) == [line.text ?? ""]
            }
            if !isMet { problems.append("\(line.name) is \(values(line.name))") }
        }
        for line in step.expected_response_headers_missing ?? [] {
            let found = values(line.name)
            if line.text.map(found.contains) ?? !found.isEmpty { problems.append("\(line.name) is still there") }
        }
        return problems
    }
}
