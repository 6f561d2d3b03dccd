// `freshet record URL -o FOLDER`: keeps what an upstream answers.

import ArgumentParser
import FreshetConfiguration
import FreshetCore
import FreshetUpstream

struct RecordCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "record",
        abstract: "Record what an upstream answers, for `replay`.",
        discussion: """
            Asks as the gateway would, with validators, and keeps each answer that differs from the one before: its bytes \
            in a file, its time, ETag, Last-Modified and Content-Type in FOLDER/index.json. Ctrl-C ends it with 0. Secrets \
            in the URL and in fields are not recorded.

            Examples:
              freshet record https://api.example.com/rates -o rates
              freshet record --interval 1m -H "Authorization: Bearer $TOKEN" https://api.example.com/orders -o orders
              freshet replay rates --speed 60
            """
    )

    @Argument(help: "The URL of a REST resource, http:// or https://.")
    var url: String

    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp("The folder of the recording, which is made.", valueName: "folder"),
        completion: .directory
    )
    var output: String

    @Option(help: "The time between requests (default: 10s).", transform: SourceArguments.interval)
    var interval: Duration?

    @OptionGroup var request: RequestOptions

    @Option(help: "The most bytes of all versions together (default: 1GiB).", transform: SourceArguments.size)
    var maxBytes: Int?

    func validate() throws {
        _ = try SourceArguments.url(self.url)
        try self.request.check()
    }

    func run() async throws {
        let signals = try SignalWatcher.start()
        let url = try SourceArguments.url(self.url)
        do {
            let client = try UpstreamProbe.makeClient()
            let target = try Self.target(url)
            let folder = try RecordingFolder(
                creating: self.output,
                name: SourceNaming.name(for: url, taken: []),
                url: url.text
            )
            // Tags belong to one coding of the bytes, and the bytes are kept without any.
            var configuration = self.request.configuration
            configuration.acceptEncoding = .identity
            configuration.redirects = .sameOrigin
            let recorder = Recorder(
                url: target,
                configuration: configuration,
                interval: self.interval ?? .seconds(10),
                maxBytes: self.maxBytes ?? 1 << 30,
                client: client,
                folder: folder
            )
            let recording = Task { () throws -> Void in
                var recorder = recorder
                try await recorder.run { line, isFailure in
                    let line = line.escapingControls()
                    if isFailure { Terminal.complain(line) } else { Terminal.print(line) }
                }
            }
            let ending = Task {
                await signals.waitForEnd()
                recording.cancel()
            }
            defer { ending.cancel() }
            try await recording.value
        } catch let failure as StartFailure {
            try failure.exit()
        }
    }

    private static func target(_ url: URLText) throws(StartFailure) -> UpstreamURL {
        do throws(UpstreamError) {
            return try UpstreamURL(url.text)
        } catch {
            throw StartFailure(error.message)
        }
    }
}
