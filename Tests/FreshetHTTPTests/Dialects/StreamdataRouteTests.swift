import EventStream
import FreshetAccess
import FreshetCore
import FreshetTesting
import JSON
import Synchronization
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Streams of the Streamdata.io SDK")
    struct StreamdataRouteTests {
        private static let token = "token-of-this-test"
        private static let path = "/http://up.example/stocks"

        /// Stands for the instances: one source, whatever is asked for.
        private final class Targets: Sendable {
            let asked = Mutex<[StreamdataTarget]>([])
            let refusal = Mutex<InstanceRefusal?>(nil)

            func desk(_ hub: Hub) -> StreamdataDesk {
                let desk = StreamdataDesk { [self] target in
                    self.asked.withLock { $0.append(target) }
                    if let refusal = self.refusal.withLock({ $0 }) { return .failure(refusal) }
                    guard let source = hub.source(named: "stocks") else { return .failure(.unknown) }
                    return .success(hub.hold(source, patience: .seconds(1)).hold)
                }
                let allow = (try? TargetAddress(Array("http://up.example/".utf8))).map {
                    TargetList([TargetList.Entry($0, isInside: false)])
                }
                if let tokens = try? StreamdataTokens(Array(token.utf8)), let allow {
                    desk.update(.init(tokens: tokens, allow: allow))
                }
                return desk
            }
        }

        private func withStreamdata(_ body: (GatewayFixture, SourceID, Targets) async throws -> Void) async throws {
            let targets = Targets()
            try await withGateway(streamdata: { targets.desk($0) }) { gateway in
                try await body(gateway, try gateway.source("stocks"), targets)
            }
        }

        private static func value(_ number: Int) -> String {
            #"{"n":\#(number),"list":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]}"#
        }

        @Test("the first event is the value, and then come patches, each with an id")
        func events() async throws {
            try await self.withStreamdata { gateway, stocks, targets in
                try gateway.publish(Self.value(1), of: stocks)
                let client = try EventStreamClient(
                    gateway.endpoint,
                    path: "\(Self.path)?x=1&X-Sd-Header=X-A%3A1&X-Sd-Token=\(Self.token)"
                )
                let head = try await client.head()
                #expect(head.status == 200 && head.headers["Content-Type"] == "text/event-stream")
                let first = try #require(try await client.next())
                #expect(first.type == "data" && first.text == Self.value(1))
                #expect(first.lastEventID == gateway.cursor(1).description)
                try gateway.publish(Self.value(2), of: stocks)
                let second = try #require(try await client.next())
                #expect(second.type == "patch" && second.text == #"[{"op":"replace","path":"/n","value":2}]"#)
                #expect(second.lastEventID == gateway.cursor(2).description)
                let target = try #require(targets.asked.withLock { $0.first })
                #expect(target.address.text == "http://up.example/stocks?x=1")
                #expect(target.fields == [.init(name: "X-A", value: "1")])
            }
        }

        @Test("a stream waits for the first value")
        func waits() async throws {
            try await self.withStreamdata { gateway, stocks, _ in
                let client = try EventStreamClient(gateway.endpoint, path: "\(Self.path)?X-Sd-Token=\(Self.token)")
                #expect(try await client.head().status == 200)
                try gateway.publish(Self.value(1), of: stocks)
                #expect(try await client.next()?.text == Self.value(1))
            }
        }

        @Test("Last-Event-ID resumes with the patches that were missed; an unknown one begins with the value")
        func resumes() async throws {
            try await self.withStreamdata { gateway, stocks, _ in
                for number in 1...3 { try gateway.publish(Self.value(number), of: stocks) }
                for (id, types) in [
                    (gateway.cursor(1).description, ["patch", "patch"]), (gateway.cursor(2).description, ["patch"]),
                    ("e-1", ["data"]), ("d8eee0ed-4c4a-466c-845c-e1b79457ab29", ["data"]),
                    (Cursor(epoch: Epoch(rawValue: 7), sequence: 1).description, ["data"]),
                    (gateway.cursor(99).description, ["data"]),
                ] {
                    let client = try EventStreamClient(
                        gateway.endpoint,
                        path: "\(Self.path)?X-Sd-Token=\(Self.token)",
                        lastEventID: id
                    )
                    #expect(try await client.next(types.count).map(\.type) == types, "\(id)")
                    await client.close()
                }
                let polyfill = try EventStreamClient(
                    gateway.endpoint,
                    path: "\(Self.path)?evs_last_event_id=\(gateway.cursor(2))&X-Sd-Token=\(Self.token)"
                )
                #expect(try await polyfill.next()?.type == "patch")
            }
        }

        @Test("who takes no patches gets every value whole")
        func snapshots() async throws {
            try await self.withStreamdata { gateway, stocks, _ in
                try gateway.publish(Self.value(1), of: stocks)
                let client = try EventStreamClient(
                    gateway.endpoint,
                    path: "\(Self.path)?X-Sd-Token=\(Self.token)",
                    headers: ["Accept": "application/json"]
                )
                #expect(try await client.next()?.text == Self.value(1))
                try gateway.publish(Self.value(2), of: stocks)
                let second = try #require(try await client.next())
                #expect(second.type == "data" && second.text == Self.value(2))
            }
        }

        @Test(
            "what is wrong is said inside of a 200, and the stream ends",
            arguments: [
                ("/http://up.example/stocks", 401), ("/http://up.example/stocks?X-Sd-Token=other", 401),
                ("/http://evil.example/stocks?X-Sd-Token=TOKEN", 403),
                ("/https://up.example/stocks?X-Sd-Token=TOKEN", 403),
                ("/http://up.example:81/stocks?X-Sd-Token=TOKEN", 403),
                ("/http://up.example/%2e%2e/x?X-Sd-Token=TOKEN", 400),
                ("/http://a@up.example/stocks?X-Sd-Token=TOKEN", 400), ("/http:///?X-Sd-Token=TOKEN", 400),
                ("/http://up.example/stocks?X-Sd-Header=x&X-Sd-Token=TOKEN", 400),
            ]
        )
        func errors(path: String, status: Int) async throws {
            try await self.withStreamdata { gateway, _, targets in
                let reply = try await gateway.get(path.replacing("TOKEN", with: Self.token))
                #expect(reply.status == 200 && reply.headers["Content-Type"] == "text/event-stream")
                #expect(reply.text.hasPrefix("event: error\ndata: {") && reply.text.hasSuffix("}\n\n"))
                let data = try Document(parsing: Array(reply.text.dropFirst(19).utf8)).root
                #expect(data["status"]?.int == status)
                #expect(data["cause"]?.string?.isEmpty == false && data["message"]?.string?.isEmpty == false)
                #expect(data["timestamp"]?.int != nil && data["sessionId"]?.string != nil)
                #expect(targets.asked.withLock { $0.isEmpty })
                #expect(!reply.text.contains(Self.token))
            }
        }

        @Test("an upstream that fails is told by an error without an id, and the stream ends")
        func upstream() async throws {
            try await self.withStreamdata { gateway, stocks, targets in
                let path = "\(Self.path)?X-Sd-Token=\(Self.token)"
                let client = try EventStreamClient(gateway.endpoint, path: path)
                #expect(try await client.head().status == 200)
                try gateway.update(stocks) { status in
                    status.state = .failing
                    status.failures = 1
                    status.failuresInARow = 1
                    status.lastError = ReportedError(
                        error: UpstreamError(.status, "HTTP/1.1 404 Not Found"),
                        at: WallClock.now
                    )
                }
                let event = try #require(try await client.next())
                let data = try Document(parsing: Array(event.text.utf8)).root
                #expect(event.type == "error" && event.lastEventID.isEmpty && data["status"]?.int == 2005)
                #expect(data["cause"]?.string?.contains("404 Not Found") == true)
                #expect(try await client.next() == nil)
                // One that comes back waits for the next poll: it is polled only while somebody listens.
                let again = try EventStreamClient(gateway.endpoint, path: path)
                #expect(try await again.head().status == 200)
                try gateway.publish(Self.value(1), of: stocks)
                #expect(try await again.next()?.type == "data")
                targets.refusal.withLock { $0 = .full }
                #expect(try await gateway.get(path).text.contains(#""status":503"#))
            }
        }

        @Test("a proxy may have made one slash of two, HEAD is answered, and without rules there is nothing")
        func paths() async throws {
            try await self.withStreamdata { gateway, stocks, targets in
                try gateway.publish(Self.value(1), of: stocks)
                let merged = "/http:/up.example/stocks?X-Sd-Token=\(Self.token)"
                let client = try EventStreamClient(gateway.endpoint, path: merged)
                #expect(try await client.next()?.type == "data")
                #expect(targets.asked.withLock { $0.last?.address.text } == "http://up.example/stocks")
                #expect(try await gateway.send("HEAD", merged).status == 200)
                let field = try EventStreamClient(
                    gateway.endpoint,
                    path: Self.path,
                    headers: ["X-Sd-Token": Self.token]
                )
                #expect(try await field.next()?.type == "data")
            }
            try await withGateway { gateway in
                let reply = try await gateway.get("\(Self.path)?X-Sd-Token=\(Self.token)")
                #expect(reply.status == 404)
            }
        }

        @Test("a page of a listed origin may read, and send what the polyfill sends")
        func pages() async throws {
            let targets = Targets()
            try await withGateway({ $0.corsOrigins = ["https://app.example"] }, streamdata: { targets.desk($0) }) {
                gateway in
                let reply = try await gateway.send(
                    "OPTIONS",
                    Self.path,
                    [
                        "Origin": "https://app.example", "Access-Control-Request-Method": "GET",
                        "Access-Control-Request-Headers": "x-requested-with, last-event-id, cache-control",
                    ]
                )
                #expect(reply.headers["Access-Control-Allow-Origin"] == "https://app.example")
                let fields = try #require(reply.headers["Access-Control-Allow-Headers"]).lowercased()
                for name in ["x-requested-with", "last-event-id", "cache-control"] { #expect(fields.contains(name)) }
                let refused = try await gateway.get("\(Self.path)?X-Sd-Token=x", ["Origin": "https://app.example"])
                #expect(refused.headers["Access-Control-Allow-Origin"] == "https://app.example")
            }
        }
    }
}
