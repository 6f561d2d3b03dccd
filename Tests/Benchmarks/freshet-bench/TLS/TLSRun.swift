// One measurement over one transport: the server, the load client, and the publisher in step with it.

import CLinux
import Foundation

/// What `tlsload` reports, as far as the tables need it.
struct TLSResult: Decodable {
    var up: Int
    var failed: Int
    var closed: Int
    var windowEvents: Double
    var gaps: Int
    var repeats: Int
    /// Server CPU in the measured window.
    var microsecondsPerEvent: Double
    /// Server CPU from the first dial until everybody was connected.
    var microsecondsPerConnection: Double
    /// Growth of the server's proportional set size meanwhile.
    var bytesPerSubscriber: Double

    var lost: Int { self.failed + self.closed + self.gaps + self.repeats }

    enum CodingKeys: String, CodingKey {
        case up, failed, closed, gaps
        case repeats = "dups"
        case windowEvents = "window_events"
        case microsecondsPerEvent = "srv_us"
        case microsecondsPerConnection = "srv_conn_us"
        case bytesPerSubscriber = "srv_mem_per_sub"
    }
}

/// The runs of one benchmark; a server of its own for each.
struct TLSRun {
    var scratch: String
    var load: String
    var publisher: String
    var options: TLSOptions

    private var certificate: String { "\(self.scratch)/certificate.pem" }
    private var key: String { "\(self.scratch)/key.pem" }

    /// Makes the folder and a certificate.
    func prepare() throws {
        let files = FileManager.default
        try? files.removeItem(atPath: self.scratch)
        try files.createDirectory(atPath: self.scratch, withIntermediateDirectories: true)
        let openssl = try ChildProcess(
            "/usr/bin/env",
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
                + ["-keyout", self.key, "-out", self.certificate, "-days", "30", "-subj", "/CN=localhost"]
        )
        guard openssl.wait() == 0 else { throw BenchmarkFailure("openssl made no certificate") }
    }

    func cleanUp() {
        try? FileManager.default.removeItem(atPath: self.scratch)
    }

    /// CPU per event, published one after the other.
    func measureEvents(_ server: TLSServer, _ wire: TLSWire) throws -> TLSResult {
        let result = try self.measure(server, wire, count: self.options.count, publishes: true)
        guard result.windowEvents > Double(self.options.count) else {
            throw BenchmarkFailure("\(server) over \(wire): no event was counted")
        }
        return result
    }

    /// Memory of subscribers that only wait.
    func measureIdle(_ server: TLSServer, _ wire: TLSWire) throws -> TLSResult {
        try self.measure(server, wire, count: self.options.idle, publishes: false)
    }

    /// CPU of connections.
    func measureConnects(_ server: TLSServer, _ wire: TLSWire) throws -> TLSResult {
        try self.measure(server, wire, count: self.options.handshakes, publishes: false)
    }

    private func measure(_ server: TLSServer, _ wire: TLSWire, count: Int, publishes: Bool) throws -> TLSResult {
        let ports = try Ports()
        let process = try self.start(server, ports)
        defer { process.end() }
        // As for peers: workers come after the listener, and memory settles.
        usleep(1_000_000)
        let ready = "\(self.scratch)/ready"
        let progress = "\(self.scratch)/progress"
        // What the last run left would start the publisher at once.
        for file in [ready, progress] { try? FileManager.default.removeItem(atPath: file) }
        let client = try ChildProcess(
            self.load,
            wire.arguments
                + [
                    "--port", "\(wire == .plain ? ports.plain : ports.tls)", "--path", server.streamPath, "-n",
                    "\(count)",
                ]
                + ["--progress", progress, "--ready-file", ready, "--warmup", "1", "--check"]
                + [
                    "--duration", publishes ? "\(self.options.seconds)" : "0.1", "--pids",
                    process.identifiersWithChildren,
                ]
        )
        let publisher = publishes ? try self.startPublisher(server, ports, ready: ready, progress: progress) : nil
        let output = client.text()
        _ = client.wait()
        publisher?.end()
        let result = try JSONDecoder().decode(TLSResult.self, from: output)
        guard result.up == count else {
            throw BenchmarkFailure("\(server) over \(wire): \(result.up) of \(count) connected")
        }
        return result
    }

