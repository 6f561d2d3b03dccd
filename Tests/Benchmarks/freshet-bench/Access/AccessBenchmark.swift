// What a credential costs: tokens verified a second beside `openssl speed`, and streams opened with a token that is known beside
// open ones.

import Foundation
import FreshetAccess
import FreshetCore

/// Measures, in turn: ES256 verifications a second of the authenticator (each token new to it) and of `openssl speed
/// ecdsap256`, one core each; then server CPU per stream that is opened without a credential, and with a token that was verified
/// before. Prints two tables with medians and quartiles of the ratios.
///
/// `--runs N` (9), `--tokens N` a run (10000), `--streams N` a run (3000).
/// The second table needs `tlsload` of the C tools, built beforehand.
///
/// - Throws: where a process cannot be run or says something unexpected.
func runAccessBenchmark(arguments: [String]) async throws {
    let options = AccessOptions(arguments)
    let signer = try TokenSigner()
    let scratch = NSTemporaryDirectory() + "freshet-bench-access-\(getpid())"
    try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: scratch) }
    let keys = "\(scratch)/keys.json"
    try signer.keySet.write(toFile: keys, atomically: true, encoding: .utf8)

    var ratios: [Double] = []
    var own: [Double] = []
    var floor: [Double] = []
    for run in 0..<options.runs {
        var tokens: [String] = []
        for number in 0..<options.tokens { tokens.append(try await signer.token("user-\(run)-\(number)")) }
        if run.isMultiple(of: 2) { floor.append(try opensslVerifications()) }
        own.append(try await verifications(of: tokens, keys: keys))
        if !run.isMultiple(of: 2) { floor.append(try opensslVerifications()) }
        ratios.append(own[run] / floor[run])
    }
    print("access: ES256 verifications a second, \(options.tokens) tokens, medians of \(options.runs) pairs of runs")
    Table.row("", "a second", "to openssl", "lower", "upper")
    Table.row("openssl speed ecdsap256", "\(Int(floor.sorted().quantile(0.5)))", "1.00", "", "")
    let sorted = ratios.sorted()
    Table.row(
        "authenticator, JWT whole",
        "\(Int(own.sorted().quantile(0.5)))",
        Table.ratio(sorted.quantile(0.5)),
        Table.ratio(sorted.quantile(0.25)),
        Table.ratio(sorted.quantile(0.75))
    )

    guard let load = BenchTools.prepared("tlsload") else {
        return print("access: streams skipped: no tlsload, built, in \(BenchTools.directory)")
    }
    let opening = StreamOpening(scratch: scratch, keys: keys, load: load, options: options)
    let token = try await signer.token("user")
    var open: [Double] = []
    var known: [Double] = []
    for run in 0..<options.runs {
        if run.isMultiple(of: 2) { open.append(try opening.measure(token: nil)) }
        known.append(try opening.measure(token: token))
        if !run.isMultiple(of: 2) { open.append(try opening.measure(token: nil)) }
    }
    let pairs = zip(known, open).map { $0 / $1 }.sorted()
    print(
        "access: server CPU µs per stream opened, \(options.streams) streams, medians of \(options.runs) pairs of runs"
    )
    Table.row("", "CPU µs", "to open", "lower", "upper")
    Table.row("without a credential", Table.ratio(open.sorted().quantile(0.5)), "1.00", "", "")
    Table.row(
        "with a token that is known",
        Table.ratio(known.sorted().quantile(0.5)),
        Table.ratio(pairs.quantile(0.5)),
        Table.ratio(pairs.quantile(0.25)),
        Table.ratio(pairs.quantile(0.75))
    )
}

/// What the benchmark was asked to do.
private struct AccessOptions {
    var runs = 9
    var tokens = 10_000
    var streams = 3000
    var gateway = Bundle.main.bundlePath + "/freshet"

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--runs": self.runs = max(1, Int(value) ?? self.runs)
            case "--tokens": self.tokens = max(1, Int(value) ?? self.tokens)
            case "--streams": self.streams = max(1, Int(value) ?? self.streams)
            case "--gateway": self.gateway = value
            case _: break
            }
        }
    }
}

