// One write from its first look to its answer, as a trace: what is asked, what is answered, what comes of it.

import HTTPFields
import JSON
import JSONSchema
import Testing

@testable import FreshetCore

@Suite("The plan of a write")
struct WritePlanTests {
    static let cursor = Cursor("k3f9q-41")

    static func document(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    struct Setting {
        var policy = WritePolicy()
        var request = WriteRequest(.patch, source: "orders", key: "7")
        var value = #"[{"id":7,"a":1,"b":1},{"id":8,"a":1}]"#
        var base: String? = #"{"id":7,"a":1,"b":1}"#
        var tag: String?
        var schema: SourceSchema?

        init(_ method: WriteMethod = .patch, _ body: String = #"{"a":2}"#, ifMatch: String? = "\"k3f9q-41\"") {
            self.policy.methods = WriteMethod.allCases
            self.policy.itemURL = "https://api.example/orders/{key}"
            self.request = WriteRequest(
                method,
                source: "orders",
                key: method == .post ? nil : "7",
                body: Array(body.utf8)
            )
            self.request.contentType = "application/merge-patch+json"
            self.request.ifMatch = ifMatch
        }

        func plan(resuming attempt: WriteAttempt? = nil) throws -> WritePlan {
            let write = try CheckedWrite(self.request, by: self.policy, limits: ParseLimits())
            var scene = WriteScene(
                write: write,
                policy: self.policy,
                rule: ItemRule(items: Pointer(), key: Pointer("/id")),
                schema: self.schema,
                limits: ParseLimits(),
                value: try WritePlanTests.document(self.value),
                cursor: try #require(WritePlanTests.cursor),
                base: .none
            )
            if case .cursors = write.condition {
                scene.base = try self.base.map { .known(try WritePlanTests.document($0)) } ?? .unknown
            }
            if let tag, let current = scene.target(in: scene.value) {
                scene.upstream = UpstreamVersion(tag: Array(tag.utf8), hash: current.hash)
            }
            return WritePlan(scene, resuming: attempt)
        }
    }

    static func response(_ status: Int, _ body: String = "", etag: String? = nil) -> ExchangeResponse {
        let fields = etag.map { [HeaderField(name: Array("etag".utf8), value: Array($0.utf8))] } ?? []
        return ExchangeResponse(status: status, fields: fields, body: Array(body.utf8))
    }

    /// A step in one line.
    static func line(_ step: WritePlan.Step) -> String {
        switch step {
        case .exchange(let exchange):
            var line = exchange.method.rawValue
            if case .item(let key) = exchange.target { line += " \(key)" }
            if let tag = exchange.ifMatch { line += " if \(String(decoding: tag, as: UTF8.self))" }
            if exchange.isCreation { line += " if none" }
            if let key = exchange.idempotencyKey { line += " key \(key)" }
            if !exchange.body.isEmpty { line += " \(String(decoding: exchange.body, as: UTF8.self))" }
            return line
        case .take(.value(let text), _): return "take \(String(decoding: text, as: UTF8.self))"
        case .take(.item(let key, let text), _), .take(.creation(let key, let text), _):
            return "take \(key) \(String(decoding: text, as: UTF8.self))"
        case .take(.removal(let key), _): return "remove \(key)"
        case .poll: return "poll"
        case .finish(let answer, let end):
            let name =
                switch end {
                case .settled: "settled"
                case .forgotten: "forgotten"
                case .unknown: "unknown"
                }
            let members =
                answer.problem?.members.map { " \($0.name)=\(String(decoding: $0.json, as: UTF8.self))" }.joined() ?? ""
            let value = answer.value.map { " " + String(decoding: $0, as: UTF8.self) } ?? ""
            return "\(answer.status) \(answer.problem?.code ?? "ok") \(name)\(members)\(value)"
        }
    }

    private static func taken(_ sequence: UInt64, _ value: String) throws -> Result<WritePlan.Taken, UpstreamError> {
        .success(
            WritePlan.Taken(
                cursor: Cursor(epoch: try #require(self.cursor).epoch, sequence: sequence),
                value: try self.document(value)
            )
        )
    }

    @Test("the upstream is read for its own strong tag, written with it, and its answer is the value")
    func ordinary() throws {
        var plan = try Setting().plan()
        #expect(Self.line(plan.start()) == "GET 7")
        let read = plan.answered(.success(Self.response(200, #"{"id":7,"a":1,"b":1}"#, etag: "\"u1\"")))
        #expect(Self.line(read) == #"PATCH 7 if "u1" {"a":2}"#)
        #expect(plan.attempt != nil)
        let written = plan.answered(.success(Self.response(200, #"{"id":7,"a":2,"b":1,"at":9}"#, etag: "\"u2\"")))
        #expect(Self.line(written) == #"take 7 {"id":7,"a":2,"b":1,"at":9}"#)
        let end = plan.taken(try Self.taken(42, #"[{"id":7,"a":2,"b":1,"at":9}]"#))
        #expect(Self.line(end) == #"200 ok settled {"id":7,"a":2,"b":1,"at":9}"#)
        #expect(plan.upstream?.tag == Array("\"u2\"".utf8))
        // The next write needs no read.
        var next = Setting()
        next.tag = "\"u1\""
        var second = try next.plan()
        #expect(Self.line(second.start()) == #"PATCH 7 if "u1" {"a":2}"#)
    }

    @Test("an answer without a representation is followed by one GET; without that, what was sent counts")
    func representations() throws {
        for (answer, body) in [(204, ""), (200, #"{"ok":true}"#), (303, "")] {
            var setting = Setting()
            setting.tag = "\"u1\""
            var plan = try setting.plan()
            _ = plan.start()
            #expect(Self.line(plan.answered(.success(Self.response(answer, body)))) == "GET 7", "\(answer)")
            let step = plan.answered(.failure(.cut(UpstreamError(.timeout, "late"))))
            #expect(Self.line(step) == #"take 7 {"id":7,"a":2,"b":1}"#)
        }
    }

    @Test("a base that is not the newest: reject shows what there is, merge takes both, overwrite is refused too")
    func conflicts() throws {
        var setting = Setting()
        setting.base = #"{"id":7,"a":1,"b":0}"#
        for conflict in [WritePolicy.Conflict.reject, .overwrite] {
            setting.policy.conflict = conflict
            var plan = try setting.plan()
            #expect(
                Self.line(plan.start())
                    == #"412 precondition_failed settled current={"id":7,"a":1,"b":1} cursor="k3f9q-41""#
            )
        }
        setting.policy.conflict = .merge
        setting.tag = "\"u1\""
        var plan = try setting.plan()
        #expect(Self.line(plan.start()) == #"PATCH 7 if "u1" {"a":2}"#)
        setting.base = #"{"id":7,"a":0,"b":1}"#
        plan = try setting.plan()
        #expect(
            Self.line(plan.start())
                == #"409 conflict settled conflicts=[{"path":"/a","base":0,"theirs":1,"mine":2}] "#
                + #"current={"id":7,"a":1,"b":1} cursor="k3f9q-41""#
        )
        setting.base = nil
        plan = try setting.plan()
        #expect(Self.line(plan.start()).hasPrefix("412 precondition_failed settled current="))
    }

    @Test("what the upstream had meanwhile becomes the value before the client is told of it")
    func stale() throws {
        var plan = try Setting().plan()
        _ = plan.start()
        let step = plan.answered(.success(Self.response(200, #"{"id":7,"a":5,"b":1}"#, etag: "\"u9\"")))
        #expect(Self.line(step) == #"take 7 {"id":7,"a":5,"b":1}"#)
        let end = plan.taken(try Self.taken(42, #"[{"id":7,"a":5,"b":1}]"#))
        #expect(Self.line(end) == #"412 precondition_failed settled current={"id":7,"a":5,"b":1} cursor="k3f9q-42""#)
    }

    @Test("412 of the upstream: read again and decide again, a bounded number of times")
    func races() throws {
        var setting = Setting()
        setting.policy.conflict = .merge
        setting.tag = "\"u1\""
        var plan = try setting.plan()
        var step = plan.start()
        for round in 2...WritePlan.maxSends {
            #expect(Self.line(step).hasPrefix("PATCH 7 if"))
            #expect(Self.line(plan.answered(.success(Self.response(412)))) == "GET 7")
            step = plan.answered(
                .success(Self.response(200, "{\"id\":7,\"a\":1,\"b\":\(round)}", etag: "\"u\(round)\""))
            )
        }
        _ = plan.answered(.success(Self.response(412)))
        step = plan.answered(.success(Self.response(200, #"{"id":7,"a":1,"b":99}"#, etag: "\"u99\"")))
        #expect(Self.line(step).hasPrefix("503 write_contended forgotten"))
    }

    @Test("guards: a weak tag or none is refused, compare and field read and send without, none sends at once")
    func guards() throws {
        for etag in ["W/\"u1\"", nil] {
            var plan = try Setting().plan()
            _ = plan.start()
            let step = plan.answered(.success(Self.response(200, #"{"id":7,"a":1,"b":1}"#, etag: etag)))
            #expect(Self.line(step).hasPrefix("422 no_strong_validator settled"))
        }
        var setting = Setting()
        setting.policy.guard = .compare
        var plan = try setting.plan()
        #expect(Self.line(plan.start()) == "GET 7")
        #expect(Self.line(plan.answered(.success(Self.response(200, #"{"id":7,"a":1,"b":1}"#)))) == #"PATCH 7 {"a":2}"#)
        _ = plan.answered(.success(Self.response(200, #"{"id":7,"a":2,"b":1}"#)))
        guard case .finish(let answer, _) = plan.taken(try Self.taken(42, #"[{"id":7,"a":2,"b":1}]"#)) else {
            return #expect(Bool(false))
        }
        #expect(answer.guardNote == "compared")
        plan = try setting.plan()
        _ = plan.start()
        #expect(Self.line(plan.answered(.success(Self.response(200, #"{"id":7,"a":1,"b":2}"#)))).hasPrefix("take 7"))
        setting.policy.guard = .field
        setting.policy.version = Pointer("/a")
        plan = try setting.plan()
        _ = plan.start()
        #expect(
            Self.line(plan.answered(.success(Self.response(200, #"{"id":7,"a":1,"b":2}"#)))) == #"PATCH 7 {"a":2}"#,
            "its version is what it was"
        )
        setting.policy.guard = .none
        plan = try setting.plan()
        #expect(Self.line(plan.start()) == #"PATCH 7 {"a":2}"#)
    }

    @Test("what the upstream takes: merge patches, JSON Patches, or the whole")
    func patches() throws {
        var setting = Setting()
        setting.tag = "\"u1\""
        setting.policy.patch = .jsonPatch
        var plan = try setting.plan()
        #expect(Self.line(plan.start()) == #"PATCH 7 if "u1" [{"op":"replace","path":"/a","value":2}]"#)
        setting.policy.patch = .none
        plan = try setting.plan()
        #expect(Self.line(plan.start()) == #"PUT 7 if "u1" {"id":7,"a":2,"b":1}"#)
        setting.policy.patch = .merge
        setting.request.body = Array(#"[{"op":"add","path":"/a","value":null}]"#.utf8)
        setting.request.contentType = "application/json-patch+json; charset=utf-8"
        plan = try setting.plan()
        #expect(Self.line(plan.start()) == #"PUT 7 if "u1" {"id":7,"a":null,"b":1}"#, "no merge patch sets null")
        setting.request.body = Array(#"[{"op":"test","path":"/a","value":9}]"#.utf8)
        plan = try setting.plan()
        #expect(Self.line(plan.start()) == "422 patch_failed settled")
    }

    @Test("creating, deleting, and what is not there")
    func existence() throws {
        var creation = Setting(.put, #"{"id":9,"a":1}"#, ifMatch: nil)
        creation.request.key = "9"
        creation.request.ifNoneMatch = "*"
        var plan = try creation.plan()
        #expect(Self.line(plan.start()) == #"PUT 9 if none {"id":9,"a":1}"#)
        _ = plan.answered(.success(Self.response(201, #"{"id":9,"a":1}"#, etag: "\"u1\"")))
        guard case .finish(let answer, _) = plan.taken(try Self.taken(42, #"[{"id":9,"a":1}]"#)) else {
            return #expect(Bool(false))
        }
        #expect(answer.status == 201 && answer.location == "/v1/items/orders/9" && answer.etag == "\"k3f9q-42\"")
        creation.request.key = "7"
        creation.request.body = Array(#"{"id":7}"#.utf8)
        plan = try creation.plan()
        #expect(Self.line(plan.start()).hasPrefix("412 precondition_failed settled current="))
        creation.request.key = "9"
        plan = try creation.plan()
        #expect(Self.line(plan.start()) == "422 key_mismatch settled")

        var deletion = Setting(.delete, "")
        deletion.tag = "\"u1\""
        plan = try deletion.plan()
        #expect(Self.line(plan.start()) == #"DELETE 7 if "u1""#)
        #expect(Self.line(plan.answered(.success(Self.response(204)))) == "remove 7")
        #expect(Self.line(plan.taken(try Self.taken(42, "[]"))) == "204 ok settled")

        var missing = Setting()
        missing.policy.conflict = .merge
        missing.request.key = "99"
        missing.request.ifMatch = nil
        plan = try missing.plan()
        #expect(Self.line(plan.start()) == "404 unknown_item settled")
    }

    @Test("POST: the item, or where it is, or a poll tells")
    func creation() throws {
        let setting = Setting(.post, #"{"a":1}"#, ifMatch: nil)
        var plan = try setting.plan()
        #expect(Self.line(plan.start()) == #"POST {"a":1}"#)
        #expect(Self.line(plan.answered(.success(Self.response(201, #"{"id":9,"a":1}"#)))) == #"take 9 {"id":9,"a":1}"#)
        guard case .finish(let answer, _) = plan.taken(try Self.taken(42, #"[{"id":9,"a":1}]"#)) else {
            return #expect(Bool(false))
        }
        #expect(answer.status == 201 && answer.location == "/v1/items/orders/9")

        plan = try setting.plan()
        _ = plan.start()
        var created = Self.response(201)
        created.fields = [HeaderField(name: Array("location".utf8), value: Array("/orders/a%2Fb".utf8))]
        #expect(Self.line(plan.answered(.success(created))) == "GET a/b")
        #expect(Self.line(plan.answered(.success(Self.response(200, #"{"id":"a/b"}"#)))) == #"take a/b {"id":"a/b"}"#)

        plan = try setting.plan()
        _ = plan.start()
        #expect(Self.line(plan.answered(.success(Self.response(201)))) == "poll")
        #expect(Self.line(plan.taken(try Self.taken(42, "[]"))) == "201 ok settled")
    }

    @Test("what the upstream refuses, fails at, or does not answer")
    func failures() throws {
        func end(_ result: Result<ExchangeResponse, WriteFailure>, forwarded: Bool = false) throws -> String {
            var setting = Setting()
            setting.tag = "\"u1\""
            var scene = try setting.plan().scene
            scene.isForwarded = forwarded
            var plan = WritePlan(scene)
            _ = plan.start()
            return Self.line(plan.answered(result))
        }
        let refused = UpstreamError(.connect, "refused")
        #expect(try end(.failure(.notSent(refused))) == #"502 upstream_unreachable forgotten outcome="not_applied""#)
        #expect(try end(.failure(.cut(refused))) == #"504 outcome_unknown unknown outcome="unknown""#)
        #expect(
            try end(.success(Self.response(500)))
                == #"504 outcome_unknown unknown outcome="unknown" upstream_status=500"#
        )
        #expect(
            try end(.success(Self.response(409)))
                == #"409 upstream_refused settled outcome="not_applied" upstream_status=409"#
        )
        #expect(try end(.success(Self.response(429))).hasPrefix("429 upstream_refused forgotten"))
        #expect(try end(.success(Self.response(401))).hasPrefix("502 upstream_credentials forgotten"))
        #expect(try end(.success(Self.response(401)), forwarded: true).hasPrefix("401 upstream_refused forgotten"))
        #expect(try end(.success(Self.response(301))).hasPrefix("502 upstream_redirected forgotten"))
        #expect(try end(.success(Self.response(102))).hasPrefix("502 upstream_answer forgotten"))
    }

    @Test("an unknown outcome is resolved by its first validator alone")
    func resumed() throws {
        var exchange = WriteExchange(.patch, .item("7"))
        exchange.body = Array(#"{"a":2}"#.utf8)
        exchange.ifMatch = Array("\"u1\"".utf8)
        let attempt = WriteAttempt(exchange: exchange, intended: Array(#"{"id":7,"a":2,"b":1}"#.utf8), creates: false)
        func begin() throws -> WritePlan {
            var plan = try Setting().plan(resuming: attempt)
            #expect(Self.line(plan.start()) == #"PATCH 7 if "u1" {"a":2}"#)
            return plan
        }
        var plan = try begin()
        #expect(Self.line(plan.answered(.success(Self.response(200, #"{"id":7,"a":2,"b":1}"#)))).hasPrefix("take 7"))
        plan = try begin()
        #expect(Self.line(plan.answered(.success(Self.response(412)))) == "GET 7")
        #expect(Self.line(plan.answered(.success(Self.response(200, #"{"a":2,"b":1,"id":7}"#)))).hasPrefix("take 7"))
        plan = try begin()
        _ = plan.answered(.success(Self.response(412)))
        let other = plan.answered(.success(Self.response(200, #"{"id":7,"a":3,"b":1}"#)))
        #expect(Self.line(other).hasPrefix("504 outcome_unknown unknown"))
        for status in [409, 428, 500, 429] {
            plan = try begin()
            #expect(Self.line(plan.answered(.success(Self.response(status)))).hasPrefix("504 outcome_unknown unknown"))
        }
        plan = try begin()
        let lost = plan.answered(.failure(.notSent(UpstreamError(.connect, "refused"))))
        #expect(Self.line(lost).hasPrefix("504 outcome_unknown unknown"))
        // Nothing guards it: it is not sent again.
        exchange.ifMatch = nil
        let bare = WriteAttempt(exchange: exchange, intended: attempt.intended, creates: false)
        plan = try Setting().plan(resuming: bare)
        #expect(Self.line(plan.start()).hasPrefix("504 outcome_unknown unknown"))
        // Unless the upstream knows its key.
        exchange.idempotencyKey = "k"
        plan = try Setting().plan(
            resuming: WriteAttempt(exchange: exchange, intended: attempt.intended, creates: false)
        )
        #expect(Self.line(plan.start()) == #"PATCH 7 key k {"a":2}"#)
    }

    @Test("a result that violates the schema is not sent, and every pointer is relative to what was written")
    func schema() throws {
        let text = #"{"items":{"properties":{"a":{"maximum":1},"b":{"type":"string"}},"required":["id"]}}"#
        let schema = try Schema(try Self.document(text), uri: "file:///schema.json")
        var setting = Setting(.put, #"{"id":7,"a":2,"b":1}"#)
        setting.tag = "\"u1\""
        setting.schema = SourceSchema(path: "schema.json", schema: schema, references: [])
        var plan = try setting.plan()
        let line = Self.line(plan.start())
        #expect(line.hasPrefix("422 schema_violation settled errors="))
        #expect(line.contains(#""pointer":"/a""#) && line.contains(#""pointer":"/b""#))
        var dry = Setting(.put, #"{"id":7,"a":1,"b":"x"}"#)
        dry.schema = setting.schema
        dry.request.isDryRun = true
        plan = try dry.plan()
        #expect(Self.line(plan.start()) == "GET 7")
        let step = plan.answered(.success(Self.response(200, #"{"id":7,"a":1,"b":1}"#, etag: "\"u1\"")))
        #expect(Self.line(step) == #"200 ok forgotten {"id":7,"a":1,"b":"x"}"#)
        // What is missing may be the upstream's to add.
        var post = Setting(.post, #"{"a":1}"#, ifMatch: nil)
        post.schema = setting.schema
        plan = try post.plan()
        #expect(Self.line(plan.start()) == #"POST {"a":1}"#)
        post.request.body = Array(#"{"a":5}"#.utf8)
        plan = try post.plan()
        #expect(Self.line(plan.start()).contains(#""pointer":"/a""#))
    }

    @Test(
        "requests that make no sense by themselves",
        arguments: [
            (WriteMethod.patch, "text/plain", "\"k3f9q-41\"", nil, "{}", 415),
            (.patch, "application/merge-patch+json", nil, nil, "{}", 428),
            (.put, "application/json", nil, "\"x\"", "{}", 400), (.put, "application/json", "\"a\"", "*", "{}", 400),
            (.put, "application/json", "*", nil, "{", 400), (.delete, nil, nil, "*", "", 400),
        ] as [(WriteMethod, String?, String?, String?, String, Int)]
    )
    func requests(_ method: WriteMethod, type: String?, match: String?, none: String?, body: String, status: Int) {
        var setting = Setting(method, body, ifMatch: match)
        setting.request.contentType = type
        setting.request.ifNoneMatch = none
        #expect(throws: WriteProblem.self) {
            try CheckedWrite(setting.request, by: setting.policy, limits: ParseLimits())
        }
        do {
            _ = try CheckedWrite(setting.request, by: setting.policy, limits: ParseLimits())
        } catch {
            #expect(error.status == status)
        }
    }

    @Test("tags: ours, cursors, weak ones and those of compressed forms")
    func tags() throws {
        let cursor = try #require(Self.cursor)
        #expect(try WriteCondition(ifMatch: "\"k3f9q-41\"", ifNoneMatch: nil) == .cursors([cursor]))
        #expect(
            try WriteCondition(ifMatch: " k3f9q-41 , W/\"k3f9q-41\", \"zz\"", ifNoneMatch: nil) == .cursors([cursor])
        )
        #expect(try WriteCondition(ifMatch: "*", ifNoneMatch: nil) == .any)
        #expect(try WriteCondition(ifMatch: nil, ifNoneMatch: "*") == .absent)
        for (tag, isIdentity, isStrong) in [
            ("\"a\"", false, true), ("W/\"a\"", true, false), ("\"a-gzip\"", false, false), ("\"a-gzip\"", true, true),
            ("\"a;br\"", false, false), ("a", true, false), ("\"é\"", true, false),
        ] {
            #expect((UpstreamTag.strong(Array(tag.utf8), isIdentity: isIdentity) != nil) == isStrong, "\(tag)")
        }
    }
}
