/// How the clients of a test speak to what is under test. Suites that hold whatever carries the bytes run once for each.
package enum ClientTransport: String, CaseIterable, Sendable {
    case plain
    /// TLS 1.3; streams are detached.
    case tls
    /// HTTP/2 over TLS, by a relay that the clients speak HTTP/1.1 to.
    case http2

    /// Of the test that runs.
    @TaskLocal package static var current = ClientTransport.plain
}
