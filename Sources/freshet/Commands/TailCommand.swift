// `freshet tail`: follows streams in a terminal, resuming where it was.

import ArgumentParser
import FreshetClient
import FreshetConfiguration
import FreshetCore
import JSON

struct TailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail",
        abstract: "Follow streams in the terminal.",
        discussion: """
            Prints what changes as it changes. When the connection breaks it comes back, and goes on after the last \
            change that it saw.

            Examples:
              freshet tail stations
              freshet tail 'bike-*' prices --json
              freshet tail stations --since latest
            """
    )

    @Argument(help: "Names of sources; * at the end of one stands for any.")
    var sources: [String]

    @OptionGroup var gateway: GatewayOptions

    @Option(help: "Begin after this cursor, or with `earliest` or `latest`, and not with a snapshot.")
    var since: String?

    @Flag(help: "Print each event as one line of JSON.")
    var json = false

    @Flag(help: "Follow over a WebSocket.")
    var socket = false

    func validate() throws {
        guard let selector = SourceSelector(self.sources.joined(separator: ",")), !selector.terms.isEmpty else {
            throw ValidationError(
                "A source is named by a-z, 0-9, \".\", \"_\" and \"-\"; it may end in *, or in / and values of parameters."
            )
        }
        if let since = self.since, !["earliest", "latest"].contains(since), Cursor(since) == nil {
            throw ValidationError("--since takes a cursor, earliest or latest.")
        }
    }

    func run() async throws {
        let target = self.gateway.target()
        // As a path has it: with the values of parameters encoded.
        let selector = SourceSelector(self.sources.joined(separator: ","))
        let names = selector?.terms.map(\.description) ?? self.sources
        let gateway = try FreshetClient(target, usesSocket: self.socket)
        var printer = ChangePrinter(hasColour: Terminal.hasColour)
        do {
            for try await change in gateway.changes(of: names, since: self.start) {
                switch change.kind {
                case .interrupted(let reason, let delay):
                    let wait = DurationText.describe(.milliseconds(Int64(delay / .milliseconds(1))))
                    Terminal.complain("\(target.address): \(reason.escapingControls()); trying again in \(wait)")
                case .other(SocketTransport.subscribed): break
                default:
                    guard let text = change.line else { continue }
                    if self.json {
                        Terminal.print(String(decoding: text, as: UTF8.self))
                    } else if let line = StreamLine(text) {
                        printer.lines(for: line).forEach(Terminal.print)
                    }
                }
            }
        } catch let error as FreshetClientError {
            let isUnknown = error.problem?["code"]?.string == "unknown_source"
            let known = isUnknown ? Self.sources(of: target) : nil
            Terminal.complain("\(target.address): \((error.reason + (known ?? "")).escapingControls())")
            throw ExitCode(1)
        }
    }

    /// The most names that a complaint lists.
    private static let maxNames = 20

    /// Which sources there are, for somebody who named another; `nil` where the gateway does not say.
    private static func sources(of target: GatewayOptions.Target) -> String? {
        let administration = Administration(target: target)
        guard let answer = try? administration.ask("GET", "/v1/sources?limit=\(self.maxNames + 1)") else { return nil }
        let names = answer.root["sources"]?.elements.compactMap { $0["name"]?.string } ?? []
        guard !names.isEmpty else { return " It has no sources that you may read." }
        let more = names.count > self.maxNames ? " and more" : ""
        return " It has \(names.prefix(self.maxNames).joined(separator: ", "))\(more)."
    }

    private var start: FreshetClient.Start {
        switch self.since {
        case nil: .snapshot
        case "latest": .latest
        case "earliest": .earliest
        case let text?: FreshetClient.Cursor(text).map { .after($0) } ?? .snapshot
        }
    }
}
