/// How the clients of a test speak to what is under test. Suites that hold whatever carries the bytes run once for each.
package enum ClientTransport: String, CaseIterable, Sendable {
    case plain
    case tls

    /// Of the test that runs.
    @TaskLocal package static var current = ClientTransport.plain
}
