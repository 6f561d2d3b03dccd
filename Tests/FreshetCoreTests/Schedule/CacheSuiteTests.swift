import Testing

@testable import FreshetCore

/// Runs the required cases of the suite against the rules as a polling client applies them: one source, one fixed
/// request.
///
/// Out of scope, each counted and printed:
/// - cases that turn on the request's own fields or query: each such request would be a source of its own;
/// - writes, which invalidate by polling at once (the write path's tests);
/// - 1xx answers, which the transport takes away;
/// - conditional requests of a subscriber, which the gateway answers from its value (the HTTP room's tests);
/// - answering with an older version because the newer one is `no-store`: a poller always shows the newest;
/// - counting background revalidations that a request sets off: polls are set off by time.
@Suite("HTTP caching suite", .enabled(if: CacheSuite.isPresent, "no suites: set FRESHET_SUITES"))
struct CacheSuiteTests {
    private enum OutOfScope: String, CaseIterable {
        case requestIdentity = "turns on the request's fields or query"
        case write = "writes"
        case interim = "1xx answers"
        case subscriberCondition = "a subscriber's conditional request"
        case olderVersion = "older version in place of a no-store one"
        case backgroundCount = "counts background revalidations"
    }

    private func outOfScope(_ test: CacheSuite.Case) -> OutOfScope? {
        let variesOnEverything = test.steps.contains { step in
            (step.origin_response.headers ?? []).contains { $0.name == "Vary" && ($0.text ?? "").contains("*") }
        }
        if test.steps.contains(where: { $0.request_method != nil }) { return .write }
        if test.steps.contains(where: { $0.query_arg != nil }) || test.suite == "auth" { return .requestIdentity }
        if test.suite.hasPrefix("vary"), !variesOnEverything { return .requestIdentity }
        if test.suite == "interim" { return .interim }
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
        #expect(run >= 120)
    }

    @Test("freshness that is stated in any valid form saves the poll")
    func optimal() throws {
        let suites = ["cc-freshness", "cc-parse", "age-parse", "expires", "expires-parse"]
        let cases = try CacheSuite.cases(level: "optimal").filter { suites.contains($0.suite) }
        #expect(cases.count >= 20)
        for test in cases { check(test) }
    }

    private func check(_ test: CacheSuite.Case) {
        var poller = PollingCache()
        for (index, step) in test.steps.enumerated() {
            for problem in poller.take(step) {
                Issue.record("\(test.id), step \(index + 1): \(problem)")
            }
        }
    }
}

/// The least cache that the rules make: one stored answer.
private struct PollingCache {
    private var now = 1_795_420_800
    private var stored: StoredFields?
    private var freshness: ResponseFreshness?
    private var receivedAt = 0

    /// Does one step and says what was wrong with it.
    mutating func take(_ step: CacheSuite.Step) -> [String] {
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
        now += step.wait_seconds_before_next_step ?? 0
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
        freshness = ResponseFreshness(fields: stored?.fields ?? [], status: response.status ?? 0, wallNow: now)
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
