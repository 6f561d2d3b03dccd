import FreshetCore
import HTTPFields
import JSON
import Testing

@Suite("Answers that are not simply a value")
struct AnswerTests {
    @Test("F30: refused credentials are tried once a minute at most", arguments: [401, 403])
    func refused(status: Int) {
        var trace = Trace { $0.interval = .fixed(.seconds(1)) }
        _ = trace.poll(.body("[1]"))
        for _ in 0..<5 {
            #expect(trace.poll(.status(status)).outcome == .failed(.auth))
            #expect(trace.machine.nextPoll - trace.now >= .seconds(60))
        }
        #expect(trace.machine.status.intervalReason.contains("until the credentials are accepted"))
        let fields = [SourceConfiguration.Field(name: "Authorization", value: "Bearer new")]
        var renewed = trace.machine.configuration
        renewed.headers = fields
        trace.machine.credentialsRenewed(renewed, polls: true, now: trace.now)
        #expect(trace.machine.nextPoll == trace.now)
        #expect(trace.machine.configuration.headers == fields)
        #expect(trace.poll(.body("[1]")).transition == .ok)
    }

    @Test("F31: 404 keeps the value, fails, and is asked again")
    func notFound() {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        let verdict = trace.poll(.status(404))
        #expect(verdict.outcome == .failed(.notFound))
        #expect(verdict.change == nil)
        #expect(verdict.transition == .failing)
        #expect(trace.machine.nextPoll < .distantFuture)
    }

    @Test("F31: 410 keeps the value and ends the polls, until somebody asks or resumes")
    func gone() {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        #expect(trace.poll(.status(410)).transition == .failing)
        #expect(trace.machine.nextPoll == .distantFuture)
        #expect(trace.machine.status.nextPollAt == nil)
        #expect(trace.machine.status.intervalReason.contains("410 Gone"))
        #expect(trace.machine.status.warnings.map(\.kind) == [.gone])
        _ = trace.machine.resumeRequested(now: trace.now, wall: trace.wall)
        #expect(trace.machine.nextPoll == trace.now)
        #expect(trace.poll(.body("[1]")).transition == .ok)
        #expect(trace.machine.status.warnings.isEmpty)
        #expect(trace.machine.nextPoll < .distantFuture)
    }

