// `freshet replay FOLDER`: a recording as an upstream.

import ArgumentParser
import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import System

struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Serve a recording as an upstream, at any speed.",
        discussion: """
            Serves the versions of a folder that `record` made, byte for byte, each from its recorded time on, counted from \
            the first request; the last one stays. Answers have an ETag and Last-Modified, and 304 for who has the version. \
            The first line of its output is the URL.

            Examples:
              freshet replay rates
              freshet replay rates --speed 3600 --listen 127.0.0.1:9000
              freshet try http://127.0.0.1:9000/rates
            """
    )

    @Argument(help: "The folder of a recording.", completion: .directory)
    var folder: String

    @Option(
        help: "Where to listen: HOST:PORT or :PORT (default: 127.0.0.1:8081, or the next free port).",
        transform: SourceArguments.listen
    )
    var listen: ListenAddress?

    @Option(help: "How many times faster than it was recorded.")
    var speed = 1.0

    @Flag(help: "Go on to the next version after each whole answer, and not by time.")
    var byRequest = false

    func validate() throws {
        guard ReplaySchedule.speeds.contains(self.speed) else {
            throw ValidationError("--speed takes a number from 0.001 to 1000000000.")
        }
    }

    func run() async throws {
        let signals = try SignalWatcher.start()
        do throws(StartFailure) {
            let folder = try RecordingFolder(opening: self.folder)
            let replay = try ReplayUpstream(folder, pace: self.byRequest ? .byRequest : .speed(self.speed))
            let address = self.listen ?? FreePort.address(from: 8081)
            let server = try replay.serve(at: address)
            var host = "127.0.0.1"
            if case .tcp(let named, _) = address { host = named }
            let url = GatewayRunner.url(of: .tcp(host: host, port: server.port))
            Terminal.print("\(url)\(replay.path)")
            let count = folder.index.versions.count
            let versions = "\(count) version\(count == 1 ? "" : "s")"
            let pace = replay.length.map { "the last one \(DurationText.describe($0)) after the first request" }
            Terminal.print(Colour.faint("\(versions), \(pace ?? "one for each request"). Ctrl-C ends."))
            await signals.waitForEnd()
            server.stop()
        } catch {
            try error.exit()
        }
    }
}
