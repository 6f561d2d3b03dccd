// Writes through the program (CONTRACT §6): every row against an API that was written apart.

import EventStream
import FreshetTesting
import JSON
import Testing

/// A gateway before a ``WritableUpstream``, and a client of it.
struct WriteFixture {
    let upstream: WritableUpstream
    let gateway: Gateway

    init(
        _ upstream: WritableUpstream,
        _ write: String,
        source: String = "",
        before: String = "",
        interval: String = "1h"
    ) throws {
        self.upstream = upstream
        self.gateway = try Gateway(
            Self.configuration(upstream, write, source: source, before: before, interval: interval)
        )
    }

    static func configuration(
        _ upstream: WritableUpstream,
        _ write: String,
        source: String = "",
        before: String = "",
        interval: String = "1h"
    ) -> String {
        """
        \(before)
        sources:
          orders:
            url: \(upstream.upstream.url("/orders"))
            interval: \(interval)
            timeout: 2s
            items: /orders
            key: /id
            \(source)
            write: { item_url: "\(upstream.upstream.url("/orders/")){key}", methods: [PUT, PATCH, DELETE, POST], \(write) }
        """
    }

    static let items = ["a": #"{"id":"a","n":1,"m":1}"#, "b": #"{"id":"b","n":1,"m":1}"#]

    func ready() async throws -> HTTPTestClient {
        try await self.gateway.waitForValues(of: ["orders"])
        return try await self.gateway.client
    }

    /// The tag of an item, as the gateway gives it.
    func tag(_ key: String) async throws -> String {
        let reply = try await self.gateway.client.get("/v1/items/orders/\(key)")
        return try #require(reply.headers["ETag"], "\(reply.text)")
    }
}

extension HTTPTestClient {
    /// Sends a write; `type` is that of a merge patch unless it is named.
    func write(
        _ method: String,
        _ path: String,
        _ body: String?,
        match: String? = nil,
        key: String? = nil,
        headers: HeaderFields = [:],
        type: String = "application/merge-patch+json"
    ) async throws -> HTTPReply {
        var headers = headers
        if let match { headers.append("If-Match", match) }
        if let key { headers.append("Idempotency-Key", key) }
        if body != nil { headers.append("Content-Type", method == "PATCH" ? type : "application/json") }
        return try await self.send(method, path, headers: headers, body: body.map { Array($0.utf8) })
    }
}

extension HTTPReply {
    func member(_ name: String) throws -> Value? { try Document(parsing: self.body).root[name] }
}

@Suite("Writes", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct WriteTests {
    @Test("a write goes upstream with its own tag, is in the streams at its cursor, and GET shows it")
    func ordinary() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let fixture = try WriteFixture(upstream, "conflict: reject")
        let client = try await fixture.ready()
        var follower = try await fixture.gateway.follow("orders", mode: "patch")
        let (tag, otherTag) = (try await fixture.tag("a"), try await fixture.tag("b"))
        let reply = try await client.write("PATCH", "/v1/items/orders/a", #"{"n":2}"#, match: tag)
        #expect(reply.status == 200 && reply.text == #"{"id":"a","n":2,"m":1}"#, "\(reply.text)")
        let cursor = try #require(reply.headers["Freshet-Cursor"])
        #expect(reply.headers["ETag"] == "\"\(cursor)\"")
        let sent = try #require(upstream.writes.first)
        #expect(sent.method == "PATCH" && sent.path == "/orders/a" && sent.headers["If-Match"] == "\"v1\"")
        #expect(sent.headers["Content-Type"] == "application/merge-patch+json")
        #expect(String(decoding: sent.body, as: UTF8.self) == #"{"n":2}"#)
        // GET shows it by the time of the answer, with the same tag; the stream has it under the cursor of the answer.
        let item = try await client.get("/v1/items/orders/a")
        #expect(item.text == reply.text && item.headers["ETag"] == reply.headers["ETag"])
        #expect(try await client.get("/v1/items/orders/a", headers: ["If-None-Match": "\"\(cursor)\""]).status == 304)
        try await follower.takeChange()
        #expect(follower.lastEventID == cursor)
        #expect(
            try await client.get("/v1/values/orders").text
                == follower.value.map { String(decoding: $0.text, as: UTF8.self) }
        )
        #expect(try await fixture.tag("b") == otherTag, "the tag of another item is what it was")

        // The tag of the answer is the base of the next write, which needs no read.
        let before = upstream.upstream.requests(to: "/orders/a").count
        let put = try await client.write(
            "PUT",
            "/v1/items/orders/a",
            #"{"id":"a","n":3}"#,
            match: reply.headers["ETag"],
            headers: ["Prefer": "return=minimal"]
        )
        #expect(put.status == 204 && put.text.isEmpty && put.headers["Preference-Applied"] == "return=minimal")
        #expect(put.headers["Freshet-Cursor"] != nil && put.headers["ETag"] != nil)
        #expect(upstream.upstream.requests(to: "/orders/a").count == before + 1)
        try await follower.takeChange()
        let gone = try await client.write("DELETE", "/v1/items/orders/a", nil, match: put.headers["ETag"])
        #expect(gone.status == 204 && gone.headers["ETag"] == nil && gone.headers["Freshet-Cursor"] != nil)
        #expect(try await client.get("/v1/items/orders/a").status == 404)
        try await follower.takeChange()
        let made = try await client.write("POST", "/v1/values/orders", #"{"n":9}"#)
        #expect(
            try made.status == 201
                && made.headers["Location"] == "/v1/items/orders/\(try #require(try made.member("id")?.string))"
        )
        try await follower.takeChange()
        #expect(follower.lastEventID == made.headers["Freshet-Cursor"])
        let put2 = try await client.write(
            "PUT",
            "/v1/items/orders/c",
            #"{"id":"c"}"#,
            headers: ["If-None-Match": "*"]
        )
        #expect(put2.status == 201 && put2.headers["Location"] == "/v1/items/orders/c")
        #expect(upstream.writes.last?.headers["If-None-Match"] == "*")
        let again = try await client.write(
            "PUT",
            "/v1/items/orders/c",
            #"{"id":"c"}"#,
            headers: ["If-None-Match": "*"]
        )
        #expect(try again.status == 412 && (again.member("current")?.isContainer) == true)
        await follower.close()
        #expect(try await fixture.gateway.terminate() == .exited(0))
        // A line for each write, and nothing of a body in any.
        let log = fixture.gateway.process.errors
        #expect(log.contains("outcome=applied") && log.contains("method=PATCH") && log.contains("key=a"), "\(log)")
        #expect(!log.contains("\"n\""))
    }

    @Test("requests that name no base, no method, no type, no item, no source")
    func refusals() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let fixture = try WriteFixture(upstream, "conflict: reject")
        let client = try await fixture.ready()
        let tag = try await fixture.tag("a")
        let cases: [(String, String, String?, String?, String, Int, String)] = [
            ("PATCH", "/v1/items/orders/a", "{}", nil, "application/merge-patch+json", 428, "precondition_required"),
            ("PATCH", "/v1/items/orders/a", "{}", tag, "application/json", 415, "unsupported_patch"),
            ("PATCH", "/v1/items/orders/a", "{", tag, "application/merge-patch+json", 400, "bad_body"),
            ("PUT", "/v1/values/orders", "{}", tag, "", 405, "method_not_allowed"),
            ("POST", "/v1/items/orders/a", "{}", nil, "", 405, "method_not_allowed"),
            ("PATCH", "/v1/items/orders/%2E%2E", "{}", tag, "application/merge-patch+json", 404, "unknown_item"),
            ("PATCH", "/v1/items/none/a", "{}", tag, "application/merge-patch+json", 404, "unknown_source"),
            (
                "PATCH", "/v1/items/orders/a", "{}", "W/\(tag)", "application/merge-patch+json", 412,
                "precondition_failed"
            ),
            ("PUT", "/v1/items/orders/a", #"{"id":"z"}"#, tag, "", 422, "key_mismatch"),
        ]
        for (method, path, body, match, type, status, code) in cases {
            let reply = try await client.write(method, path, body, match: match, type: type)
            #expect(reply.status == status, "\(method) \(path): \(reply.status) \(reply.text)")
            #expect(try reply.member("code")?.string == code, "\(method) \(path): \(reply.text)")
        }
        #expect(upstream.writes.isEmpty)
        // A dry run does all but the write.
        let dry = try await client.write(
            "PATCH",
            "/v1/items/orders/a",
            #"{"n":5}"#,
            match: tag,
            headers: ["Prefer": "dry-run"]
        )
        #expect(
            dry.status == 200 && dry.text == #"{"id":"a","n":5,"m":1}"#
                && dry.headers["Preference-Applied"] == "dry-run"
        )
        #expect(upstream.writes.isEmpty && upstream.text("a") == WriteFixture.items["a"])
        #expect(try await fixture.gateway.terminate() == .exited(0))
    }

