// `freshet serve`: the gateway.

import ArgumentParser
import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import Logging
import System

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the gateway.",
        discussion: """
            With URLs it needs nothing else: one source for each, named from its path. Without, it reads a \
            configuration file, ./freshet.yaml unless --config says otherwise. With both, it serves both.

            SIGTERM and SIGINT end it in order: streams are ended with `bye` over `shutdown.drain`; a second signal \
            ends it at once. SIGHUP reads the configuration again.

            Examples:
              freshet serve https://api.example.com/rates
              freshet serve --interval 2s https://api.example.com/rates https://api.example.com/stations
              freshet serve --config freshet.yaml --listen :8080
              curl -N http://127.0.0.1:8080/v1/streams/rates
            """
    )

    @OptionGroup var configuration: ConfigurationOptions

    @Option(
        help: "Where to listen: HOST:PORT, :PORT, or unix:PATH (default: 127.0.0.1:8080, or as configured).",
        transform: SourceArguments.listen
    )
    var listen: ListenAddress?

    @Option(help: "The time between polls of the URLs given here (default: 10s).", transform: SourceArguments.interval)
    var interval: Duration?

    @OptionGroup var log: LogOptions

    @Argument(help: "URLs of REST resources, http:// or https://.")
    var urls: [String] = []

    func validate() throws {
        _ = try self.urls.map(SourceArguments.url)
    }

    func run() async throws {
        let signals = try SignalWatcher.start()
        let sink = LogSink(descriptor: 2)
        let logger = self.log.logger(default: .info, to: sink)
        let inherited = try Self.inheritedSockets()
        let (loaded, load) = try self.loadedConfiguration(inherited)
        for warning in loaded.warnings {
            logger.warning("configuration", metadata: ["problem": "\(warning)"])
        }
        var runner = GatewayRunner(
            configuration: loaded.configuration,
            logger: logger,
            sink: sink,
            signals: signals,
            load: load
        )
        runner.keepsKeyFile = true
        runner.inherited = inherited
        try await runner.run()
    }

    private static func inheritedSockets() throws -> InheritedSockets {
        let inherited: InheritedSockets
        do throws(InheritedSockets.Problem) {
            inherited = try InheritedSockets.take()
        } catch {
            try StartFailure("Socket activation failed: \(error).").exit()
        }
        guard inherited.admin?.address.isLocal ?? true else {
            try StartFailure(
                "Socket activation failed: the socket for administration, which needs no key, is not of this machine alone; "
                    + "use a unix socket or 127.0.0.1."
            ).exit()
        }
        return inherited
    }

    /// The configuration that the file, the arguments and the sockets that were passed make together, and how to read it
    /// again.
    private func loadedConfiguration(_ inherited: InheritedSockets) throws -> (
        LoadedConfiguration, (@Sendable () throws(StartFailure) -> LoadedConfiguration)?
    ) {
        guard self.configuration.path != nil || self.urls.isEmpty else {
            let nothing = LoadedConfiguration(configuration: GatewayConfiguration(), warnings: [], effective: [])
            return (self.withArguments(nothing, inherited), nil)
        }
        let command = self
        let load: @Sendable () throws(StartFailure) -> LoadedConfiguration = { () throws(StartFailure) in
            command.withArguments(try command.configuration.load(), inherited)
        }
        do throws(StartFailure) {
            return (try load(), load)
        } catch {
            try error.exit()
        }
    }

    private func withArguments(_ loaded: LoadedConfiguration, _ inherited: InheritedSockets) -> LoadedConfiguration {
        var loaded = loaded
        loaded.configuration.listen = inherited.main?.address ?? self.listen ?? loaded.configuration.listen
        if let tls = inherited.tls?.address { loaded.configuration.tls?.listen = tls }
        if let admin = inherited.admin?.address { loaded.configuration.admin.listen = admin }
        let names = Set(loaded.configuration.sources.map(\.name))
        loaded.configuration.sources += SourceArguments.sources(
            for: self.urls.compactMap { try? URLText($0) },
            interval: self.interval ?? .seconds(10),
            taken: names
        )
        return loaded
    }
}
