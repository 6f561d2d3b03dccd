import Crypto
import Foundation
import FreshetAccess
import FreshetCore
import FreshetTesting
import JSON
import JSONSchema
import Testing

@testable import FreshetHTTP

@Suite("Schemas and calls of upstreams, over HTTP")
struct SchemaRouteTests {
    @Test("the configured schema, byte for byte")
    func configured() async throws {
        try await withGateway { gateway in
            let source = try gateway.source("a")
            let text = Array(#"{"type":"array"}"#.utf8)
            let schema = SourceSchema(
                path: "s.json",
                schema: try Schema(try Document(parsing: text), uri: "s.json"),
                references: []
            )
            try gateway.update(source) { $0.schema = schema }
            let reply = try await gateway.get("/v1/sources/a/schema")
            #expect(reply.status == 200)
            #expect(reply.body == text)
            #expect(reply.headers["Content-Type"] == "application/schema+json")
            #expect(reply.headers["Freshet-Schema"] == "configured")
            #expect(try await gateway.get("/v1/sources/b/schema").status == 404)
        }
    }

    @Test("without one, what was seen: the same until something new is seen")
    func inferred() async throws {
        try await withGateway { gateway in
            let source = try gateway.source("a")
            #expect(try await gateway.get("/v1/sources/a/schema").status == 503)
            try gateway.publish(#"{"n":1,"s":"x"}"#, of: source)
            try gateway.publish(#"{"n":null,"s":"x"}"#, of: source)
            try gateway.publish(#"{"n":2}"#, of: source)
            let first = try await gateway.get("/v1/sources/a/schema")
            #expect(first.headers["Freshet-Schema"] == "inferred")
            let properties = try json(first, "/properties")
            #expect(
                String(decoding: properties.text, as: UTF8.self)
                    == #"{"n":{"type":["null","integer"]},"s":{"type":"string"}}"#
            )
            #expect(String(decoding: try json(first, "/required").text, as: UTF8.self) == #"["n"]"#)
            for number in 3..<9 {
                try gateway.publish(#"{"n":\#(number)}"#, of: source)
                #expect(try await gateway.get("/v1/sources/a/schema").body == first.body)
            }
            try gateway.publish(#"{"n":0.5}"#, of: source)
            let second = try await gateway.get("/v1/sources/a/schema")
            #expect(try json(second, "/properties/n/type").text.elementsEqual(#"["null","number"]"#.utf8))
        }
    }

    @Test("a schema is for those who may read the source")
    func access() async throws {
        try await withGateway({ $0.anonymous = Grants() }) { gateway in
            let source = try gateway.source("a")
            try gateway.publish("[1]", of: source)
            #expect(try await gateway.get("/v1/sources/a/schema").status == 401)
        }
    }

    @Test("a call with a right signature is handed on once; another is 401, and one that is too large 413")
    func hooks() async throws {
        let secret = Array("0123456789abcdef".utf8)
        var configuration = SourceConfiguration(name: "a", url: "http://localhost/")
        configuration.hook = SourceConfiguration.Hook(style: .standard, secret: secret)
        let desk = HookDesk()
        desk.update([configuration])
        try await withGateway(hooks: desk) { gateway in
            try gateway.source("a")
            try gateway.source("b")
            func call(_ path: String, id: String, stamp: Int64 = WallClock.now.seconds, body: String = "{}")
                async throws
                -> HTTPReply
            {
                let text = Array("\(id).\(stamp).{}".utf8)
                let code = HMAC<SHA256>.authenticationCode(for: text, using: SymmetricKey(data: secret))
                let headers: HeaderFields = [
                    "webhook-id": id, "webhook-timestamp": "\(stamp)",
                    "webhook-signature": "v1,\(Data(code).base64EncodedString())",
                ]
                return try await gateway.send("POST", path, headers, body: body)
            }
            let good = try await call("/v1/hooks/a", id: "1")
            #expect(good.status == 202)
            #expect(good.text == #"{"accepted":true}"#)
            for bad in [
                try await call("/v1/hooks/a", id: "1"), try await call("/v1/hooks/a", id: "2", body: "[]"),
                try await call("/v1/hooks/a", id: "3", stamp: WallClock.now.seconds - 301),
                try await call("/v1/hooks/b", id: "4"), try await call("/v1/hooks/nobody", id: "5"),
                try await gateway.send("POST", "/v1/hooks/a", body: "{}"),
            ] {
                #expect(bad.status == 401)
                #expect(try code(bad) == "hook_refused")
            }
            let large = try await call("/v1/hooks/a", id: "6", body: String(repeating: " ", count: (1 << 20) + 1))
            #expect(large.status == 413)
            #expect(gateway.control.log == ["hook a"])
            let metrics = try await gateway.get("/metrics").text
            for (outcome, count) in [
                ("accepted", 1), ("repeated", 1), ("forged", 1), ("late", 1), ("unknown", 2), ("malformed", 1),
            ] {
                #expect(metrics.contains("freshet_hooks_total{outcome=\"\(outcome)\"} \(count)\n"))
            }
        }
    }
}