    @Test(
        "conflicts: reject shows the newest, merge takes disjoint edits and lists the others, overwrite needs no base"
    )
    func conflicts() async throws {
        for conflict in ["reject", "merge", "overwrite"] {
            let upstream = try WritableUpstream(WriteFixture.items)
            let fixture = try WriteFixture(upstream, "conflict: \(conflict)")
            let client = try await fixture.ready()
            let tag = try await fixture.tag("a")
            // Somebody writes past the gateway, which has not polled since.
            try upstream.set("a", #"{"id":"a","n":7,"m":1}"#)
            let disjoint = try await client.write("PATCH", "/v1/items/orders/a", #"{"m":2}"#, match: tag)
            if conflict == "merge" {
                #expect(disjoint.status == 200 && upstream.text("a") == #"{"id":"a","n":7,"m":2}"#, "\(disjoint.text)")
                let colliding = try await client.write("PATCH", "/v1/items/orders/a", #"{"n":8}"#, match: tag)
                #expect(colliding.status == 409, "\(colliding.text)")
                let listed = try #require(try colliding.member("conflicts")?[0])
                #expect(listed["path"]?.string == "/n" && listed["base"]?.int == 1)
                #expect(listed["theirs"]?.int == 7 && listed["mine"]?.int == 8)
                let bare = try await client.write(
                    "PATCH",
                    "/v1/items/orders/a",
                    #"{"n":8}"#,
                    match: String(tag.dropFirst().dropLast())
                )
                #expect(bare.status == 409, "a bare cursor names a base as well")
            } else {
                #expect(disjoint.status == 412)
                #expect(try disjoint.member("current")?["n"]?.int == 7)
                let cursor = try #require(try disjoint.member("cursor")?.string)
                let item = try await client.get("/v1/items/orders/a")
                #expect(item.headers["Freshet-Cursor"] == cursor && item.text == upstream.text("a"))
            }
            if conflict == "overwrite" {
                let over = try await client.write("PUT", "/v1/items/orders/a", #"{"id":"a","n":0}"#)
                #expect(over.status == 200 && upstream.text("a") == #"{"id":"a","n":0}"#)
                #expect(upstream.writes.last?.headers["If-Match"] != nil, "guarded all the same")
            }
            #expect(try await fixture.gateway.terminate() == .exited(0))
        }
    }

    @Test("guards: weak tags are never sent, compare and field say so, and identity is asked for")
    func guards() async throws {
        for tags in [WritableUpstream.Tags.weak, .none] {
            let upstream = try WritableUpstream(WriteFixture.items, tags: tags)
            let fixture = try WriteFixture(upstream, "conflict: reject")
            let client = try await fixture.ready()
            let refused = try await client.write(
                "PATCH",
                "/v1/items/orders/a",
                #"{"n":2}"#,
                match: try await fixture.tag("a")
            )
            #expect(
                try refused.status == 422 && (refused.member("code")?.string) == "no_strong_validator",
                "\(refused.text)"
            )
            #expect(upstream.writes.isEmpty)
            #expect(try await fixture.gateway.terminate() == .exited(0))
        }
        let compressed = try WritableUpstream(WriteFixture.items, tags: .weakWhenCompressed)
        let first = try WriteFixture(compressed, "conflict: reject")
        let strong = try await first.ready().write(
            "PATCH",
            "/v1/items/orders/a",
            #"{"n":2}"#,
            match: try await first.tag("a")
        )
        #expect(strong.status == 200 && compressed.writes.first?.headers["If-Match"] == "\"v1\"", "\(strong.text)")
        #expect(try await first.gateway.terminate() == .exited(0))

        for guarding in ["guard: compare", "guard: field, version: /n"] {
            let upstream = try WritableUpstream(WriteFixture.items, tags: .weak)
            let fixture = try WriteFixture(upstream, "conflict: reject, \(guarding)")
            let client = try await fixture.ready()
            let tag = try await fixture.tag("a")
            let reply = try await client.write("PATCH", "/v1/items/orders/a", #"{"n":2}"#, match: tag)
            #expect(reply.status == 200 && reply.headers["Freshet-Guard"] == "compared", "\(reply.text)")
            #expect(upstream.writes.first?.headers["If-Match"] == nil)
            try upstream.set("a", #"{"id":"a","n":9,"m":9}"#)
            let late = try await client.write("PATCH", "/v1/items/orders/a", #"{"m":2}"#, match: reply.headers["ETag"])
            #expect(late.status == 412 && upstream.writes.count == 1)
            #expect(try await fixture.gateway.terminate() == .exited(0))
        }
    }

    @Test("what the upstream takes: JSON Patches, or the whole")
    func patches() async throws {
        for (patch, method, type) in [
            ("json-patch", "PATCH", "application/json-patch+json"), ("none", "PUT", "application/json"),
        ] {
            let upstream = try WritableUpstream(WriteFixture.items)
            let fixture = try WriteFixture(upstream, "conflict: reject, patch: \(patch)")
            let client = try await fixture.ready()
            let reply = try await client.write(
                "PATCH",
                "/v1/items/orders/a",
                #"{"n":2}"#,
                match: try await fixture.tag("a")
            )
            #expect(reply.status == 200 && upstream.text("a") == #"{"id":"a","n":2,"m":1}"#, "\(reply.text)")
            #expect(upstream.writes.first?.method == method && upstream.writes.first?.headers["Content-Type"] == type)
            let body = #"[{"op":"test","path":"/n","value":2},{"op":"remove","path":"/m"}]"#
            let removal = try await client.write(
                "PATCH",
                "/v1/items/orders/a",
                body,
                match: reply.headers["ETag"],
                type: "application/json-patch+json"
            )
            #expect(removal.status == 200 && upstream.text("a") == #"{"id":"a","n":2}"#, "\(removal.text)")
            #expect(try await fixture.gateway.terminate() == .exited(0))
        }
    }

    @Test("a result that violates the schema is not sent, and says where")
    func schema() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let folder = try TemporaryFolder()
        let schema = #"{"properties":{"orders":{"items":{"properties":{"n":{"maximum":5},"m":{"type":"integer"}}}}}}"#
        let file = try folder.write(schema, to: "schema.json")
        let fixture = try WriteFixture(upstream, "conflict: reject", source: "schema: \(file)")
        let client = try await fixture.ready()
        let reply = try await client.write(
            "PATCH",
            "/v1/items/orders/b",
            #"{"n":6,"m":"x"}"#,
            match: try await fixture.tag("b")
        )
        #expect(reply.status == 422, "\(reply.text)")
        let pointers = try #require(try reply.member("errors")).elements.compactMap { $0["pointer"]?.string }
        #expect(pointers.sorted() == ["/m", "/n"])
        #expect(upstream.writes.isEmpty)
        #expect(try await fixture.gateway.terminate() == .exited(0))
    }

    @Test("the whole value is written where there is no item_url")
    func whole() async throws {
        let upstream = try ScriptedUpstream()
        let resource = Watched((text: #"{"a":1,"b":1}"#, version: 1))
        upstream.on("/flags") { request in
            resource.update { value in
                let tag = "\"w\(value.version)\""
                if request.method == "GET" {
                    return [.respond(.json(value.text, headers: ["ETag": tag]))]
                }
                guard request.headers["If-Match"] == tag else { return [.respond(.status(412))] }
                value = (String(decoding: request.body, as: UTF8.self), value.version + 1)
                return [.respond(.status(204))]
            }
        }
        let gateway = try Gateway(
            """
            sources:
              flags: { url: "\(upstream.url("/flags"))", interval: 1h, write: { methods: [PUT, PATCH], patch: none, conflict: merge } }
            """
        )
        try await gateway.waitForValues(of: ["flags"])
        let client = try await gateway.client
        let tag = try #require(try await client.get("/v1/values/flags").headers["ETag"])
        let reply = try await client.write("PATCH", "/v1/values/flags", #"{"a":2}"#, match: tag)
        #expect(reply.status == 200 && reply.text == #"{"a":2,"b":1}"#, "\(reply.text)")
        let other = try await client.write("PUT", "/v1/values/flags", #"{"a":1,"b":5}"#, match: tag)
        #expect(other.status == 200 && resource.value.text == #"{"a":2,"b":5}"#, "\(other.text)")
        #expect(try await client.get("/v1/values/flags").headers["ETag"] == other.headers["ETag"])
        #expect(try await client.write("PATCH", "/v1/items/flags/a", "{}", match: tag).status == 405)
        #expect(try await gateway.terminate() == .exited(0))
    }
}
