// From nodes to a ``GatewayConfiguration``: every section but the sources.

import Foundation
import FreshetCore
import System

/// Decodes a merged configuration. Problems go to the context; what is wrong keeps its default, so that one run
/// finds everything.
struct GatewayDecoder {
    let context: DecodingContext

    func decode(_ root: ConfigurationNode) -> GatewayConfiguration {
        let reader = SectionReader(root, as: .gateway, path: "", context: self.context)
        var configuration = GatewayConfiguration()
        configuration.listen = self.address("listen", in: reader) ?? configuration.listen
        if let section = reader.section("admin", as: .admin) {
            self.decode(section, into: &configuration.admin)
        }
        let hour = Duration.seconds(3600)
        configuration.heartbeat = reader.duration("heartbeat", in: .seconds(1)...hour) ?? configuration.heartbeat
        configuration.retry = reader.duration("retry", in: .milliseconds(100)...hour) ?? configuration.retry
        if let section = reader.section("cache", as: .cache) {
            self.decode(section, into: &configuration.cache)
        }
        if let section = reader.section("log", as: .log) {
            configuration.log = self.log(section)
        }
        if let section = reader.section("limits", as: .limits) {
            self.decode(section, into: &configuration.limits)
        }
        if let section = reader.section("streams", as: .streams) {
            configuration.streams.compression = section.flag("compression") ?? configuration.streams.compression
        }
        if let section = reader.section("shutdown", as: .shutdown) {
            self.decode(section, into: &configuration.shutdown)
        }
        if let section = reader.section("cors", as: .cors) {
            self.decode(section, into: &configuration.cors)
        }
        if let section = reader.section("polling", as: .polling) {
            self.decode(section, into: &configuration.polling)
        }
        if let section = reader.section("tls", as: .tls) {
            configuration.tls = TLSDecoder(context: self.context).decode(section)
        }
        if let section = reader.section("auth", as: .auth) {
            let decoder = AuthDecoder(context: self.context)
            let auth = decoder.decode(section)
            decoder.check(auth, section, tls: reader.entry("tls")?.entry.value)
            configuration.auth = auth
            if configuration.auth?.cookie != nil, configuration.cors.origins.contains("*") {
                self.context.error(
                    "auth.cookie",
                    at: section.place(of: "cookie"),
                    "a cookie beside cors.origins \"*\": every page could read with its visitor's cookie",
                    fix: "list the origins, or remove `cookie`"
                )
            }
        }
        if let section = reader.section("push", as: .push) {
            configuration.push = PushDecoder(context: self.context).decode(section)
        }
        if let section = reader.section("tracing", as: .tracing) {
            configuration.tracing = self.tracing(section)
        }
        if let section = reader.section("cluster", as: .cluster) {
            configuration.cluster = ClusterDecoder(context: self.context).decode(section)
        }
        let (sources, defaults) = SourcesDecoder(context: self.context).decode(reader)
        configuration.sources = sources
        if let section = reader.section("streamdata", as: .streamdata) {
            let names = Set(sources.map(\.name))
            configuration.streamdata = StreamdataDecoder(context: self.context)
                .decode(section, defaults: defaults, sources: names)
        }
        configuration.webhooks = WebhooksDecoder(context: self.context)
            .decode(reader, sources: configuration.sources)
        PushedSourceRules(context: self.context).warnOfSilence(configuration, reader)
        SourceTemplateDecoder(context: self.context).warnOfClaims(configuration, reader)
        return configuration
    }

    func address(_ key: String, in reader: SectionReader) -> ListenAddress? {
        guard let value = reader.scalar(key) else { return nil }
        do throws(ListenAddressText.Failure) {
            return try ListenAddressText.parse(value.text)
        } catch {
            let isShown = value.variables.isEmpty
            self.context.error(
                value.path,
                at: value.place,
                isShown ? "\(value.shown): \(error.what)" : "\(value.shown) is not an address to listen on",
                fix: isShown ? error.fix : "write HOST:PORT such as 127.0.0.1:8080"
            )
            return nil
        }
    }

    private func decode(_ reader: SectionReader, into admin: inout GatewayConfiguration.Admin) {
        admin.listen = self.adminAddress(reader)
        admin.privateOperations = reader.flag("private_operations") ?? admin.privateOperations
        for value in reader.list("host_names") {
            let isName =
                !value.text.isEmpty
                && value.text.utf8.allSatisfy { byte in
                    Character(Unicode.Scalar(byte)).isLetter || Character(Unicode.Scalar(byte)).isNumber
                        || "-.".utf8.contains(byte)
                }
            if isName, value.text.utf8.allSatisfy({ $0 < 0x80 }) {
                admin.hostNames.append(value.text.lowercased())
            } else {
                self.context.error(
                    value.path,
                    at: value.place,
                    "\(value.shown) is not a host name",
                    fix: "write a name without scheme and port"
                )
            }
        }
    }

