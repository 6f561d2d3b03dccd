import CLinux

/// An nginx (Debian's package) that passes every request on, with what its configuration says. It listens on a port of
/// 127.0.0.1, and ends with the last reference.
package final class NginxProcess: Sendable {
    /// Where it listens.
    package let endpoint: Endpoint
    private let process: FreshetProcess
    private let folder: TemporaryFolder

    package static let path = "/usr/sbin/nginx"

    /// Starts it and waits until it listens.
    ///
    /// - Parameters:
    ///   - target: What stands behind `proxy_pass`.
    ///   - configuration: Further directives of the location.
    /// - Throws: `TestingError` when it does not start: `make setup` installs it.
    package init(_ target: String, configuration: String = "") async throws {
        self.folder = try TemporaryFolder()
        let port = try Self.freePort()
        let path = self.folder.path
        let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map { "\($0)_temp_path \(path)/\($0);" }.joined(separator: " ")
        try self.folder.write(
            """
            daemon off; master_process off; pid \(path)/pid; error_log stderr notice;
            events {}
            http {
              access_log off; \(places)
              server {
                listen 127.0.0.1:\(port);
                location / { proxy_pass \(target); proxy_read_timeout 60s; \(configuration) }
              }
            }
            """,
            to: "nginx.conf"
        )
        self.process = try FreshetProcess(["-p", path, "-e", "stderr", "-c", "\(path)/nginx.conf"], binary: Self.path)
        self.endpoint = .port(port)
        guard await self.process.waitForOutput(containing: "event method") else {
            throw TestingError(.process, "nginx does not start: \(self.process.errors)")
        }
    }

    /// A port that was free a moment ago: nginx cannot let the kernel choose.
    package static func freePort() throws -> UInt16 {
        let socket = try StreamSocket.listening()
        defer { socket.close() }
        return UInt16(clamping: try checked(clinux_local_port(socket.descriptor), "getsockname"))
    }
}