    @Test("F31: with `on_404: tombstone` the value becomes null, once, and comes back", arguments: [404, 410])
    func tombstone(status: Int) throws {
        var trace = Trace { $0.onMissing = .tombstone }
        #expect(trace.poll(.status(status)).change?.document.text == Array("null".utf8))
        _ = trace.poll(.body(#"[1,2,3]"#, etag: "\"a\""))
        let change = try #require(trace.poll(.status(status)).change)
        #expect(change.document.root.isNull)
        #expect(trace.poll(.status(status)).outcome == .unchanged)
        #expect(trace.machine.status.state == .ok)
        #expect(trace.poll(.body("[1,2,3]", etag: "\"a\"")).change != nil)
        #expect(trace.requests.last?.validators.isEmpty == true, "the tag of what was there would give a 304")
    }

    @Test(
        "F32: a body of another type than `content_type` lists is refused",
        arguments: [
            ("application/json; charset=utf-8", true), ("APPLICATION/JSON", true), ("text/plain", true),
            ("text/html", false), ("application/xml", false), ("application/vnd.api", false),
        ]
    )
    func contentType(type: String, isTaken: Bool) {
        var trace = Trace {
            $0.contentTypes = ["application/json", "text/plain"].compactMap { MediaTypeRange($0) }
        }
        _ = trace.poll(.body("[1]"))
        #expect(trace.poll(.body("[2]", contentType: type)).outcome == (isTaken ? .changed : .failed(.contentType)))
    }

    @Test("F32: a listed type that nobody knows is read as JSON, and a range takes all of its kind")
    func unknownType() {
        var trace = Trace { $0.contentTypes = ["application/*"].compactMap { MediaTypeRange($0) } }
        #expect(trace.poll(.body("[1]", contentType: "application/vnd.api")).outcome == .changed)
        #expect(trace.poll(.body("[2]", contentType: "text/plain")).outcome == .failed(.contentType))
    }

    @Test(
        "F32: a body without what `expect` asks for is refused",
        arguments: [
            (#"{"status":"ok","data":[2]}"#, true), (#"{"data":[2]}"#, false),
            (#"{"status":"down","data":[2]}"#, false),
            (#"{"status":"ok"}"#, false), (#"{"error":"try later"}"#, false), ("[]", false),
        ]
    )
    func expect(body: String, isTaken: Bool) throws {
        let (status, data) = try (#require(Pointer("/status")), #require(Pointer("/data/0")))
        var trace = Trace { $0.expect = [Expectation(pointer: status, value: "ok"), Expectation(pointer: data)] }
        _ = trace.poll(.body(#"{"status":"ok","data":[1]}"#))
        let verdict = trace.poll(.body(body))
        #expect(verdict.outcome == (isTaken ? .changed : .failed(.unexpected)))
        #expect(verdict.error?.message.contains("down") != true, "what the upstream sent is not repeated")
    }

    @Test(
        "F32: an expected value is compared as JSON compares",
        arguments: [("1", "1.0", true), ("true", "true", true), ("true", "\"true\"", true), ("null", "0", false)]
    )
    func expectedValue(wanted: String, sent: String, isTaken: Bool) throws {
        let pointer = try #require(Pointer("/a"))
        var trace = Trace { $0.expect = [Expectation(pointer: pointer, value: wanted)] }
        #expect(trace.poll(.body(#"{"a":\#(sent)}"#)).outcome == (isTaken ? .changed : .failed(.unexpected)))
    }

    @Test("F34: 204 and an empty body are failures, and null where `allow_empty` says so")
    func empty() {
        var strict = Trace()
        _ = strict.poll(.body("[1]"))
        #expect(strict.poll(.status(204)).outcome == .failed(.status))
        #expect(strict.poll(.body("")).outcome == .failed(.emptyBody))
        for answer in [Answer.noContent, .body(" \n")] {
            var trace = Trace { $0.allowEmpty = true }
            _ = trace.poll(.body("[1]"))
            #expect(trace.poll(answer).change?.document.root.isNull == true)
            #expect(trace.poll(answer).outcome == .unchanged)
        }
    }

    @Test("F34: a 206 that nobody asked for is refused, a 203 is taken")
    func partial() {
        var trace = Trace()
        _ = trace.poll(.body("[1]"))
        #expect(trace.poll(.status(206)).outcome == .failed(.status))
        #expect(trace.poll(.body("[2]", status: 203)).outcome == .changed)
    }

    @Test(
        "F35: what the answer says of its freshness is when the next poll is",
        arguments: [
            ("max-age=30", "", 30, "fresh until then"), ("max-age=3600", "", 600, "fresh until then"),
            ("s-maxage=50, max-age=30", "", 30, "fresh until then"), ("s-maxage=50", "", 10, "as configured"),
            ("max-age=60", "20", 40, "fresh until then"),
            ("no-store, max-age=60", "", 10, "as configured"), ("no-cache", "", 10, "as configured"),
            ("max-age=0, must-revalidate", "", 10, "as configured"),
            ("private, max-age=30", "", 30, "fresh until then"),
            ("max-age=10, stale-while-revalidate=60", "15", 2, "fetching a new one"), ("", "", 10, "as configured"),
            ("immutable", "", 10, "as configured"), ("max-age=\"30\"", "", 30, "fresh until then"),
        ]
    )
    func freshness(control: String, age: String, seconds: Int, reason: String) {
        var trace = Trace(phase: 0) { $0.maxInterval = .seconds(600) }
        var fields = ["cache-control": control]
        if !age.isEmpty { fields["age"] = age }
        _ = trace.poll(.body("[1]", fields: fields))
        let wait = trace.machine.nextPoll - trace.now
        // A cache in between is given half a second to notice.
        #expect(wait >= .seconds(seconds) && wait <= .milliseconds(1000 * seconds + 500), "\(wait)")
        #expect(trace.machine.status.intervalReason.contains(reason))
    }

    @Test("F35: `Vary: *` and a lifetime without meaning hold back nothing")
    func noLifetime() {
        for fields in [
            ["cache-control": "max-age=60", "vary": "*"], ["cache-control": "max-age=x"], ["expires": "0"],
            ["last-modified": "Sun, 23 Nov 2014 06:00:00 GMT"],
        ] {
            var trace = Trace(phase: 0)
            _ = trace.poll(.body("[1]", fields: fields))
            #expect(trace.machine.nextPoll - trace.now <= .seconds(10), "\(fields)")
        }
    }

    @Test(
        "F35: what the upstream allows is passed on to the caches after us",
        arguments: [
            ("max-age=60", "max-age=60"), ("no-store", "no-store"), ("no-cache", "no-cache"), ("", "no-cache"),
            ("private, max-age=60", "max-age=60, private"),
            ("max-age=60, must-revalidate", "max-age=60, must-revalidate"),
            (
                "max-age=60, stale-while-revalidate=5, stale-if-error=9",
                "max-age=60, stale-while-revalidate=5, stale-if-error=9"
            ),
        ]
    )
    func passedOn(control: String, expected: String) {
        var trace = Trace()
        _ = trace.poll(.body("[1]", fields: ["cache-control": control]))
        #expect(trace.machine.status.caching?.cacheControl == expected)
    }

    @Test("F39b: numbers keep their text, and differ only where their values do")
    func numbers() throws {
        var trace = Trace()
        let text = #"{"a":9007199254740993,"b":1e400,"c":-0,"d":1.10,"e":\#(String(repeating: "7", count: 400))}"#
        #expect(try #require(trace.poll(.body(text)).change).document.text == Array(text.utf8))
        let same = text.replacing("1.10", with: "11e-1").replacing("-0", with: "0.0")
        #expect(trace.poll(.body(same)).outcome == .unchanged)
        #expect(trace.poll(.body(text.replacing("0993", with: "0992"))).outcome == .changed)
        #expect(trace.poll(.body(text.replacing("1e400", with: "1e401"))).outcome == .changed)
    }

    @Test("F39b: of a name that stands twice the last value counts")
    func duplicateNames() throws {
        var trace = Trace()
        let change = try #require(trace.poll(.body(#"{"a":1,"b":2,"a":3}"#)).change)
        #expect(change.document.root["a"]?.int == 3)
        #expect(change.document.root.count == 2)
        #expect(trace.poll(.body(#"{"b":2,"a":3}"#)).outcome == .unchanged)
    }

    @Test("F39f: an ignored member changes without an event, and one that changes with every poll is named")
    func volatile() throws {
        var ignoring = Trace { $0.ignore = [PointerPattern("/meta/at")].compactMap { $0 } }
        for poll in 0..<20 { _ = ignoring.poll(.body(#"{"meta":{"at":\#(poll)},"v":[1]}"#)) }
        #expect(ignoring.machine.status.changes == 1)
        #expect(ignoring.machine.status.warnings.isEmpty)
        var trace = Trace()
        for poll in 0..<20 { _ = trace.poll(.body(#"{"meta":{"at":\#(poll),"by":"x"},"v":[\#(poll / 2)]}"#)) }
        let warning = try #require(trace.machine.status.warnings.first)
        #expect(warning.kind == .volatile)
        #expect(warning.message.contains("/meta/at;"))
        _ = trace.poll(.body(#"{"meta":{"at":19,"by":"x"},"v":[9]}"#))
        #expect(trace.machine.status.warnings.isEmpty)
    }

    @Test(
        "F39g: items whose key does not tell them apart are told as a whole value, with a warning",
        arguments: [
            #"[{"id":1,"v":1},{"v":2}]"#, #"[{"id":1,"v":1},{"id":1,"v":2}]"#, #"[{"id":1,"v":1},{"id":"2","v":2}]"#,
            #"[{"id":1,"v":1},{"id":null,"v":2}]"#, #"[{"id":1,"v":1},7]"#,
        ]
    )
    func unusableKey(body: String) throws {
        var trace = Trace {
            $0.items = Pointer()
            $0.key = Pointer("/id")
        }
        let padding = String(repeating: "x", count: 300)
        func padded(_ body: String) -> Answer { .body(body.replacing("\"v\":1", with: #""v":1,"p":"\#(padding)""#)) }
        _ = trace.poll(padded(#"[{"id":1,"v":1},{"id":2,"v":2}]"#))
        #expect(try #require(trace.poll(padded(#"[{"id":1,"v":1},{"id":2,"v":3}]"#)).change).items != nil)
        let change = try #require(trace.poll(padded(body)).change)
        #expect(change.items == nil)
        #expect(trace.machine.status.warnings.map(\.kind) == [.keyUnusable])
        _ = trace.poll(padded(#"[{"id":1,"v":1},{"id":2,"v":2}]"#))
        #expect(try #require(trace.poll(padded(#"[{"id":1,"v":1},{"id":2,"v":3}]"#)).change).items != nil)
        #expect(trace.machine.status.warnings.isEmpty)
    }

    @Test("F39g: a key that was configured and fails is reported")
    func configuredKey() throws {
        var configured = Trace { $0.key = Pointer("/id") }
        #expect(configured.machine.status.collection?.isGuessed == false)
        _ = configured.poll(.body(#"[{"name":"a"},{"name":"b"}]"#))
        #expect(configured.machine.status.warnings.map(\.kind) == [.keyUnusable])
    }

    @Test(
        "a key of any shape is found where nobody names it",
        arguments: [
            (#"[{"UniqueId":"a","n":1},{"UniqueId":"b","n":1}]"#, "", "/UniqueId"),
            (#"{"list":[{"F_OUTAGE_ID":7,"n":1},{"F_OUTAGE_ID":8,"n":1}]}"#, "/list", "/F_OUTAGE_ID"),
            (#"[{"County Name":"x","n":1},{"County Name":"y","n":1}]"#, "", "/County Name"),
            (
                #"{"features":[{"properties":{"guid":"a"}},{"properties":{"guid":"b"}}]}"#, "/features",
                "/properties/guid"
            ),
            (#"{"a/b":[{"id":1},{"id":2}]}"#, "/a~1b", "/id"),
        ]
    )
    func guesses(body: String, items: String, key: String) {
        var trace = Trace()
        _ = trace.poll(.body(body))
        #expect(trace.machine.status.collection?.rule.items == Pointer(items))
        #expect(trace.machine.status.collection?.rule.key == Pointer(key))
        #expect(trace.machine.status.collection?.isGuessed == true)
    }
}

@Suite("Why the next poll is when it is")
struct ReasonTests {
    @Test(
        "every reason is a sentence that names its rule",
        arguments: [
            (Answer.body("[1]"), "every 10s, as configured"), (.status(500), "back-off after a failure (status)"),
            (.status(429, fields: ["retry-after": "90"]), "Retry-After"),
            (.body("[1]", fields: ["cache-control": "max-age=90"]), "fresh until then"),
            (.body("[1]", fields: ["x-poll-interval": "90"]), "X-Poll-Interval"),
            (.body("[1]", fields: ["x-ratelimit-remaining": "0", "x-ratelimit-reset": "90"]), "rate limit is used up"),
            (.status(410), "410 Gone"), (.status(401), "until the credentials are accepted"),
            (.failure(UpstreamError(.connect, "no")), "back-off after a failure (connect)"),
            (.notModified(), "304 to an unconditional request"),
        ]
    )
    func words(answer: Answer, words: String) {
        var trace = Trace()
        _ = trace.poll(answer)
        #expect(trace.machine.status.intervalReason.contains(words), "\(trace.machine.status.intervalReason)")
    }

    @Test("bounds of the user are named where they decide")
    func bounds() {
        var short = Trace {
            $0.interval = .adaptive
            $0.staleness = .milliseconds(10)
            $0.minInterval = .seconds(5)
        }
        _ = short.poll(.body("[1]"))
        #expect(short.machine.status.intervalReason.contains("min_interval"))
        var long = Trace {
            $0.interval = .adaptive
            $0.staleness = .seconds(86_400)
            $0.maxInterval = .seconds(60)
        }
        _ = long.poll(.body("[1]"))
        #expect(long.machine.status.intervalReason.contains("max_interval"))
        var learning = Trace { $0.interval = .adaptive }
        _ = learning.poll(.body("[1]"))
        #expect(learning.machine.status.intervalReason.contains("a change is likely"))
    }
}
