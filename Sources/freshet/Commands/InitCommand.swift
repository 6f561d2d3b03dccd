// `freshet init URL…`: a configuration for APIs that are only known by their URLs.

import ArgumentParser
import Foundation
import FreshetConfiguration
import FreshetCore
import FreshetUpstream

struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Look at URLs for a few seconds, and write a configuration for them.",
        discussion: """
            Asks for each URL a few times and writes what a gateway should know, with the reason for each line: the \
            interval, the collection and what tells its items apart, members that change with every poll and say nothing, \
            whether conditional requests work, how pages hang together, and the credential that a 401 asks for.

            Examples:
              freshet init https://api.example.com/rates -o freshet.yaml
              freshet init https://api.example.com/orders https://api.example.com/customers > freshet.yaml
              freshet init -H "Authorization: Bearer $TOKEN" https://api.example.com/orders
            """
    )

    @Argument(help: "URLs of REST resources, http:// or https://.")
    var urls: [String]

    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp("The file to write; it must not be there (default: standard output).", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"])
    )
    var output: String?

    @OptionGroup var request: RequestOptions
    @OptionGroup var probing: ProbeOptions

    func validate() throws {
        _ = try self.urls.map(SourceArguments.url)
        try self.request.check()
    }

    func run() async throws {
        do {
            let urls = try self.urls.map(SourceArguments.url)
            if let output = self.output, FileManager.default.fileExists(atPath: output) {
                throw StartFailure("\(output) is there already; name another file with -o")
            }
            var probe = try UpstreamProbe()
            self.probing.apply(to: &probe)
            probe.maxBodyBytes = RequestOptions.maxBodyBytes
            let headers = self.request.configuration.headers
            let sources = SourceArguments.sources(for: urls, interval: .seconds(10)).map { source in
                var source = source
                source.headers = headers
                source.timeout = self.request.configuration.timeout
                return source
            }
            let proposals = await probe.run(sources).map { SourceProposal($0) }
            let text = ProposalText.yaml(proposals)
            try self.write(text)
            for proposal in proposals where proposal.needsCredential {
                Terminal.complain(
                    "\(proposal.name): the upstream asks for a credential; see `auth` in the configuration"
                )
            }
            let failed = proposals.filter { $0.failure != nil }
            for proposal in failed {
                Terminal.complain("\(proposal.name): \(proposal.failure?.message ?? "")".escapingControls())
            }
            if !headers.isEmpty {
                Terminal.complain("The fields of --header are not written down: put secrets into files, see `auth`.")
            }
            if !failed.isEmpty { throw ExitCode(1) }
        } catch let failure as StartFailure {
            try failure.exit()
        }
    }

    private func write(_ text: String) throws(StartFailure) {
        guard let output = self.output else { return Terminal.print(String(text.dropLast())) }
        do {
            try Data(text.utf8).write(to: URL(filePath: output), options: [.withoutOverwriting])
        } catch {
            throw StartFailure("\(output) cannot be written: \(error.localizedDescription)")
        }
        Terminal.complain("Wrote \(output); `freshet serve --config \(output)` runs it.")
    }
}

/// How often a probe asks. Shared by `init` and `doctor`.
struct ProbeOptions: ParsableArguments {
    @Option(help: "How often each value is asked for, 1 to 10.")
    var polls = 4

    @Option(help: "The time between two of them (default: 2s).", transform: SourceArguments.interval)
    var pause: Duration?

    func validate() throws {
        guard (1...10).contains(self.polls) else { throw ValidationError("--polls takes a number from 1 to 10.") }
    }

    func apply(to probe: inout UpstreamProbe) {
        probe.rounds = self.polls
        probe.pause = self.pause ?? .seconds(2)
    }
}