    /// Whoever reaches the address is an administrator: so it is one that only this machine reaches.
    private func adminAddress(_ reader: SectionReader) -> ListenAddress? {
        guard let address = self.address("listen", in: reader) else { return nil }
        guard !address.isLocal else { return address }
        self.context.error(
            SectionReader.join(reader.path, "listen"),
            at: reader.place(of: "listen"),
            "other machines could administer the gateway without a key",
            fix: "write a loopback address such as 127.0.0.1:9090, or unix:PATH"
        )
        return nil
    }

    private func decode(_ reader: SectionReader, into cache: inout GatewayConfiguration.Cache) {
        cache.maxBytes = reader.size("max_bytes", in: (64 << 10)...(1 << 40)) ?? cache.maxBytes
        cache.maxAge = reader.duration("max_age", in: .seconds(1)...DurationText.longest)
    }

    private func tracing(_ reader: SectionReader) -> GatewayConfiguration.Tracing {
        var tracing = GatewayConfiguration.Tracing()
        tracing.oneIn = reader.count("one_in", in: 1...1_000_000_000) ?? tracing.oneIn
        return tracing
    }

    private func log(_ reader: SectionReader) -> GatewayConfiguration.Log? {
        // Read before the path is looked at, so that what is wrong with them is said whatever it is.
        let maxBytes = reader.size("max_bytes", in: (1 << 20)...(1 << 40))
        let maxAge = reader.duration("max_age", in: .seconds(1)...DurationText.longest)
        guard let path = reader.scalar("path") else {
            if reader.entry("path") == nil {
                self.context.error(
                    reader.path,
                    at: reader.place,
                    "no path",
                    fix: "add `path: changes.db`, or remove `log`"
                )
            }
            return nil
        }
        guard !path.text.isEmpty, !path.text.utf8.contains(0) else {
            self.context.error(
                path.path,
                at: path.place,
                "\(path.shown) is not a path",
                fix: "write one such as changes.db"
            )
            return nil
        }
        let directory = FilePath.directory(of: path.place.file)
        var log = GatewayConfiguration.Log(path: FilePath.resolve(path.text, from: directory))
        let folder = FilePath.directory(of: log.path)
        // No error: systemd and volumes make folders at the start, and a file may be checked at another machine.
        if self.context.files.isAbsent(folder) {
            self.context.warning(
                path.path,
                at: path.place,
                "the folder of \(path.shown) does not exist",
                fix: "create it before the start (mkdir -p \(folder)), where nothing else does"
            )
        }
        log.maxBytes = maxBytes ?? log.maxBytes
        log.maxAge = maxAge ?? log.maxAge
        return log
    }

    private func decode(_ reader: SectionReader, into limits: inout GatewayConfiguration.Limits) {
        limits.maxSubscribers = reader.count("max_subscribers", in: 1...10_000_000)
        limits.maxSubscribersPerAddress = reader.count("max_subscribers_per_address", in: 1...10_000_000)
        limits.maxSourceSetsPerAddress =
            reader.count("max_source_sets_per_address", in: 1...1_000_000) ?? limits.maxSourceSetsPerAddress
        limits.maxViews = reader.count("max_views", in: 1...10_000_000) ?? limits.maxViews
        limits.maxCompressionRuns =
            reader.count("max_compression_runs", in: 0...1_000_000) ?? limits.maxCompressionRuns
        limits.maxViewsPerAddress =
            reader.count("max_views_per_address", in: 1...10_000_000) ?? limits.maxViewsPerAddress
        limits.maxConnections = reader.count("max_connections", in: 1...1_000_000)
        limits.maxConnectionsPerAddress =
            reader.count("max_connections_per_address", in: 1...1_000_000) ?? limits.maxConnectionsPerAddress
        limits.maxWaiting = reader.count("max_waiting", in: 1...1_000_000)
        limits.maxWaitingPerAddress =
            reader.count("max_waiting_per_address", in: 1...1_000_000) ?? limits.maxWaitingPerAddress
        limits.maxRequestsPerAddress =
            reader.count("max_requests_per_address", in: 1...1_000_000) ?? limits.maxRequestsPerAddress
        limits.maxSubscribersPerCaller = reader.count("max_subscribers_per_caller", in: 1...10_000_000)
        limits.maxRequestsPerCaller =
            reader.count("max_requests_per_caller", in: 1...1_000_000) ?? limits.maxRequestsPerCaller
        limits.maxReplayBytesPerCaller =
            reader.size("max_replay_bytes_per_caller", in: 1024...(1 << 40)) ?? limits.maxReplayBytesPerCaller
        let range = Duration.milliseconds(100)...Duration.seconds(3600)
        limits.headerTimeout = reader.duration("header_timeout", in: range) ?? limits.headerTimeout
        limits.idleTimeout = reader.duration("idle_timeout", in: range) ?? limits.idleTimeout
        limits.writeTimeout = reader.duration("write_timeout", in: range) ?? limits.writeTimeout
        limits.maxBodyBytes = reader.size("max_body_bytes", in: 1...(1 << 30)) ?? limits.maxBodyBytes
        limits.maxWaitingReads = reader.count("max_waiting_reads", in: 1...1_000_000) ?? limits.maxWaitingReads
        limits.maxWaitingReadsPerAddress =
            reader.count("max_waiting_reads_per_address", in: 1...1_000_000) ?? limits.maxWaitingReadsPerAddress
        limits.maxSubscriptionsPerSocket =
            reader.count("max_subscriptions_per_socket", in: 1...10_000) ?? limits.maxSubscriptionsPerSocket
        limits.maxMessagesPerSocket =
            reader.count("max_messages_per_socket", in: 1...1_000_000) ?? limits.maxMessagesPerSocket
        limits.maxUnansweredPerSocket =
            reader.count("max_unanswered_per_socket", in: 1...10_000) ?? limits.maxUnansweredPerSocket
        limits.maxSocketMessageBytes =
            reader.size("max_socket_message_bytes", in: 1024...(1 << 30)) ?? limits.maxSocketMessageBytes
        limits.maxUnsentBytes = reader.size("max_unsent_bytes", in: (1 << 20)...(1 << 40))
        limits.maxMemory = reader.size("max_memory", in: (16 << 20)...(1 << 50))
        for value in reader.list("trusted_proxies") {
            if let entry = TrustedProxies.Entry(value.text) {
                limits.trustedProxies.append(entry)
            } else {
                self.context.error(
                    value.path,
                    at: value.place,
                    "\(value.shown) is not an address of a proxy",
                    fix: "write one such as 127.0.0.1, 10.0.0.0/8 or unix"
                )
            }
        }
    }

