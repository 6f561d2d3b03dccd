// One measurement of one peer: its server, the load client, and the publisher in step with it.

import CLinux
import Foundation

/// One run. Every server is given the same messages of 200 bytes, as many on their way at once as the options say.
struct PeerRun {
    var peer: Peer
    var tools: BenchTools
    var publisher: String
    var options: PeersOptions
    var subscribers: Int

    private var scratch: String { "\(self.tools.scratch)/peers-\(getpid())" }

    func measure() throws -> LoadResult {
        let files = FileManager.default
        try? files.removeItem(atPath: self.scratch)
        try files.createDirectory(atPath: self.scratch, withIntermediateDirectories: true)
        defer { try? files.removeItem(atPath: self.scratch) }
        let port = try FanOutRun.freePort()
        let publishPort = self.peer == .freshet ? try FanOutRun.freePort() : port
        let server = try self.startServer(port: port, publishPort: publishPort)
        defer { server.end() }
        // A server listens before its workers are there, whose CPU and memory count, and before its own memory has settled.
        usleep(1_000_000)
        let ready = "\(self.scratch)/ready"
        let client = try ChildProcess(
            self.tools.load,
            ["--port", "\(port)", "--path", self.peer.streamPath, "-n", "\(self.subscribers)", "--warmup", "1"]
                + ["--progress", "\(self.scratch)/progress", "--ready-file", ready]
                + (self.peer.numbersEvents ? ["--check-ids"] : ["--check-seq", "\"n\":"])
                + ["--duration", "\(self.options.seconds)", "--pids", server.identifiersWithChildren]
        )
        let publisher = try self.startPublisher(port: publishPort, ready: ready)
        let output = client.text()
        _ = client.wait()
        publisher?.end()
        return try LoadResult(output, isNumbered: self.peer.numbersEvents)
    }

    private func startPublisher(port: Int, ready: String) throws -> ChildProcess? {
        guard let path = self.peer.publishPath else { return nil }
        let progress = LoadProgress(path: "\(self.scratch)/progress")
        let greetings = UInt64(self.peer.eventsOnConnect * self.subscribers)
        let deadline = clinux_monotonic_ns() + 60_000_000_000
        while !FileManager.default.fileExists(atPath: ready) || (progress?.events ?? 0) < greetings {
            guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("\(self.peer): nobody connected") }
            // The load client tells in files, and nothing is measured yet.
            usleep(10_000)
        }
        // A second more than the client counts, and what comes before it counts.
        return try ChildProcess(
            self.publisher,
            ["post", "--port", "\(port)", "--path", path, "--kind", "raw", "--content-type", "application/json"]
                + ["--rate", "0", "--size", "200", "--duration", "\(self.options.seconds + 2)"]
                + ["--progress", "\(self.scratch)/progress", "--subs", "\(self.subscribers)"]
                + ["--window", "\(self.options.window)"]
        )
    }

    private func startServer(port: Int, publishPort: Int) throws -> ChildProcess {
        switch self.peer {
        case .floor:
            return try ChildProcess(
                self.tools.floor,
                ["--port", "\(port)", "--threads", "\(self.options.workers)", "--chunked", "--rate", "0"]
                    + ["--size", "200", "--wait", "\(self.subscribers)", "--window", "\(self.options.window)"]
                    + ["--progress", "\(self.scratch)/progress"]
            )
        case .nchan:
            let file = try self.write(self.nginxConfiguration(port: port), to: "nginx.conf")
            return try ChildProcess(Peer.nginx, ["-p", self.scratch, "-c", file])
        case .freshet:
            // The source is polled once; then its values are pushed.
            let url = "http://127.0.0.1:\(try QuietUpstream.port.get())/"
            let listeners = "listen: 127.0.0.1:\(port)\nadmin: { listen: '127.0.0.1:\(publishPort)' }\n"
            let text = listeners + "sources:\n  bench: { url: '\(url)', interval: 24h }\n"
            let gateway = try ChildProcess(
                self.options.gateway,
                ["serve", "--config", try self.write(text, to: "freshet.yaml")]
            )
            try QuietUpstream.awaitPoll()
            return gateway
        }
    }

    private func write(_ text: String, to name: String) throws -> String {
        let path = "\(self.scratch)/\(name)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    private func nginxConfiguration(port: Int) -> String {
        """
        worker_processes \(self.options.workers); worker_rlimit_nofile 20000; daemon off; master_process on;
        pid \(self.scratch)/nginx.pid; error_log \(self.scratch)/nginx.log warn;
        load_module \(Peer.module);
        events { worker_connections 16384; use epoll; multi_accept on; }
        http {
          access_log off; tcp_nodelay on; keepalive_timeout 75s; keepalive_requests 100000000;
          client_body_temp_path \(self.scratch)/body; proxy_temp_path \(self.scratch)/proxy;
          fastcgi_temp_path \(self.scratch)/fastcgi; uwsgi_temp_path \(self.scratch)/uwsgi;
          scgi_temp_path \(self.scratch)/scgi; nchan_shared_memory_size 512M;
          server {
            listen 127.0.0.1:\(port) backlog=4096;
            location = /pub { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 32;
              nchan_message_timeout 60s; client_body_buffer_size 64k; }
            location = /sub { nchan_subscriber eventsource; nchan_channel_id bench;
              nchan_subscriber_first_message newest; nchan_eventsource_ping_interval 0; }
          }
        }
        """
    }
}