    private func startPublisher(_ server: TLSServer, _ ports: Ports, ready: String, progress: String) throws
        -> ChildProcess
    {
        let counts = LoadProgress(path: progress)
        let greetings = UInt64(server.eventsOnConnect * self.options.count)
        let deadline = clinux_monotonic_ns() + 60_000_000_000
        while !FileManager.default.fileExists(atPath: ready) || (counts?.events ?? 0) < greetings {
            guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("\(server): clients did not connect") }
            // The load client reports through files, and nothing is measured yet.
            usleep(10_000)
        }
        return try ChildProcess(
            self.publisher,
            ["post", "--port", "\(ports.publish)", "--path", server.publishPath, "--kind", "raw"]
                + ["--content-type", "application/json", "--rate", "0", "--size", "200"]
                + ["--duration", "\(self.options.seconds + 2)", "--progress", progress]
                + ["--subs", "\(self.options.count)", "--window", "\(self.options.window)"]
        )
    }

    /// Where a server listens.
    struct Ports {
        let plain: Int
        let tls: Int
        let publish: Int

        init() throws {
            self.plain = try FanOutRun.freePort()
            self.tls = try FanOutRun.freePort()
            self.publish = try FanOutRun.freePort()
        }
    }

    func start(_ server: TLSServer, _ ports: Ports) throws -> ChildProcess {
        switch server {
        case .freshet:
            let text = """
                listen: 127.0.0.1:\(ports.plain)
                admin: { listen: '127.0.0.1:\(ports.publish)' }
                tls:
                  listen: '127.0.0.1:\(ports.tls)'
                  certificate: \(self.certificate)
                  key: \(self.key)
                  detach: \(self.options.detaches)
                sources:
                  bench: { url: 'http://127.0.0.1:\(try QuietUpstream.port.get())/', interval: 24h }

                """
            let file = "\(self.scratch)/freshet.yaml"
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let gateway = try ChildProcess(self.options.gateway, ["serve", "--config", file])
            try QuietUpstream.awaitPoll()
            return gateway
        case .nchan:
            let file = "\(self.scratch)/nginx.conf"
            try self.nginxConfiguration(ports).write(toFile: file, atomically: true, encoding: .utf8)
            let nginx = try ChildProcess(Peer.nginx, ["-p", self.scratch, "-c", file])
            try FanOutRun.awaitListener(port: ports.tls)
            return nginx
        }
    }

    private func nginxConfiguration(_ ports: Ports) -> String {
        """
        worker_processes 1; worker_rlimit_nofile 20000; daemon off; master_process on;
        pid \(self.scratch)/nginx.pid; error_log \(self.scratch)/nginx.log warn;
        load_module \(Peer.module);
        events { worker_connections 16384; use epoll; multi_accept on; }
        http {
          access_log off; tcp_nodelay on; keepalive_timeout 75s; keepalive_requests 100000000;
          client_body_temp_path \(self.scratch)/body; proxy_temp_path \(self.scratch)/proxy;
          fastcgi_temp_path \(self.scratch)/fastcgi; uwsgi_temp_path \(self.scratch)/uwsgi;
          scgi_temp_path \(self.scratch)/scgi; nchan_shared_memory_size 512M;
          ssl_certificate \(self.certificate); ssl_certificate_key \(self.key); ssl_protocols TLSv1.3;
          server {
            listen 127.0.0.1:\(ports.plain) backlog=4096; listen 127.0.0.1:\(ports.publish) backlog=4096;
            listen 127.0.0.1:\(ports.tls) ssl http2 backlog=4096; http2_max_concurrent_streams 256;
            location = /pub { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 32;
              nchan_message_timeout 60s; client_body_buffer_size 64k; }
            location = /sub { nchan_subscriber eventsource; nchan_channel_id bench;
              nchan_subscriber_first_message newest; nchan_eventsource_ping_interval 0; }
          }
        }
        """
    }
}

extension TLSServer {
    var streamPath: String {
        switch self {
        case .freshet: "/v1/streams/bench?mode=snapshot"
        case .nchan: "/sub"
        }
    }

    var publishPath: String {
        switch self {
        case .freshet: "/v1/admin/sources/bench/value"
        case .nchan: "/pub"
        }
    }

    /// As ``Peer/eventsOnConnect``.
    fileprivate var eventsOnConnect: Int {
        switch self {
        case .freshet: Peer.freshet.eventsOnConnect
        case .nchan: Peer.nchan.eventsOnConnect
        }
    }
}
