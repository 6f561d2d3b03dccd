import FreshetTesting
import JSON
import Testing

@Suite("Writes to sources with parameters", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct TemplateWriteTests {
    @Test(
        "an instance that nobody reads is there while it is written, by a request and over a socket",
        arguments: [false, true]
    )
    func instances(isOverSocket: Bool) async throws {
        let upstream = try ScriptedUpstream()
        let values = Watched(["/u/7": #"{"n":1}"#, "/u/8": #"{"n":1}"#])
        upstream.on("*") { request in
            let body = String(decoding: request.body, as: UTF8.self)
            if request.method == "PUT" { values.update { $0[request.path] = body } }
            return [.respond(.json(values.value[request.path] ?? "{}"))]
        }
        let gateway = try Gateway(
            """
            sources:
              user:
                url: "\(upstream.url("/u/{id}"))"
                interval: 1h
                linger: 100ms
                write: { methods: [PUT], conflict: overwrite, guard: none }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        let client = HTTPTestClient(endpoint)
        let socket = isOverSocket ? try await SocketClient(endpoint) : nil
        // The second is written otherwise, and the same.
        for (re, name) in [(1, "user/7"), (2, "user/%38")] {
            let body = #"{"n":2,"by":\#(re)}"#
            if let socket {
                let message = #"{"re":\#(re),"op":"write","method":"PUT","source":"\#(name)","body":\#(body)}"#
                let answer = try await socket.ask(message, re: re)
                #expect(answer.contains(#""status":200"#) && answer.contains(#""value":\#(body)"#), "\(answer)")
            } else {
                let path = "/v1/values/" + name.replacing("%", with: "%25").replacing("/", with: "%2F")
                let reply = try await client.write("PUT", path, body)
                #expect(reply.status == 200 && reply.text == body, "\(reply.text)")
            }
        }
        #expect(values.value == ["/u/7": #"{"n":2,"by":1}"#, "/u/8": #"{"n":2,"by":2}"#])
        // Nobody holds them any longer.
        let deadline = ContinuousClock.now + .patience
        while try await !client.get("/metrics").text.contains("freshet_instances{source=\"user\"} 0\n") {
            try #require(ContinuousClock.now < deadline, "instances stay")
            // A metric tells of no change; it can only be asked for again.
            try await Task.sleep(for: .milliseconds(20))
        }
        socket?.close()
        #expect(try await gateway.terminate() == .exited(0))
    }
}
