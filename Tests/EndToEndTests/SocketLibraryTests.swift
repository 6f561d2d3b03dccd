import Foundation
import FreshetTesting
import JSON
import Testing

/// Other people's WebSockets against the program: some 400 cases by `wsproto`, and the clients `websockets` and `aiohttp`.
/// Some 5 s, and at the first use what pip takes.
@Suite("WebSockets of other libraries", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct SocketLibraryTests {
    private static let python = PythonTools.python(
        "sockets",
        check: "wsproto, websockets, aiohttp",
        libraries: ["wsproto==1.*", "websockets", "aiohttp==3.*"]
    )

    @Test(
        "get what RFC 6455 and RFC 7692 promise",
        .enabled("skipped: pip cannot install wsproto") { Self.python != nil }
    )
    func cases() async throws {
        let python = try #require(Self.python)
        let upstream = try ScriptedUpstream()
        let versions = (1...400).map { Array(#"{"n":\#($0)}"#.utf8) }
        let resource = VersionedResource(versions: versions)
        upstream.serve(resource, at: "/rates")
        let gateway = try Gateway(
            """
            limits: { max_socket_message_bytes: 64KiB }
            streams: { compression: true }
            cors: { origins: [https://app.example] }
            sources:
              rates: { url: "\(upstream.url("/rates"))", interval: 30ms }
            """
        )
        let port = try await gateway.process.listeningPort()
        let ticking = Task {
            while !Task.isCancelled {
                resource.advance()
                // The pace of the upstream's changes, which the libraries read as they come.
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
        defer { ticking.cancel() }
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "socket_cases.py").path
        let output = try #require(
            await Task.detached { PythonTools.output([python, script, "127.0.0.1", "\(port)", "/v1/socket"]) }.value
        )
        let lines = try output.split(separator: UInt8(ascii: "\n")).map { try Document(parsing: Array($0)).root }
        #expect(lines.count >= 400)
        for line in lines where line["ok"]?.bool != true {
            Issue.record("\(line["case"]?.string ?? ""): \(line["detail"]?.string ?? "")")
        }
        _ = try await gateway.terminate()
    }

    @Test("`freshet tail --socket` follows as it does without", arguments: [true, false])
    func tail(json: Bool) async throws {
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: (1...4).map { Array(#"{"n":\#($0)}"#.utf8) })
        upstream.serve(resource, at: "/value")
        let gateway = try Gateway("sources:\n  value: { url: \"\(upstream.url("/value"))\", interval: 30ms }")
        let port = try await gateway.process.listeningPort()
        let arguments =
            ["tail", "value", "--socket", "--gateway", "http://127.0.0.1:\(port)"] + (json ? ["--json"] : [])
        let viewer = try FreshetProcess(arguments)
        let first = json ? #""event":"snapshot""# : "an object of 1 member"
        #expect(await viewer.waitForOutput(containing: first))
        for version in 2...4 {
            resource.advance()
            let next = json ? #""n":\#(version)"# : "/n  \(version - 1) → \(version)"
            #expect(await viewer.waitForOutput(containing: next))
        }
        _ = try await viewer.terminate()
        let refused = try FreshetProcess(
            ["tail", "nobody", "--socket", "--gateway", "http://127.0.0.1:\(port)"]
        )
        #expect(await refused.waitForOutput(containing: "There is no source named nobody."))
        _ = try await refused.terminate()
        _ = try await gateway.terminate()
    }

    @Test(
        "Chromium opens one in the clear and one over HTTP/2, compressed",
        .enabled(if: Browser.path != nil, "no Chromium")
    )
    func browser() async throws {
        let folder = try TemporaryFolder()
        let certificate = try TestCertificate("gateway")
        let gateway = try Gateway(
            """
            tls:
              certificate: "\(try folder.write(certificate.chain, to: "chain.pem"))"
              key: "\(try folder.write(certificate.key, to: "key.pem"))"
              listen: "127.0.0.1:0"
            streams: { compression: true }
            auth:
              anonymous: { read: ["s0"], publish: ["s0"] }
            sources:
              s0: {}
            """
        )
        let plain = try await gateway.process.listeningPort()
        let mark = "TLS on https://127.0.0.1:"
        try #require(await gateway.process.waitForOutput(containing: mark), "\(gateway.process.errors)")
        let text = gateway.process.errors + gateway.process.output
        let start = try #require(text.range(of: mark)).upperBound
        let sealed = try #require(UInt16(text[start...].prefix { $0.isNumber }))
        func push(_ number: Int) async throws {
            let value = #"{"n":\#(number),"text":"\#(String(repeating: "compressible ", count: 50))"}"#
            let reply = try await RawHTTP.send(
                "POST",
                "/v1/sources/s0/value",
                to: .port(plain),
                body: Array(value.utf8)
            )
            #expect(reply.status == 200, "\(reply.text)")
        }
        try await push(1)
        for origin in ["http://127.0.0.1:\(plain)", "https://127.0.0.1:\(sealed)"] {
            let browser = try await Browser(trustsAnyCertificate: true)
            try await browser.open("\(origin)/livez")
            try await browser.wait(until: #"document.body?.textContent.includes("ok")"#)
            _ = try await browser.evaluate(
                """
                const socket = new WebSocket("\(origin.replacing("http", with: "ws"))/v1/socket", "freshet.v1");
                socket.onopen = () => {
                  document.body.dataset.agreed = `${socket.protocol} ${socket.extensions}`;
                  socket.send(JSON.stringify({ re: 1, op: "subscribe", sources: "s0", mode: "snapshot" }));
                };
                socket.onmessage = ({ data }) => {
                  const { event, data: { value } = {} } = JSON.parse(data);
                  if (event === "snapshot") document.body.dataset.last = value.n;
                };
                socket.onclose = ({ code }) => { document.body.dataset.code = code; };
                1
                """
            )
            try await browser.wait(until: #"document.body.dataset.last !== undefined"#)
            try await browser.wait(until: #"document.body.dataset.agreed.startsWith("freshet.v1 permessage-deflate")"#)
            try await push(origin.hasPrefix("https") ? 3 : 2)
            try await browser.wait(until: #"Number(document.body.dataset.last) >= 2"#)
            if origin.hasPrefix("https") {
                #expect(try await gateway.terminate() == .exited(0))
                try await browser.wait(until: #"document.body.dataset.code === "1001""#)
            }
        }
    }
}
