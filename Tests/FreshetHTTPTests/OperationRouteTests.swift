import EventStream
import FreshetCore
import FreshetTesting
import JSON
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Operations", .overHTTP2)
    struct OperationRouteTests {
        @Test("liveness does not look at upstreams, readiness does not either")
        func probes() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.update(rates) { $0.state = .failing }
                for path in ["/livez", "/readyz", "/healthz"] {
                    let reply = try await gateway.get(path)
                    #expect(reply.status == 200)
                    #expect(reply.text == "ok\n")
                }
                let verbose = try await gateway.get("/readyz?verbose")
                #expect(verbose.text.contains("sources: 1 failing\n"))
                #expect(verbose.text.hasSuffix("ready\n"))
            }
        }

        @Test("F70: a drain makes it unready at once, and requests are answered on")
        func drain() async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                gateway.server.beginDrain()
                for path in ["/readyz", "/healthz"] {
                    let reply = try await gateway.get(path)
                    #expect(reply.status == 503)
                    #expect(reply.text == "draining\n")
                }
                #expect(try await gateway.get("/readyz?verbose").text.hasSuffix("not ready\n"))
                #expect(try await gateway.get("/livez").status == 200)
                #expect(try await gateway.get("/v1/values/rates").status == 200)
                let stream = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates")
                #expect(try await stream.next()?.type == "hello")
            }
        }

        @Test("F70: a shutdown answers what waits, closes what is idle, and frees the port", .http1Only)
        func shutdown() async throws {
            let endpoint = try await withGateway { gateway in
                let cursor = try gateway.publish("[1]", of: gateway.source("rates"))
                let idle = try await RawConnection(gateway.endpoint)
                try await idle.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
                try await idle.receive(until: "ok\n")
                let waiting = try await RawConnection(gateway.endpoint)
                try await waiting.send("GET /v1/values/rates?wait=5m&since=\(cursor) HTTP/1.1\r\nHost: a\r\n\r\n")
                try await gateway.waitForWaiters(1)
                return (gateway.endpoint, idle, waiting)
            }
            #expect(try await endpoint.1.receiveToEnd().end == .closed)
            #expect(try await endpoint.2.receiveToEnd().statuses() == [304])
            await #expect(throws: TestingError.self) { try await RawHTTP.get("/livez", from: endpoint.0) }
        }

        @Test("F76: an address that is taken is said to be so")
        func portInUse() async throws {
            try await withGateway { gateway in
                guard case .tcp(let host, let port) = gateway.endpoint else { return }
                let error = await #expect(throws: ListenError.self) {
                    try await withGateway({ $0.listen = .tcp(host: host, port: Int(port)) }) { _ in }
                }
                #expect(error?.address == .tcp(host: host, port: Int(port)))
                #expect(error?.reason.contains("Address already in use") == true)
            }
        }

        @Test("S24: metrics hold what providers add and the server's own figures, with no label of a client's making")
        func metrics() async throws {
            let provider: MetricsProvider = { $0.append(contentsOf: "freshet_test_total 7\n".utf8) }
            try await withGateway(metrics: [provider]) { gateway in
                let before = try await gateway.get("/metrics")
                #expect(before.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8")
                #expect(before.text.hasPrefix("freshet_test_total 7\n# HELP freshet_http_requests_total "))
                let client = HTTPTestClient(gateway.endpoint)
                for number in 0..<500 {
                    _ = try await client.get("/random/\(number)?x=\(number)", headers: ["X-\(number)": "y"])
                }
                let after = try await gateway.get("/metrics")
                #expect(after.text.contains(#"freshet_http_requests_total{code="404"} 500"#))
                let series = after.text.split(separator: "\n").filter { !$0.hasPrefix("#") }.count
                #expect(series <= before.text.split(separator: "\n").filter { !$0.hasPrefix("#") }.count + 2)
            }
        }

        @Test("A05, S24: operations that are kept private answer administrators alone", arguments: [true, false])
        func privateOperations(isPrivate: Bool) async throws {
            try await withGateway({ settings in
                settings.keepsOperationsPrivate = isPrivate
                settings.adminListen = .tcp(host: "127.0.0.1", port: 0)
                settings.corsOrigins = ["https://app.example"]
            }) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let admin = try #require(gateway.adminEndpoint)
                for path in [
                    "/metrics", "/v1/gateway", "/v1/sources", "/v1/sources/rates", "/readyz?verbose",
                    "/healthz?verbose=1",
                ] {
                    for method in ["GET", "HEAD"] {
                        #expect(try await gateway.send(method, path).status == (isPrivate ? 401 : 200), "\(path)")
                        #expect(try await gateway.send(method, path, GatewayFixture.credential).status == 200)
                        #expect(try await RawHTTP.send(method, path, to: admin).status == 200)
                        let foreign: HeaderFields = ["Origin": "https://app.example"]
                        let reply = try await RawHTTP.send(method, path, to: admin, headers: foreign)
                        #expect(reply.status == (isPrivate ? 403 : 200))
                    }
                }
                for path in ["/livez", "/readyz", "/healthz", "/v1/values/rates", "/", "/openapi.json"] {
                    #expect(try await gateway.get(path).status == 200)
                }
            }
        }

        @Test("S26: the page brings no inline program and allows none from elsewhere")
        func page() async throws {
            try await withGateway { gateway in
                let page = try await gateway.get("/")
                #expect(page.headers["Content-Type"] == "text/html; charset=utf-8")
                #expect(page.headers["Content-Security-Policy"]?.hasPrefix("default-src 'self';") == true)
                #expect(page.headers["X-Content-Type-Options"] == "nosniff")
                let scripts = page.text.matches(of: /<script[^>]*>/)
                #expect(!scripts.isEmpty && scripts.allSatisfy { $0.output.contains(" src=\"/") })
                #expect(page.text.firstMatch(of: /\son[a-z]+\s*=/) == nil && !page.text.contains("javascript:"))
                #expect(!page.text.contains("style="))
                for (path, type) in [
                    ("/page.js", "text/javascript"), ("/page.css", "text/css"), ("/page.svg", "image/svg+xml"),
                    ("/client/freshet.js", "text/javascript"),
                ] {
                    let reply = try await gateway.get(path)
                    #expect(reply.status == 200)
                    #expect(reply.headers["Content-Type"]?.hasPrefix(type) == true)
                }
            }
        }

        @Test(
            "a browser that has a file of the page gets it once",
            arguments: [
                "/", "/page.js", "/page.css", "/page.svg", "/client/freshet.js", "/client/freshet.d.ts",
                "/openapi.json", "/docs", "/docs/docs.js",
            ]
        )
        func tags(path: String) async throws {
            try await withGateway { gateway in
                let first = try await gateway.get(path)
                let tag = try #require(first.headers["ETag"])
                let again = try await gateway.get(path, ["If-None-Match": tag])
                #expect(again.status == 304 && again.text.isEmpty && again.headers["ETag"] == tag)
                #expect(again.headers["Cache-Control"] == "no-cache")
                let other = try await gateway.get(path, ["If-None-Match": "\"other\""])
                #expect(other.status == 200 && other.text == first.text && !first.text.isEmpty)
            }
        }

        @Test("the description lists every path and every method, and nothing that is not there")
        func openAPI() async throws {
            try await withGateway { gateway in
                let reply = try await gateway.get("/openapi.json")
                #expect(reply.headers["Content-Type"] == "application/json")
                var described: Set<String> = []
                for path in try json(reply, "/paths").members {
                    for method in path.value.members {
                        described.insert("\(method.name.uppercased()) \(path.name)")
                    }
                }
                let responder = Responder(gateway: gateway.server.gateway)
                var built: Set<String> = []
                let pages = WebFile.all.filter { !$0.name.hasSuffix("/index.html") }.compactMap { file in
                    file.name.hasPrefix("page/")
                        ? "/\(file.name.dropFirst(5))" : file.name.hasPrefix("docs/") ? "/\(file.name)" : nil
                }
                for entry in responder.routes.endpoints
                where !pages.contains(entry.path) && !entry.path.hasSuffix(".d.ts") {
                    let path = entry.path.split(separator: "/", omittingEmptySubsequences: false)
                        .map { $0.hasPrefix(":") || $0.hasPrefix("*") ? "{\($0.dropFirst())}" : String($0) }.joined(
                            separator: "/"
                        )
                    for method in entry.methods where method != "HEAD" && method != "OPTIONS" {
                        built.insert("\(method) \(path)")
                    }
                }
                #expect(described == built)
            }
        }

        @Test(
            "the example board is served where it is asked for, under the policy of the page",
            arguments: [true, false]
        )
        func example(isServed: Bool) async throws {
            try await withGateway({ $0.servesExample = isServed }) { gateway in
                let files = WebFile.all.filter { $0.name.hasPrefix("demo/") }
                #expect(files.count == 4)
                for file in files {
                    #expect(try await gateway.get("/\(file.name)").status == (isServed ? 200 : 404), "\(file.name)")
                }
                let board = try await gateway.get("/demo/board.html")
                let policy = board.headers["Content-Security-Policy"]
                #expect(isServed == (policy?.hasPrefix("default-src 'self'") == true))
            }
        }

        @Test(
            "what is nowhere is 404, the wrong method 405 with Allow",
            arguments: [
                ("GET", "/nothing", 404, "no_such_route"), ("GET", "/v1", 404, "no_such_route"),
                ("GET", "/v1/values", 404, "no_such_route"), ("GET", "/v1/values/", 404, "no_such_route"),
                ("GET", "//livez", 404, "no_such_route"), ("GET", "/livez/", 404, "no_such_route"),
                ("GET", "/v1/values/a/b", 404, "unknown_source"), ("DELETE", "/nothing", 404, "no_such_route"),
                ("GET", "/../etc/passwd", 404, "no_such_route"), ("GET", "/%2e%2e/etc/passwd", 404, "no_such_route"),
                ("POST", "/livez", 405, "method_not_allowed"), ("QUERY", "/v1/sources", 405, "method_not_allowed"),
                ("get", "/livez", 405, "method_not_allowed"), ("GET", "/v1/admin/reload", 405, "method_not_allowed"),
            ]
        )
        func problems(method: String, path: String, status: Int, problem: String) async throws {
            try await withGateway { gateway in
                let reply = try await gateway.send(method, path)
                #expect(reply.status == status)
                #expect(try code(reply) == problem)
                #expect(try json(reply, "/status").int == status)
                #expect(try !text(reply, "/title").isEmpty)
                #expect((reply.headers["Allow"] != nil) == (status == 405))
                #expect(!reply.text.contains("passwd"), "S25")
            }
        }

        @Test("OPTIONS tells what a path can do, and * what the server can")
        func options() async throws {
            try await withGateway { gateway in
                let reply = try await gateway.send("OPTIONS", "/v1/sources")
                #expect(reply.status == 204)
                #expect(reply.headers["Allow"] == "GET, HEAD, OPTIONS")
                #expect(try await gateway.send("OPTIONS", "*").status == 204)
            }
        }
    }
}
