import FreshetCore
import JSON
import Testing

@Suite("A guessed key stays")
struct GuessedKeyTests {
    private static let padding = String(repeating: "x", count: 200)

    private func rows(_ ids: [String], state: Int = 0) -> Answer {
        let rows = ids.enumerated().map { index, id in
            #"{\#(id)"name":"n\#(index)","code":"c\#(index)","s":\#(state),"p":"\#(Self.padding)"}"#
        }
        return .body("{\"rows\":[\(rows.joined(separator: ","))]}")
    }

    private let good = [#""id":1,"#, #""id":2,"#, #""id":3,"#]

    @Test(
        "R05 one row of one poll without a usable id moves no key: that poll goes out whole, with a warning",
        arguments: [
            ["", #""id":2,"#, #""id":3,"#], [#""id":null,"#, #""id":2,"#, #""id":3,"#],
            [#""id":2,"#, #""id":2,"#, #""id":3,"#],
            [#""id":"1","#, #""id":2,"#, #""id":3,"#], [#""id":{},"#, #""id":2,"#, #""id":3,"#],
            [#""id":true,"#, #""id":2,"#, #""id":3,"#], ["", "", ""],
        ]
    )
    func badRow(ids: [String]) throws {
        for repeats in 1...3 {
            var trace = Trace()
            _ = trace.poll(self.rows(self.good))
            let guessed = try #require(trace.machine.status.collection)
            #expect(guessed.isGuessed && guessed.rule.key == Pointer("/id"))
            for state in 0..<repeats {
                let change = try #require(trace.poll(self.rows(ids, state: state)).change)
                #expect(change.items == nil)
                #expect(trace.machine.status.warnings.map(\.kind) == [.keyUnusable])
                #expect(trace.machine.status.collection == guessed)
            }
            _ = trace.poll(self.rows(self.good, state: 7))
            #expect(trace.machine.status.warnings.isEmpty)
            let change = try #require(trace.poll(self.rows(Array(self.good.dropLast()), state: 7)).change)
            #expect(
                change.items.map { String(decoding: $0, as: UTF8.self) }
                    == #"{"created":[],"updated":[],"deleted":[3]}"#
            )
        }
    }

    @Test("R05 nor does a reload while such a value is there")
    func reload() throws {
        var trace = Trace()
        _ = trace.poll(self.rows(self.good))
        _ = trace.poll(self.rows(["", #""id":2,"#, #""id":3,"#]))
        var configuration = trace.machine.configuration
        configuration.timeout = .seconds(1)
        trace.machine = trace.machine.reconfigured(configuration, phase: 0.5, now: trace.now, wall: trace.wall)
        #expect(trace.machine.status.collection?.rule.key == Pointer("/id"))
        configuration.key = Pointer("/code")
        configuration.items = Pointer("/rows")
        trace.machine = trace.machine.reconfigured(configuration, phase: 0.5, now: trace.now, wall: trace.wall)
        #expect(trace.machine.status.collection?.isGuessed == false)
    }

    @Test("R05 nor does a restart, unless the value is another's")
    func restart() throws {
        var trace = Trace()
        _ = trace.poll(self.rows(self.good))
        let change = try #require(trace.poll(self.rows(["", #""id":2,"#, #""id":3,"#])).change)
        func restarted(_ configure: (inout SourceConfiguration) -> Void = { _ in }) -> SourceStateMachine {
            var configuration = trace.machine.configuration
            configure(&configuration)
            return SourceStateMachine(
                configuration: configuration,
                phase: 0.5,
                now: trace.now,
                wall: trace.wall,
                learned: change.learned
            )
        }
        var same = restarted()
        same.restored(change.document, validators: Validators(), at: trace.wall)
        #expect(same.status.collection?.rule.key == Pointer("/id"))
        var named = restarted {
            $0.items = Pointer("/rows")
            $0.key = Pointer("/code")
        }
        named.restored(change.document, validators: Validators(), at: trace.wall)
        #expect(named.status.collection?.rule.key == Pointer("/code"))
        for other in [#"[{"name":"a"},{"name":"b"}]"#, #"{"rows":[{"name":"a"},{"name":"b"}]}"#] {
            trace.machine = restarted()
            _ = trace.poll(.body(other))
            #expect(trace.machine.status.collection?.rule.key == Pointer("/name"))
            #expect(trace.machine.status.warnings.isEmpty)
        }
        for cut in 0..<change.learned.count {
            var machine = SourceStateMachine(
                configuration: trace.machine.configuration,
                phase: 0.5,
                now: trace.now,
                wall: trace.wall,
                learned: Array(change.learned.prefix(cut))
            )
            machine.restored(change.document, validators: Validators(), at: trace.wall)
            #expect(machine.status.collection != nil)
        }
    }

    @Test("a collection that moves is found where it went")
    func moved() {
        var trace = Trace()
        _ = trace.poll(.body(#"{"rows":[{"id":1},{"id":2}]}"#))
        _ = trace.poll(.body(#"{"error":"try later"}"#))
        #expect(trace.machine.status.collection?.rule.items == Pointer("/rows"))
        #expect(trace.machine.status.warnings.isEmpty)
        _ = trace.poll(.body(#"{"results":[{"id":1},{"id":2}]}"#))
        #expect(trace.machine.status.collection?.rule.items == Pointer("/results"))
    }
}

@Suite("What text/plain is")
struct PlainTextTests {
    private func text(_ body: String) -> Answer { .body(body, contentType: "text/plain; charset=utf-8") }

    private func value(_ trace: Trace, _ answer: Answer) -> String? {
        var trace = trace
        return trace.poll(answer).change.map { String(decoding: $0.document.text, as: UTF8.self) }
    }

    @Test(
        "R16 the first body decides nothing for good",
        arguments: [
            ("starting up", #"{"a":1}"#, #"{"a":1}"#), ("starting up", "[1,2]", "[1,2]"),
            ("closed", "open", #""open""#),
            ("closed", "42", #""42""#), ("42", "closed", #""closed""#), ("42", "43", "43"),
            ("true", "maybe", #""maybe""#),
            ("null", #"{"a":1}"#, #"{"a":1}"#), (#""a""#, #""b""#, #""b""#), ("42", #"{"a":1}"#, #"{"a":1}"#),
            ("[INFO] up", "[WARN] down", #""[WARN] down""#), (#"{"a":1}"#, #"{"a":2}"#, #"{"a":2}"#),
            (#"{"a":1}"#, "[2]", "[2]"),
        ]
    )
    func bodies(first: String, second: String, expected: String) {
        var trace = Trace()
        #expect(trace.poll(self.text(first)).outcome == .changed)
        #expect(self.value(trace, self.text(second)) == expected)
        // Nor for the process after a restart, which knows the value alone.
        var restarted = Trace()
        if let document = trace.machine.value(after: self.text(first)) {
            restarted.machine.restored(document, validators: Validators(), at: restarted.wall)
            #expect(self.value(restarted, self.text(second)) == expected)
        }
    }

    @Test(
        "R16 where the value has structure, a body without is a failure that names `format`",
        arguments: ["Service unavailable", #"{"a":"#, "[1,2", "<html>", "a,b\n1,2"]
    )
    func structured(body: String) {
        var trace = Trace()
        _ = trace.poll(self.text(#"{"a":1}"#))
        for _ in 0..<3 {
            let verdict = trace.poll(self.text(body))
            #expect(verdict.outcome == .failed(.malformed))
            #expect(verdict.error?.message.contains("`format`") == true)
        }
        #expect(trace.poll(self.text(#"{"a":2}"#)).outcome == .changed)
    }

    @Test(
        "R16 a type that changes later is taken",
        arguments: [
            ("starting up", "text/plain", "a,b\n1,2", "text/csv", #"[{"a":"1","b":"2"}]"#),
            ("starting up", "text/plain", #"{"a":1}"#, "application/json", #"{"a":1}"#),
            ("[1]", "text/plain", "<a>1</a>", "application/xml", #"{"a":"1"}"#),
            ("[1]", "application/json", "[2]", "text/plain", "[2]"),
            ("<a>1</a>", "application/xml", #"{"a":2}"#, "text/plain", #"{"a":2}"#),
        ]
    )
    func types(first: String, firstType: String, second: String, secondType: String, expected: String) {
        var trace = Trace()
        #expect(trace.poll(.body(first, contentType: firstType)).outcome == .changed)
        #expect(self.value(trace, .body(second, contentType: secondType)) == expected)
    }

    @Test(
        "R16 a type that cannot be taken later names `format`",
        arguments: ["text/html", "image/png", "application/zip"]
    )
    func unknownTypes(type: String) {
        var trace = Trace()
        _ = trace.poll(self.text("up"))
        let verdict = trace.poll(.body("[2]", contentType: type))
        #expect(verdict.outcome == .failed(.contentType))
        #expect(verdict.error?.message.contains("`format`") == true)
    }

    @Test("with `root` it can only be JSON, and with `format` it is that")
    func configured() {
        var rooted = Trace { $0.root = Pointer("/a") }
        #expect(rooted.poll(self.text(#"{"a":1}"#)).outcome == .changed)
        #expect(rooted.poll(self.text("down")).outcome == .failed(.malformed))
        var fixed = Trace { $0.format = .text }
        #expect(self.value(fixed, self.text("[1]")) == #""[1]""#)
        _ = fixed.poll(self.text("[1]"))
    }
}

@Suite("Values that wait to be seen again")
struct WaitingValueTests {
    private func rows(_ count: Int) -> String {
        "[" + (0..<count).map { #"{"id":\#($0),"name":"station \#($0)"}"# }.joined(separator: ",") + "]"
    }

    @Test("R31 a mass deletion is confirmed within seconds, whatever the interval", arguments: [1, 60, 3600, 86_400])
    func massDeletion(seconds: Int) {
        var trace = Trace { $0.interval = .fixed(.seconds(seconds)) }
        _ = trace.poll(.body(self.rows(40)))
        #expect(trace.poll(.body(self.rows(2))).change == nil)
        #expect(trace.machine.nextPoll - trace.now <= .seconds(2))
        #expect(trace.machine.nextPoll > trace.now)
        #expect(trace.machine.status.intervalReason.contains("is waiting for confirmation"))
        #expect(trace.poll(.body(self.rows(2))).change != nil)
        #expect(trace.machine.status.intervalReason.contains("as configured"))
    }

    @Test("R31 the lifetime of the upstream's own answer does not put it off; that of a cache's copy does")
    func lifetimes() {
        for (age, longest) in [(nil, 2), ("0", 61)] as [(String?, Int)] {
            var trace = Trace(phase: 0)
            var fields = ["cache-control": "max-age=60"]
            fields["age"] = age
            _ = trace.poll(.body(self.rows(40), fields: fields))
            _ = trace.poll(.body(self.rows(2), fields: fields))
            let wait = trace.machine.nextPoll - trace.now
            #expect(wait <= .seconds(longest) && (longest == 2 || wait >= .seconds(60)), "\(wait)")
        }
    }

    @Test("R31 what the upstream forbids is kept to", arguments: [["retry-after": "90"], ["x-poll-interval": "90"]])
    func forbidden(fields: [String: String]) {
        var trace = Trace { $0.interval = .fixed(.seconds(3600)) }
        _ = trace.poll(.body(self.rows(40)))
        _ = trace.poll(.body(self.rows(2), fields: fields))
        #expect(trace.machine.nextPoll - trace.now >= .seconds(90))
    }

    @Test("R31 a value that shrinks and never comes twice is not asked for every two seconds for ever")
    func bounded() {
        var trace = Trace {
            $0.interval = .fixed(.seconds(3600))
            $0.settle = 2
        }
        _ = trace.poll(.body(self.rows(40)))
        var quick = 0
        for number in 0..<20 {
            _ = trace.poll(.body(#"[{"id":\#(number)}]"#))
            quick += trace.machine.nextPoll - trace.now <= .seconds(2) ? 1 : 0
        }
        #expect(quick > 0 && quick <= 4)
    }

    @Test(
        "R30 `settle` with a clock in the value is reported with the clock's name",
        arguments: [
            (#"{"at":N,"v":1}"#, "/at"), (#"{"meta":{"generated":"tN"},"v":[1]}"#, "/meta/generated"),
            (#"[{"id":1,"seen":N},{"id":2,"seen":N}]"#, "/*/seen"), (#"{"rows":[{"id":1,"seen":N}]}"#, "/rows/*/seen"),
        ],
        [2, 3]
    )
    func clock(value: (body: String, name: String), settle: Int) throws {
        var trace = Trace { $0.settle = settle }
        for poll in 0..<12 { _ = trace.poll(.body(value.body.replacing("N", with: "\(poll)"))) }
        let warning = try #require(trace.machine.status.warnings.first { $0.kind == .unsettled })
        #expect(warning.message.contains("\(value.name);") && warning.message.contains("`ignore`"))
        #expect(trace.machine.status.changes == 1)
        for _ in 0..<settle { _ = trace.poll(.body(value.body.replacing("N", with: "99"))) }
        #expect(trace.machine.status.changes == 2)
        #expect(trace.machine.status.warnings.isEmpty)
    }

    @Test("R30 nothing is said where values settle, where they wait for a moment, or where the clock is ignored")
    func settles() {
        var trace = Trace { $0.settle = 2 }
        for poll in 0..<20 { _ = trace.poll(.body("[\(poll / 2)]")) }
        #expect(trace.machine.status.warnings.isEmpty)
        var ignoring = Trace {
            $0.settle = 2
            $0.ignore = [PointerPattern("/at")].compactMap { $0 }
        }
        for poll in 0..<20 { _ = ignoring.poll(.body(#"{"at":\#(poll),"v":\#(poll / 3)}"#)) }
        #expect(ignoring.machine.status.warnings.isEmpty)
        #expect(ignoring.machine.status.changes > 3)
    }

    @Test("R30 values that differ all over are reported without a name, and ignored members are not named")
    func nameless() throws {
        var trace = Trace {
            $0.settle = 2
            $0.ignore = [PointerPattern("/at")].compactMap { $0 }
        }
        for poll in 0..<12 { _ = trace.poll(.body(#"{"at":\#(poll),"\#(poll)":\#(poll)}"#)) }
        let warning = try #require(trace.machine.status.warnings.first { $0.kind == .unsettled })
        #expect(!warning.message.contains("/at"))
    }
}

extension SourceStateMachine {
    /// What this answer would make the value.
    fileprivate func value(after answer: Answer) -> Document? {
        var trace = Trace()
        return trace.poll(answer).change?.document
    }
}
