import Foundation
import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("F16, S20: TLS")
struct TLSTests {
    @Test("a certificate that nobody vouches for is refused", .enabled(if: TLSServer.program != nil, "needs openssl"))
    func selfSigned() async throws {
        let server = try await TLSServer.started()
        let result = await TransportProbe().poll("https://127.0.0.1:\(server.port)/")
        guard case .failure(let error) = result else {
            Issue.record("accepted")
            return
        }
        #expect(error.kind == .tlsUntrusted)
        #expect(error.message.contains("certificate"), "\(error.message)")
    }

    @Test("one that is trusted by `ca_file` is taken", .enabled(if: TLSServer.program != nil, "needs openssl"))
    func trusted() async throws {
        let server = try await TLSServer.started()
        let url = "https://127.0.0.1:\(server.port)/"
        let result = await TransportProbe().poll(url) { $0.tls.caFile = server.certificate }
        #expect(result.response?.status == 200)
        let probe = TransportProbe()
        #expect(await probe.poll(url) { $0.tls.isInsecure = true }.response?.status == 200)
        #expect(await probe.poll(url).kind == .tlsUntrusted, "nor is the unchecked connection used by who checks")
    }

    @Test(
        "one of another host, one that has run out, and another key are told apart",
        .enabled(if: TLSServer.program != nil, "needs openssl")
    )
    func distinct() async throws {
        let other = try await TLSServer.started(name: "DNS:other.example")
        let named = await TransportProbe().poll("https://127.0.0.1:\(other.port)/") {
            $0.tls.caFile = other.certificate
        }
        #expect(named.kind == .tlsHost)
        let old = try await TLSServer.started(days: -1)
        let expired = await TransportProbe().poll("https://127.0.0.1:\(old.port)/") { $0.tls.caFile = old.certificate }
        #expect(expired.kind == .tlsExpired)
        let pinned = await TransportProbe().poll("https://127.0.0.1:\(other.port)/") {
            $0.tls.isInsecure = true
            $0.tls.pinnedKey = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        }
        #expect(pinned.kind == .tlsUntrusted)
    }

    @Test("a protocol older than TLS 1.2 is refused", .enabled(if: TLSServer.program != nil, "needs openssl"))
    func oldProtocol() async throws {
        let server = try await TLSServer.started(["-www", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"])
        let result = await TransportProbe().poll("https://127.0.0.1:\(server.port)/") { $0.tls.isInsecure = true }
        #expect(result.kind == .tlsVersion)
    }

    @Test("a handshake that stalls ends with the time-out, and is told from a slow response")
    func stall() async throws {
        let upstream = try ScriptedUpstream()
        upstream.script(connection: 1, [.stall])
        let result = await TransportProbe().poll("https://127.0.0.1:\(upstream.port)/") {
            $0.timeout = .milliseconds(1500)
        }
        #expect(result.kind == .tls)
    }

    @Test("a server that does not speak TLS is told as such")
    func plain() async throws {
        let upstream = try ScriptedUpstream()
        upstream.script(connection: 1, [.send("HTTP/1.1 400 Bad Request\r\n\r\n"), .close])
        #expect(await TransportProbe().poll("https://127.0.0.1:\(upstream.port)/").kind == .tls)
    }
}
