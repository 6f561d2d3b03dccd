// A stream that gateways cannot share, and one that is not made: what is said of it, and what to do.

import FreshetCluster
import FreshetTesting
import NATS
import Testing

@Suite("Streams that cannot be used", .enabled(if: Needed.isThere, Needed.comment))
struct StreamProblemTests {
    /// The reason of the first state in which there is no stream.
    private static func problem(_ fixture: StreamFixture) async -> String? {
        await fixture.states.wait(timeout: .patience) { states in
            states.lazy.compactMap { if case .noStream(let failure) = $0 { failure.message } else { nil } }.first
        }
    }

    @Test(
        "a stream that removes what gateways need, or holds what they did not write, is refused with its fix",
        arguments: [
            (#""max_age":3600000000000"#, ["max_age", "max_bytes"]),
            (#""retention":"workqueue""#, ["retention workqueue", "limits"]),
            (#""retention":"interest""#, ["retention interest", "limits"]),
            (#""max_msgs_per_subject":1"#, ["max_msgs_per_subject 1", "-1"]),
            (#""no_ack":true"#, ["no_ack"]),
            (#""sources":[{"name":"origin"}]"#, ["sources"]),
        ]
    )
    func refused(setting: String, words: [String]) async throws {
        let server = try await NATSServer.started()
        let maker = try await StreamFixture.connected([server]) { ($0.stream, $0.prefix) = ("origin", "zz") }
        let answer = await maker.request(
            "$JS.API.STREAM.CREATE.freshet",
            #"{"name":"freshet","subjects":["fr.>"],"allow_atomic":true,"allow_msg_ttl":true,\#(setting)}"#
        )
        let made = String(decoding: try answer.get(), as: UTF8.self)
        try #require(!made.contains(#""error""#), "\(made)")
        let fixture = try StreamFixture([server])
        let problem = try #require(await Self.problem(fixture))
        for word in words { #expect(problem.contains(word)) }
        _ = await maker.request("$JS.API.STREAM.DELETE.freshet", "")
        #expect(await fixture.waitForState { $0 == .connected })
    }

    @Test("a stream that refuses new messages when it is full is taken")
    func discardNew() async throws {
        let server = try await NATSServer.started()
        let maker = try await StreamFixture.connected([server]) { ($0.stream, $0.prefix) = ("origin", "zz") }
        _ = await maker.request(
            "$JS.API.STREAM.CREATE.freshet",
            #"{"name":"freshet","subjects":["fr.>"],"allow_atomic":true,"allow_msg_ttl":true,"discard":"new"}"#
        )
        let fixture = try StreamFixture([server])
        #expect(await fixture.waitForState { $0 == .connected })
    }

    @Test("three replicas at one server: the stream cannot be made, and cluster.replicas is named")
    func replicas() async throws {
        let server = try await NATSServer.started()
        let fixture = try StreamFixture([server]) { $0.replicas = 3 }
        let problem = try #require(await Self.problem(fixture))
        #expect(problem.contains("the stream freshet cannot be made: replicas > 1"))
        #expect(problem.contains("set cluster.replicas"))
        #expect(!fixture.states.value.contains { if case .disconnected = $0 { true } else { false } })
    }

    @Test("a stream for which the broker lacks room: cluster.max_bytes is named")
    func room() async throws {
        let server = try await NATSServer.started()
        let fixture = try StreamFixture([server]) { $0.maxBytes = 1 << 60 }
        let problem = try #require(await Self.problem(fixture))
        #expect(problem.contains("cannot be made"))
        #expect(problem.contains("set cluster.max_bytes"))
    }
}