/// Signs tokens with a key of its own.
private struct TokenSigner {
    static let issuer = "https://id.example.com"
    static let audience = "freshet"
    private let key: SigningKey
    let keySet: String

    /// - Throws: `BenchmarkFailure` where openssl makes no key.
    init() throws {
        let openssl = try ChildProcess(
            "/usr/bin/env",
            ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        )
        let text = openssl.text()
        guard openssl.wait() == 0, case .signing(let key) = try KeyFile(Array(text)), let publicKey = key.publicKey
        else {
            throw BenchmarkFailure("openssl made no key")
        }
        self.key = key
        self.keySet = #"{"keys":[\#(String(decoding: publicKey.webKey(keyID: "a"), as: UTF8.self))]}"#
    }

    func token(_ subject: String) async throws -> String {
        let token = NewToken(
            issuer: Self.issuer,
            audience: Self.audience,
            subject: subject,
            issuedAt: WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)),
            expiresAt: WallTime(milliseconds: 4_102_444_800_000),
            grants: .open
        )
        return try await token.signed(by: self.key, with: .es256, keyID: "a")
    }
}

/// Verifications a second of CPU of this process.
private func verifications(of tokens: [String], keys: String) async throws -> Double {
    let issuer = TokenIssuer(
        issuer: TokenSigner.issuer,
        audience: TokenSigner.audience,
        algorithms: [.es256],
        keys: .file(keys)
    )
    let authenticator = try Authenticator(
        AccessConfiguration(issuers: [issuer]),
        ticketKey: .random(),
        fetch: { _ in KeyResponse(status: 404, body: []) },
        clock: { WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }
    )
    await authenticator.maintain()
    let start = ProcessorTime.seconds
    for token in tokens {
        guard case .success = await authenticator.authenticate(Credentials(.bearer(Secret(token)))) else {
            throw BenchmarkFailure("a good token was refused")
        }
    }
    return Double(tokens.count) / (ProcessorTime.seconds - start)
}

private func opensslVerifications() throws -> Double {
    // It measures by SIGALRM, which children of this process inherit blocked.
    let openssl = try ChildProcess(
        "/usr/bin/env",
        ["--default-signal=ALRM", "openssl", "speed", "-seconds", "1", "ecdsap256"]
    )
    let lines = String(decoding: openssl.text(), as: UTF8.self).split(separator: "\n")
    guard openssl.wait() == 0, let figure = lines.last?.split(separator: " ").last.flatMap({ Double($0) }), figure > 0
    else { throw BenchmarkFailure("openssl speed said nothing") }
    return figure
}

/// Many streams of a gateway with `auth`, opened one after the other.
private struct StreamOpening {
    var scratch: String
    var keys: String
    var load: String
    var options: AccessOptions

    /// Server CPU per stream in microseconds.
    func measure(token: String?) throws -> Double {
        let port = try FanOutRun.freePort()
        let text = """
            listen: 127.0.0.1:\(port)
            auth:
              anonymous: { read: ["open"] }
              query_token: true
              jwt:
                - { issuer: '\(TokenSigner.issuer)', audience: \(TokenSigner.audience), jwks_file: \(self.keys), algorithms: [ES256] }
            sources:
              open: { url: 'http://127.0.0.1:\(try QuietUpstream.port.get())/', interval: 24h }

            """
        let file = "\(self.scratch)/freshet.yaml"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let gateway = try ChildProcess(self.options.gateway, ["serve", "--config", file])
        defer { gateway.end() }
        try QuietUpstream.awaitPoll()
        // The gateway settles, as a server of `peers` does.
        usleep(500_000)
        let path = "/v1/streams/open?mode=snapshot" + (token.map { "&access_token=\($0)" } ?? "")
        let client = try ChildProcess(
            self.load,
            ["--mode", "plain", "--port", "\(port)", "--path", path, "-n", "\(self.options.streams)", "--warmup", "0"]
                + ["--duration", "0.1", "--pids", "\(gateway.identifier)"]
        )
        let result = try JSONDecoder().decode(TLSResult.self, from: client.text())
        _ = client.wait()
        guard result.up == self.options.streams else { throw BenchmarkFailure("\(result.up) streams were opened") }
        return result.microsecondsPerConnection
    }
}
