// `freshet demo`: an upstream that changes, and the gateway in front of it. The whole product with no network.

import ArgumentParser
import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import JSON
import Logging
import System

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Show live changes with no network: a bundled example API and the gateway in front of it.",
        discussion: """
            The example API has bike stations (a list of items with an id), prices (an object), news (a sliding \
            window, newest first) and the weather (with a time stamp that always changes, and is ignored). It takes \
            writes of orders, which the board at /demo/board.html shows: open it in two windows.

            Listens on 127.0.0.1:8080, or on the next port that is free. End it with Ctrl-C.

            Examples:
              freshet demo
              freshet demo --show --listen 127.0.0.1:9000
            """
    )

    @Option(
        help: "Where to listen: HOST:PORT, :PORT, or unix:PATH (default: 127.0.0.1:8080, or the next free port).",
        transform: SourceArguments.listen
    )
    var listen: ListenAddress?

    @Option(help: "The seed of the example's history.")
    var seed: UInt64 = 7

    @Flag(help: "Print every change here too.")
    var show = false

    @OptionGroup var log: LogOptions

    func run() async throws {
        let signals = try SignalWatcher.start()
        let sink = LogSink(descriptor: 2)
        let upstream: DemoUpstream
        do throws(StartFailure) {
            upstream = try DemoUpstream(seed: self.seed)
        } catch {
            try error.exit()
        }
        defer { upstream.stop() }
        var configuration = GatewayConfiguration()
        configuration.listen = self.listen ?? FreePort.address()
        configuration.shutdown.drain = .seconds(1)
        configuration.sources = DemoSources.sources(port: upstream.port)
        let show = self.show
        let isElsewhere = self.listen == nil && configuration.listen != GatewayConfiguration().listen
        let runner = GatewayRunner(
            configuration: configuration,
            logger: self.log.logger(default: .warning, to: sink),
            sink: sink,
            signals: signals,
            servesExample: true,
            started: { address, key in
                DemoSources.introduce(at: address, key: key, isElsewhere: isElsewhere)
                if show { ChangeView.start(address, sources: ["*"]) }
            }
        )
        try await runner.run()
    }
}

enum DemoSources {
    /// The sources of the demo, as a configuration file would have them.
    static func sources(port: Int) -> [SourceConfiguration] {
        self.readOnly(port: port) + [self.orders(port: port)]
    }

    /// What clients write. Different members of one order are merged; the same one is a conflict, which the board shows.
    private static func orders(port: Int) -> SourceConfiguration {
        let url = "http://127.0.0.1:\(port)\(DemoOrders.path)"
        var source = SourceConfiguration(name: "orders", url: url)
        source.interval = .fixed(.seconds(1))
        source.key = Pointer("/id")
        var write = WritePolicy()
        write.itemURL = url + "/{key}"
        write.methods = WriteMethod.allCases
        write.conflict = .merge
        source.write = write
        return source
    }

    private static func readOnly(port: Int) -> [SourceConfiguration] {
        DemoWorld.Resource.allCases.map { resource in
            var source = SourceConfiguration(name: resource.rawValue, url: "http://127.0.0.1:\(port)\(resource.path)")
            source.interval = .fixed(.seconds(1))
            switch resource {
            case .stations:
                source.key = Pointer("/id")
            case .prices:
                source.items = Pointer("/rates")
            case .news:
                source.items = Pointer("/items")
                source.key = Pointer("/id")
                source.interval = .fixed(.seconds(2))
            case .weather:
                source.ignore = [PointerPattern("/generated_at")].compactMap { $0 }
            }
            return source
        }
    }

    /// Says what there is to see, and how.
    static func introduce(at address: ListenAddress, key: AdminKey, isElsewhere: Bool) {
        let url = GatewayRunner.url(of: address)
        if isElsewhere {
            Terminal.print("Port 8080 is taken; this is the next free port.")
        }
        Terminal.print(
            """
            \(Colour.bold("Freshet demo")) on \(url)

            An example API changes about once a second; the gateway polls it and streams what changed.

            The page        \(GatewayRunner.pageURL(of: address, key: key))
            A board, two-way \(url)/demo/board.html
            Bike stations   curl -N \(url)/v1/streams/stations
            Prices          curl -N '\(url)/v1/streams/prices?mode=merge'
            News, by item   curl -N '\(url)/v1/streams/news?mode=items'
            Everything      curl -N '\(url)/v1/streams/*'
            A value         curl -i \(url)/v1/values/weather
            The change log  curl '\(url)/v1/changes/prices?limit=3'
            The sources     curl \(url)/v1/sources

            In colour       freshet tail 'stations,prices' --gateway \(url)

            Ctrl-C ends.
            """
        )
    }
}
