import Foundation
import FreshetTesting
import JSON
import Testing

/// Messages of the program against the libraries that receivers use.
@Suite("Webhooks of other libraries", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct WebhookLibraryTests {
    private static let python = PythonTools.python(
        "webhooks",
        check: "standardwebhooks, svix",
        libraries: ["standardwebhooks==1.*", "svix==2.*"]
    )

    @Test(
        "1,000 messages are verified by standardwebhooks and by svix, and none of which a byte was changed",
        .enabled("skipped: pip cannot install standardwebhooks and svix") { Self.python != nil }
    )
    func verified() async throws {
        let python = try #require(Self.python)
        let upstream = try ScriptedUpstream()
        let receiver = WebhookReceiver(upstream)
        let gateway = try Gateway(
            """
            sources: { orders: {} }
            webhooks:
              crm: { url: "\(receiver.url)", sources: [orders], secret: \(WebhookReceiver.secret) }
            """
        )
        for number in 1...1000 { try await gateway.push(#"{"n":\#(number),"text":"é\u0000\#(number % 7)"}"#) }
        #expect(await receiver.waitForAccepted(1000))
        let lines = upstream.requests.map { request in
            func field(_ name: String) -> String { "\"\(request.headers["webhook-\(name)"] ?? "")\"" }
            let body = Data(request.body).base64EncodedString()
            return "{\"id\":\(field("id")),\"timestamp\":\(field("timestamp")),\"signature\":\(field("signature")),"
                + "\"body\":\"\(body)\"}"
        }
        let folder = try TemporaryFolder()
        let file = try folder.write(lines.joined(separator: "\n"), to: "messages.jsonl")
        let script = Suites.packageRoot.appending(path: "Tests/EndToEndTests/webhook_cases.py").path
        let output = try #require(PythonTools.output([python, script, WebhookReceiver.secret, file]))
        let result = try Document(parsing: Array(output))
        #expect(result.root["refused"]?.count == 0 && (result.root["verified"]?.int ?? 0) >= 1000)
    }
}
