import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// A source without a URL, in the program itself: what users of Mercure and nchan do.
@Suite("Pushed sources", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct PushedSourceTests {
    private static let feeder = "feeder-Qm4Zr8L2vXc7Yb1NwK5sDhUeGa3fJ9tq"
    private static let reader = "reader-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"

    private static func configuration(in folder: TemporaryFolder) throws -> String {
        """
        auth:
          keys:
            - { id: feeder, secret_file: "\(try folder.write(self.feeder, to: "feeder"))", publish: [prices] }
            - { id: reader, secret_file: "\(try folder.write(self.reader, to: "reader"))", read: ["*"] }
        log: { path: "\(folder.path("changes.db"))" }
        defaults: { interval: 1h, when: subscribed }
        sources:
          prices: { items: /list, key: /id }
          others: {}
        """
    }

    private static func push(_ text: String, to source: String, of endpoint: Endpoint, as key: String) async throws
        -> HTTPReply
    {
        try await HTTPTestClient(endpoint, headers: ["Authorization": "Bearer \(key)"])
            .send(
                "POST",
                "/v1/sources/\(source)/value",
                // As `curl -d` sends it.
                headers: ["Content-Type": "application/x-www-form-urlencoded"],
                body: Array(text.utf8),
                timeout: .patience
            )
    }

    @Test("a value is pushed with the grant alone, streamed, diffed, kept over a restart, and nothing is ever polled")
    func life() async throws {
        let folder = try TemporaryFolder()
        let configuration = try Self.configuration(in: folder)
        let first = try Gateway(configuration)
        let endpoint = try await first.process.endpoint()
        let admin = try await first.client
        let waiting = try await first.document("/v1/sources/prices").root
        #expect(waiting["state"]?.string == "starting")
        #expect(waiting["interval"]?.isNull == true && waiting["next_poll_at"]?.isNull == true)
        #expect(waiting["interval_reason"]?.string == "there is no url to poll; values are pushed")
        #expect(try await admin.get("/v1/values/prices").status == 503)

        // Large enough for a change of an item to be smaller than the whole.
        let items = (0..<40).map { "{\"id\":\"item-\($0)\",\"price\":\($0)}" }.joined(separator: ",")
        let stream = try EventStreamClient(
            endpoint,
            path: "/v1/streams/prices?mode=items",
            headers: ["Authorization": "Bearer \(Self.reader)"]
        )
        #expect(try await stream.next()?.type == "hello")
        let pushed = try await Self.push("{\"list\":[\(items)]}", to: "prices", of: endpoint, as: Self.feeder)
        #expect(pushed.status == 200, "\(pushed.text)")
        let snapshot = try await stream.next { $0.type != "status" }
        #expect(snapshot.type == "snapshot")
        let other = try await Self.push(
            "{\"list\":[\(items),{\"id\":\"new\"}]}",
            to: "prices",
            of: endpoint,
            as: Self.feeder
        )
        let change = try await stream.next { $0.type != "status" }
        #expect(change.type == "items")
        #expect(try Document(parsing: change.data).root["items"]?["created"]?.count == 1)
        #expect(try Document(parsing: other.body).root["cursor"]?.string == change.lastEventID)

        // Without the grant there is no such source, there or not; and what is no value changes nothing.
        for (source, key) in [("others", Self.feeder), ("prices", Self.reader), ("none", Self.feeder)] {
            #expect(try await Self.push("[1]", to: source, of: endpoint, as: key).status == 404)
        }
        #expect(try await Self.push("{", to: "prices", of: endpoint, as: Self.feeder).status == 422)
        let poll = try await admin.post("/v1/admin/sources/prices/poll", body: [])
        #expect(poll.status == 409)
        #expect(try Document(parsing: poll.body).root["code"]?.string == "not_polled")
        #expect(try await admin.post("/v1/admin/sources/prices/pause", body: []).status == 200)
        #expect(try await Self.push("{\"list\":[\(items)]}", to: "prices", of: endpoint, as: Self.feeder).status == 200)
        #expect(try await admin.post("/v1/admin/sources/prices/resume", body: []).status == 200)
        let state = try await first.document("/v1/sources/prices").root
        #expect(state["state"]?.string == "ok")
        #expect(state["polls"]?.int == 0 && state["changes"]?.int == 3)
        let metrics = try await admin.get("/metrics").text
        #expect(
            !metrics.split(separator: "\n").contains { $0.hasPrefix("freshet_polls_total{") && !$0.hasSuffix(" 0") }
        )
        await stream.close()
        #expect(try await first.terminate() == .exited(0))

        let second = try Gateway(configuration)
        let value = try await second.client.get("/v1/values/prices")
        #expect(value.text == "{\"list\":[\(items)]}")
        #expect(try await second.document("/v1/sources/prices").root["state"]?.string == "ok")
        let resumed = try EventStreamClient(
            try await second.process.endpoint(),
            path: "/v1/streams/prices?mode=items",
            lastEventID: change.lastEventID,
            headers: ["Authorization": "Bearer \(Self.reader)"]
        )
        #expect(try await resumed.next()?.type == "hello")
        let missed = try await resumed.next { $0.type != "status" }
        #expect(try Document(parsing: missed.data).root["items"]?["deleted"]?.count == 1)
        #expect(try await second.terminate() == .exited(0))
    }

    @Test("`select` and `schema` hold for what is pushed")
    func rules() async throws {
        let folder = try TemporaryFolder()
        let schema = try folder.write(#"{"type":"array","items":{"type":"integer"}}"#, to: "schema.json")
        let gateway = try Gateway(
            """
            auth:
              keys:
                - { id: feeder, secret_file: "\(try folder.write(Self.feeder, to: "feeder"))", publish: [s], read: [s] }
            sources:
              s: { select: "$..price", schema: "\(schema)" }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        let good = try await Self.push(#"{"a":{"price":1},"b":{"price":2}}"#, to: "s", of: endpoint, as: Self.feeder)
        #expect(good.status == 200, "\(good.text)")
        let bad = try await Self.push(#"{"a":{"price":"much"}}"#, to: "s", of: endpoint, as: Self.feeder)
        #expect(bad.status == 422, "\(bad.text)")
        let headers: HeaderFields = ["Authorization": "Bearer \(Self.feeder)"]
        let value = try await HTTPTestClient(endpoint, headers: headers).send("GET", "/v1/values/s", timeout: .patience)
        #expect(value.text == "[1,2]")
    }

    @Test("the program says what such a configuration means, and `validate --online` polls none of its sources")
    func validate() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("sources: { prices: {} }\n", to: "freshet.yaml")
        let silent = try FreshetProcess(["validate", "--online", "--config", file])
        #expect(try await silent.exitStatus() == .exited(0))
        #expect(silent.output.contains("only administrators can push its value"))
        let show = try FreshetProcess(["config", "show", "--config", file])
        #expect(try await show.exitStatus() == .exited(0))
        #expect(!show.output.contains("sources.prices.interval"))
        #expect(show.output.contains("sources.prices.max_body_bytes"))
    }
}