    private func decode(_ reader: SectionReader, into shutdown: inout GatewayConfiguration.Shutdown) {
        let range = Duration.zero...Duration.seconds(3600)
        shutdown.delay = reader.duration("delay", in: range) ?? shutdown.delay
        shutdown.drain = reader.duration("drain", in: range) ?? shutdown.drain
    }

    private func decode(_ reader: SectionReader, into polling: inout GatewayConfiguration.Polling) {
        polling.concurrency = reader.count("concurrency", in: 1...10_000) ?? polling.concurrency
        polling.hostConcurrency = reader.count("host_concurrency", in: 1...1000) ?? polling.hostConcurrency
        polling.hostGap = reader.duration("host_gap", in: .zero...Duration.seconds(3600)) ?? polling.hostGap
        polling.requestsPerHour = reader.count("requests_per_hour", in: 1...1_000_000_000)
        if polling.hostConcurrency > polling.concurrency {
            self.context.error(
                "\(reader.path).host_concurrency",
                at: reader.place(of: "host_concurrency"),
                "\(polling.hostConcurrency) is more than polling.concurrency, \(polling.concurrency)",
                fix: "lower it, or raise polling.concurrency"
            )
        }
    }

    private func decode(_ reader: SectionReader, into cors: inout GatewayConfiguration.CORS) {
        let values = reader.list("origins")
        for value in values {
            if let what = Self.originProblem(value.text) {
                self.context.error(
                    value.path,
                    at: value.place,
                    "\(value.shown) \(what.what)",
                    fix: value.variables.isEmpty ? what.fix : nil
                )
            } else {
                cors.origins.append(value.text)
            }
        }
        if cors.origins.contains("*"), cors.origins.count > 1, let first = values.first {
            self.context.error(
                "\(reader.path).origins",
                at: first.place,
                "\"*\" next to other origins",
                fix: "keep \"*\" alone, or remove it"
            )
        }
    }

    /// What is wrong with an origin as browsers send it (RFC 6454 §6.2): scheme, host, port, and nothing else.
    private static func originProblem(_ text: String) -> (what: String, fix: String)? {
        if text == "*" { return nil }
        let example = "write one such as https://app.example"
        guard let url = try? URLText(text) else { return ("is not an origin", example) }
        guard url.path.isEmpty, !text.contains("?") else {
            return ("has a path", "write \(text.prefix(text.count - self.tail(of: text)))")
        }
        guard text == text.lowercased() else {
            return ("holds upper case, which browsers never send", "write \(text.lowercased())")
        }
        let isDefaultPort =
            (text.hasPrefix("https://") && text.hasSuffix(":443"))
            || (text.hasPrefix("http://") && text.hasSuffix(":80"))
        guard !isDefaultPort else { return ("names the default port, which browsers leave out", "remove the port") }
        return nil
    }

    /// The number of characters behind scheme, host and port.
    private static func tail(of url: String) -> Int {
        guard let separator = url.range(of: "://") else { return 0 }
        return url[separator.upperBound...].drop { $0 != "/" && $0 != "?" }.count
    }
}
