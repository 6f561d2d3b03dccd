import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Value route, the past", .overHTTP2)
    struct PastValueRouteTests {
        private static let pad = String(repeating: "x", count: 300)

        /// Values with padding enough that patches are smaller, a minute apart, the last a minute ago.
        private func publish(_ count: Int, of name: String, _ gateway: GatewayFixture) throws {
            let source = try gateway.source(name)
            for number in 1...count {
                let at = WallTime(milliseconds: WallClock.now.milliseconds - Int64(count - number + 1) * 60_000)
                try gateway.publish(#"{"n":\#(number),"pad":"\#(Self.pad)"}"#, of: source, at: at)
            }
        }

        @Test("the value at a cursor is the one that was, for good, with its own tag")
        func values() async throws {
            try await withGateway { gateway in
                try self.publish(4, of: "rates", gateway)
                for number in UInt64(1)...4 {
                    let reply = try await gateway.get("/v1/values/rates?at=\(gateway.cursor(number))")
                    #expect(reply.status == 200)
                    #expect(reply.text == #"{"n":\#(number),"pad":"\#(Self.pad)"}"#)
                    #expect(reply.headers["Content-Type"] == "application/json")
                    #expect(reply.headers["ETag"] == "\"\(gateway.cursor(number))\"")
                    #expect(reply.headers["Freshet-Cursor"] == "\(gateway.cursor(number))")
                    #expect(reply.headers["Cache-Control"] == "max-age=31536000, immutable")
                    #expect(reply.headers["Last-Modified"] != nil)
                }
            }
        }

        @Test("between two changes the value is that of the first, under its cursor")
        func between() async throws {
            try await withGateway { gateway in
                try self.publish(2, of: "a", gateway)
                try self.publish(2, of: "b", gateway)
                let reply = try await gateway.get("/v1/values/a?at=\(gateway.cursor(4))")
                #expect(try json(reply, "/n").int == 2)
                #expect(reply.headers["Freshet-Cursor"] == "\(gateway.cursor(2))")
            }
        }

        @Test("a value that is rebuilt from patches is equal, under a weak tag that a client's strong one matches")
        func rebuilt() async throws {
            try await withGateway(cacheBytes: 6000) { gateway in
                try self.publish(10, of: "rates", gateway)
                let path = "/v1/values/rates?at=\(gateway.cursor(3))"
                let reply = try await gateway.get(path)
                #expect(reply.status == 200)
                #expect(try json(reply, "/n").int == 3)
                #expect(reply.headers["ETag"] == "W/\"\(gateway.cursor(3))\"", "else this shows nothing")
                for tag in ["W/\"\(gateway.cursor(3))\"", "\"\(gateway.cursor(3))\"", "*"] {
                    let known = try await gateway.get(path, ["If-None-Match": tag])
                    #expect(known.status == 304 && known.body.isEmpty)
                    #expect(known.headers["ETag"] == reply.headers["ETag"])
                }
                #expect(try await gateway.get(path, ["If-None-Match": "\"\(gateway.cursor(4))\""]).status == 200)
            }
        }

        @Test(
            "a time is taken too, and is not for good",
            arguments: [("150s", 2), ("1ms", 4), ("9999-12-31T23:59:59Z", 4)]
        )
        func times(at: String, number: Int) async throws {
            try await withGateway { gateway in
                try self.publish(4, of: "rates", gateway)
                let reply = try await gateway.get("/v1/values/rates?at=\(at)")
                #expect(try json(reply, "/n").int == number)
                #expect(reply.headers["Cache-Control"] == "no-cache")
            }
        }

        @Test(
            "what is not kept, not there yet or no cursor is told by a code",
            arguments: [
                ("1", 410, "value_not_kept"), ("epoch", 410, "value_not_kept"), ("99", 404, "cursor_in_future"),
                ("x", 400, "bad_at"), ("", 400, "bad_at"), ("10", 400, "bad_at"), ("latest", 400, "bad_at"),
                ("1&wait=1s", 400, "bad_wait"), ("1h", 410, "value_not_kept"),
            ]
        )
        func refused(at: String, status: Int, problem: String) async throws {
            try await withGateway(cacheBytes: 1000) { gateway in
                try self.publish(20, of: "rates", gateway)
                let text: String
                switch at {
                case "epoch": text = "9-1"
                case "1", "99": text = "\(gateway.cursor(at == "1" ? 1 : 99))"
                case "1&wait=1s": text = "\(gateway.cursor(1))&wait=1s"
                case _: text = at
                }
                let reply = try await gateway.get("/v1/values/rates?at=\(text)")
                #expect(reply.status == status)
                #expect(try code(reply) == problem)
            }
        }

        @Test("before its first value a source had none")
        func noneYet() async throws {
            try await withGateway { gateway in
                try self.publish(2, of: "a", gateway)
                try self.publish(2, of: "b", gateway)
                for at in ["\(gateway.cursor(2))", "\(gateway.cursor(0))", "100h"] {
                    let reply = try await gateway.get("/v1/values/b?at=\(at)")
                    #expect(reply.status == 404)
                    #expect(try code(reply) == "no_value_then")
                }
            }
        }
    }
}
