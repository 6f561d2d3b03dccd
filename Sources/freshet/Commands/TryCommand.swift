// `freshet try URL`: serves one URL and shows each change in the terminal.

import ArgumentParser
import Dispatch
import FreshetClient
import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import Logging
import System

struct TryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "try",
        abstract: "Watch one URL: serve it, and print each change as it happens.",
        discussion: """
            Listens on 127.0.0.1:8080, or on the next port that is free. In a terminal the last line says when the next \
            poll is and why, and what conditional requests saved. Ctrl-C ends it, and prints the configuration that does the \
            same.

            Examples:
              freshet try https://api.example.com/rates
              freshet try --interval 1s http://localhost:3000/stations
            """
    )

    @Option(
        help: "Where to listen: HOST:PORT, :PORT, or unix:PATH (default: 127.0.0.1:8080, or the next free port).",
        transform: SourceArguments.listen
    )
    var listen: ListenAddress?

    @Option(help: "The time between polls (default: 5s).", transform: SourceArguments.interval)
    var interval: Duration?

    @OptionGroup var log: LogOptions

    @Argument(help: "The URL of a REST resource, http:// or https://.")
    var url: String

    func validate() throws {
        _ = try SourceArguments.url(self.url)
    }

    func run() async throws {
        let signals = try SignalWatcher.start()
        let sink = LogSink(descriptor: 2)
        var configuration = GatewayConfiguration()
        configuration.listen = self.listen ?? FreePort.address()
        configuration.shutdown.drain = .seconds(1)
        let url = try SourceArguments.url(self.url)
        configuration.sources = SourceArguments.sources(for: [url], interval: self.interval ?? .seconds(5))
        let names = configuration.sources.map(\.name)
        let sources = configuration.sources
        let status = StatusLine()
        let runner = GatewayRunner(
            configuration: configuration,
            logger: self.log.logger(default: .error, to: sink),
            sink: sink,
            signals: signals,
            started: { address, key in
                Self.introduce(names, at: address, key: key)
                ChangeView.start(address, sources: names, above: status)
                if Terminal.isInteractive, let name = names.first {
                    TryProgress.start(address, source: name, in: status)
                }
            }
        )
        try await runner.run()
        status.remove()
        Terminal.print(Colour.faint("\nThe same from a file, with `freshet serve`:\n"))
        Terminal.print(TryProgress.configuration(of: sources))
    }

    private static func introduce(_ names: [String], at address: ListenAddress, key: AdminKey) {
        let url = GatewayRunner.url(of: address)
        for name in names {
            Terminal.print("\(Colour.bold("stream")) \(url)/v1/streams/\(name)")
            Terminal.print("       curl -N \(url)/v1/streams/\(name)")
            Terminal.print("       curl \(url)/v1/values/\(name)")
        }
        Terminal.print("page   \(GatewayRunner.pageURL(of: address, key: key))")
        Terminal.print(Colour.faint("Each change is shown below. Ctrl-C ends."))
    }
}

/// Prints the changes of the process's own gateway, as any subscriber gets them.
enum ChangeView {
    static func start(
        _ address: ListenAddress,
        sources: [String],
        above status: StatusLine = StatusLine(isShown: false)
    ) {
        let target = GatewayOptions.Target(address: GatewayAddress(reaching: address))
        Task(executorPreference: ViewExecutor()) {
            do {
                try await self.show(FreshetClient(target), sources: sources, above: status)
            } catch let error as FreshetClientError {
                Terminal.complain(error.reason.escapingControls())
            }
        }
    }

    private static func show(_ gateway: FreshetClient, sources: [String], above status: StatusLine) async throws {
        var printer = ChangePrinter(hasColour: Terminal.hasColour)
        for try await change in gateway.changes(of: sources) {
            switch change.kind {
            // Between the end of the gateway and the end of the process there is nothing to tell.
            case .interrupted, .closing: return
            default: break
            }
            guard let line = change.line.flatMap({ StreamLine($0) }) else { continue }
            status.print(printer.lines(for: line))
        }
    }
}

/// Runs what prints: a terminal that takes no more must not hold a thread that the gateway's own tasks need.
private final class ViewExecutor: TaskExecutor {
    private let queue = DispatchQueue(label: "view")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

extension GatewayAddress {
    /// Where a process on this machine reaches a listener.
    init(reaching address: ListenAddress) {
        switch address {
        case .unix(let path): self = .unix(path: path)
        case .tcp("0.0.0.0", let port): self = .tcp(host: "127.0.0.1", port: port)
        case .tcp("::", let port): self = .tcp(host: "::1", port: port)
        case .tcp(let host, let port): self = .tcp(host: host, port: port)
        }
    }
}
