// `freshet doctor`: what is wrong or wasteful, each with the line to write.

import ArgumentParser
import Foundation
import FreshetConfiguration
import FreshetCore
import FreshetStreaming
import FreshetUpstream
import JSON

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look for what is wrong or wasteful, and say which line to write.",
        discussion: """
            Asks each source's upstream a few times, and looks at this machine: certificates, validators that never yield a \
            304 or lie, intervals against max-age and rate limits, members that change with every poll, bounds that are \
            close; open files, the queue of new connections, memory. With --through it looks at a running gateway as its \
            clients reach it: proxies that hold events back, and pages that may not read.

            The exit code is 0 where nothing was found, and 1 otherwise. Each finding is one line, PLACE: KIND: what, \
            followed by what to write.

            Examples:
              freshet doctor
              freshet doctor rates --config freshet.yaml
              freshet doctor https://api.example.com/rates
              freshet doctor --through https://live.example.com --origin https://app.example.com
            """
    )

    @Argument(help: "Names of sources, or URLs (default: all sources of the configuration).")
    var sources: [String] = []

    @OptionGroup var configuration: ConfigurationOptions

    @Option(help: "The URL at which clients reach a running gateway.")
    var through: String?

    @Option(help: "The origin of a page that reads through that URL (default: those of cors.origins).")
    var origin: [String] = []

    @Flag(help: "Print each finding as one line of JSON, and nothing else.")
    var json = false

    @OptionGroup var request: RequestOptions
    @OptionGroup var probing: ProbeOptions

    func validate() throws {
        _ = try self.sources.filter { $0.contains("://") }.map(SourceArguments.url)
        if let through = self.through { _ = try SourceArguments.url(through) }
        try self.request.check()
    }

    func run() async throws {
        do {
            let (configuration, isLoaded) = try self.loaded()
            var findings = try await self.checkSources(of: configuration)
            if isLoaded { findings += self.checkHost(configuration) }
            if let through = self.through { findings += try await self.check(through, configuration) }
            guard findings.isEmpty else {
                throw ExitCode(1)
            }
            self.say("Nothing found.")
        } catch let failure as StartFailure {
            try failure.exit()
        }
    }

    /// The configuration, which is not needed where only URLs are named.
    private func loaded() throws(StartFailure) -> (GatewayConfiguration, isLoaded: Bool) {
        let isNamed = self.sources.contains { !$0.contains("://") }
        let isNeeded = self.configuration.path != nil || isNamed || (self.sources.isEmpty && self.through == nil)
        guard isNeeded || (self.through != nil && self.configuration.exists) else {
            return (GatewayConfiguration(), false)
        }
        return (try self.configuration.load().configuration, true)
    }

    // MARK: Sources

    private func chosen(of configuration: GatewayConfiguration) throws(StartFailure) -> [SourceConfiguration] {
        guard !self.sources.isEmpty else {
            // Who asks about a proxy alone does not want every upstream to be asked.
            return self.through != nil && self.configuration.path == nil ? [] : configuration.sources
        }
        var chosen: [SourceConfiguration] = []
        for name in self.sources {
            if name.contains("://") {
                let taken = Set(chosen.map(\.name))
                let urls = [try? URLText(name)].compactMap { $0 }
                chosen += SourceArguments.sources(for: urls, interval: .seconds(10), taken: taken).map { source in
                    var source = source
                    source.headers = self.request.configuration.headers
                    return source
                }
                continue
            }
            guard let source = configuration.sources.first(where: { $0.name == name }) else {
                let names = configuration.sources.map(\.name).joined(separator: ", ")
                throw StartFailure("There is no source \(name); there are: \(names)".escapingControls())
            }
            chosen.append(source)
        }
        return chosen
    }

    private func checkSources(of configuration: GatewayConfiguration) async throws -> [Finding] {
        let chosen = try self.chosen(of: configuration)
        for source in chosen where !source.isPolled || source.template != nil {
            let why =
                source.isPolled ? "it has parameters, and each instance is polled while it is read" : "it is not polled"
            self.say("\(Colour.bold("sources.\(source.name)")): not looked at: \(why)")
        }
        let polled = chosen.filter { $0.isPolled && $0.template == nil }
        var findings = try await self.checkTokens(polled.filter { $0.oauth2 != nil }, configuration)
        var probe = try UpstreamProbe()
        self.probing.apply(to: &probe)
        for result in await probe.run(polled.filter { $0.oauth2 == nil }) {
            let found = SourceFindings.all(result, now: WallTime.now)
            let facts = SourceFacts.text(result) ?? "no value"
            self.say("\(Colour.bold("sources.\(result.source.name)")): \(facts)")
            self.say(found)
            findings += found
        }
        return findings
    }

    /// Sources that ask with a token: that is got as the gateway gets it, and the source is polled once.
    private func checkTokens(
        _ sources: [SourceConfiguration],
        _ configuration: GatewayConfiguration
    ) async throws -> [Finding] {
        guard !sources.isEmpty else { return [] }
        var configuration = configuration
        configuration.sources = sources
        var findings: [Finding] = []
        for result in try await OnlineCheck.run(configuration) {
            let place = "sources.\(result.source)"
            guard result.isFine else {
                let finding = Finding(.failing, place, result.text, advice: "Check `auth.oauth2` and the upstream.")
                self.say([finding])
                findings.append(finding)
                continue
            }
            self.say("\(Colour.bold(place)): polled once, since it asks with a token: \(result.text)")
        }
        return findings
    }

    // MARK: The host and the way to clients

    private func checkHost(_ configuration: GatewayConfiguration) -> [Finding] {
        SystemLimits.raiseOpenFiles()
        var unlimited = configuration
        unlimited.limits.maxSubscribers = nil
        let host = HostReading(
            openFiles: SystemLimits.openFiles,
            possibleSubscribers: unlimited.effectiveMaxSubscribers,
            wantedSubscribers: configuration.limits.maxSubscribers,
            backlog: HostFile.number("/proc/sys/net/core/somaxconn"),
            memory: MemoryWatch(configured: configuration.limits.maxMemory).reading.limit,
            cacheBytes: configuration.cache.maxBytes
        )
        let backlog = host.backlog.map { ", a queue of \($0) new connections" } ?? ""
        let memory = SizeText.approximate(host.memory)
        self.say(
            "\(Colour.bold("host")): \(host.openFiles) open files for \(host.possibleSubscribers) streams\(backlog), "
                + "\(memory) of memory"
        )
        let findings = HostFindings.all(host)
        self.say(findings)
        return findings
    }

    private func check(_ through: String, _ configuration: GatewayConfiguration) async throws -> [Finding] {
        let configured = configuration.cors.origins
        let named = self.origin.isEmpty ? configured.filter { $0 != "*" } : self.origin
        let probe = ThroughProbe(
            client: try UpstreamProbe().client,
            url: try SourceArguments.url(through),
            configuration: self.request.configuration,
            origins: named.map { ($0, configured.contains($0) || configured.contains("*")) },
            source: self.sources.first { !$0.contains("://") } ?? "*"
        )
        let reading = await probe.run()
        let findings = ThroughFindings.all(reading)
        if findings.isEmpty {
            let origins = named.isEmpty ? "" : ", and pages of \(named.joined(separator: ", ")) may read"
            self.say("\(Colour.bold(through)): events arrive at once\(origins)")
        }
        self.say(findings)
        return findings
    }

    // MARK: Output

    private func say(_ line: String) {
        if !self.json { Terminal.print(line) }
    }

    private func say(_ findings: [Finding]) {
        for finding in findings {
            guard !self.json else {
                Terminal.print(String(decoding: Self.json(finding), as: UTF8.self))
                continue
            }
            let what = "\(finding.kind.rawValue): \(finding.what)".escapingControls()
            Terminal.print("\(finding.place.escapingControls()): \(Colour.red(what))")
            if let line = finding.line { Terminal.print("    write: \(line.escapingControls())") }
            if let advice = finding.advice { Terminal.print("    \(advice.escapingControls())") }
        }
    }

    private static func json(_ finding: Finding) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("place", finding.place)
            json.member("kind", finding.kind.rawValue)
            json.member("what", finding.what)
            if let line = finding.line { json.member("write", line) }
            if let advice = finding.advice { json.member("advice", advice) }
        }
        return json.text
    }
}

/// Small files of the kernel.
enum HostFile {
    /// The whole number that a file holds.
    static func number(_ path: String) -> Int? {
        let text = try? String(contentsOfFile: path, encoding: .utf8)
        return text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }
}
