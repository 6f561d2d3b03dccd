// The certificates that new connections are shown, and their renewal.

import FreshetAccess
import FreshetCore
package import Logging
import Synchronization
package import TLS

/// What a TLS listener shows to new connections; those that are open keep what they began with. Any thread.
package final class TLSCertificates: Sendable {
    private struct State: Sendable {
        var files: TLSFiles
        var context: TLSContext
        /// Of the files in force, or of those that were refused.
        var stamps: [SmallFile.Stamp?]
        /// At the last look.
        var seen: [SmallFile.Stamp?]
        var isLastSuccessful = true
        var renewals: UInt64 = 0
        var refusals: UInt64 = 0
    }

    private let logger: Logger
    private let state: Mutex<State>

    /// How often the files are looked at. A pair is read when two looks find it the same, so that it is not half a new one.
    static let interval = Duration.milliseconds(250)

    /// - Throws: What cannot be used, and why.
    package init(_ files: TLSFiles, logger: Logger) throws(TLSFilesError) {
        self.logger = logger
        let stamps = files.paths.map(SmallFile.stamp)
        let context = try files.load(Self.read)
        self.state = Mutex(State(files: files, context: context, stamps: stamps, seen: stamps))
        self.warnOfExpiry(context, files)
    }

    /// What sessions are made of now.
    var context: TLSContext { self.state.withLock { $0.context } }

    /// Takes other files, after a reload of the configuration.
    ///
    /// - Throws: What cannot be used, and why; what is in force stays.
    package func replace(by files: TLSFiles) throws(TLSFilesError) {
        guard self.state.withLock({ $0.files }) != files else { return }
        let stamps = files.paths.map(SmallFile.stamp)
        let context = try files.load(Self.read)
        self.state.withLock { state in
            state.files = files
            state.context = context
            state.stamps = stamps
            state.seen = stamps
            state.isLastSuccessful = true
            state.renewals += 1
        }
        self.warnOfExpiry(context, files)
    }

    /// Looks whether the files have changed. Blocks for as long as the disk takes.
    func look() {
        let files = self.state.withLock { $0.files }
        let stamps = files.paths.map(SmallFile.stamp)
        let isToRead = self.state.withLock { state -> Bool in
            guard state.files == files else { return false }
            defer { state.seen = stamps }
            return stamps != state.stamps && stamps == state.seen
        }
        guard isToRead else { return }
        let result: Result<TLSContext, TLSFilesError>
        do throws(TLSFilesError) {
            result = .success(try files.load(Self.read))
        } catch {
            result = .failure(error)
        }
        let isTaken = self.state.withLock { state -> Bool in
            guard state.files == files else { return false }
            state.stamps = stamps
            switch result {
            case .success(let context):
                state.context = context
                state.isLastSuccessful = true
                state.renewals += 1
            case .failure:
                state.isLastSuccessful = false
                state.refusals += 1
            }
            return true
        }
        guard isTaken else { return }
        switch result {
        case .success(let context):
            self.logger.info("certificates renewed", metadata: ["files": "\(files.paths.joined(separator: ","))"])
            self.warnOfExpiry(context, files)
        case .failure(let error):
            self.logger.error("certificates refused, the old ones go on", metadata: ["reason": "\(error)"])
        }
    }

    private func warnOfExpiry(_ context: TLSContext, _ files: TLSFiles) {
        let now = WallClock.now.milliseconds / 1000
        for (pair, expiry) in zip(files.pairs, context.expiries) where expiry <= now {
            self.logger.warning("certificate has expired", metadata: ["file": "\(pair.certificate)"])
        }
    }

    private static func read(_ path: String) throws(TLSFilesError) -> [UInt8] {
        switch SmallFile.read(path, maxBytes: TLSFiles.maxBytes) {
        case .success(let bytes): return bytes
        case .failure(let problem):
            throw TLSFilesError(path: path, what: "cannot be read: \(problem.text)", fix: "check the path")
        }
    }

    /// Appends what is known of the certificates as Prometheus text.
    func write(to text: inout [UInt8]) {
        let state = self.state.withLock { $0 }
        text.appendMetric(
            "freshet_tls_certificate_expiry_timestamp_seconds",
            "gauge",
            "When each certificate in force ends, by its place in the configuration.",
            state.context.expiries.enumerated().map { (#"{certificate="\#($0)"}"#, "\($1)") }
        )
        text.appendMetric(
            "freshet_tls_certificates_last_reload_successful",
            "gauge",
            "Whether the certificate files could be used when they last changed.",
            [("", state.isLastSuccessful ? "1" : "0")]
        )
        text.appendMetric(
            "freshet_tls_certificate_reloads_total",
            "counter",
            "Changes of the certificate files, by what came of them.",
            [(#"{outcome="used"}"#, "\(state.renewals)"), (#"{outcome="refused"}"#, "\(state.refusals)")]
        )
    }
}
