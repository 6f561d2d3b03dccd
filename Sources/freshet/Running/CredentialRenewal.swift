// Secrets that rotate in their files: an upstream that refuses the old one makes the gateway read the new one, and so does
// a file that has changed (FAULTS F30, F85). No restart and no reload.

import FreshetConfiguration
import FreshetCore
import FreshetPolling
import Logging
import ServiceLifecycle
import Synchronization
import System

/// Reads the credentials of refused sources again, on a thread of its own. Any thread may call.
final class CredentialRenewal: Sendable {
    private struct State: Sendable {
        var registry: SourceRegistry?
        /// Names of the sources whose polls were refused, or whose files changed, since the thread last looked.
        var refused: Set<String> = []
        var isRunning = false
    }

    private let logger: Logger
    private let state = Mutex(State())

    init(logger: Logger) {
        self.logger = logger
    }

    /// Gives it the sources, which come into being after the poller that it listens to.
    func attach(_ registry: SourceRegistry) {
        self.state.withLock { $0.registry = registry }
    }

    /// Called on the poll thread, which must not wait for a file.
    func notify(_ notice: PollerNotice) {
        guard case .failed(_, let name, let error) = notice, error.kind == .auth else { return }
        self.renew([name])
    }

    /// Has the credentials of these sources read again.
    func renew(_ names: [String]) {
        guard !names.isEmpty else { return }
        let starts = self.state.withLock { state -> Bool in
            state.refused.formUnion(names)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard starts else { return }
        do throws(SystemError) {
            try SystemThread.detach(name: "credentials") { [self] in
                while let (names, registry) = self.take() {
                    for name in names where registry.renewCredentials(of: name) {
                        self.logger.notice("credentials re-read", metadata: ["source": "\(name)"])
                    }
                }
            }
        } catch {
            // The next refused poll tries again.
            self.state.withLock { $0.isRunning = false }
            self.logger.error("credentials not re-read", metadata: ["reason": "\(error)"])
        }
    }

    private func take() -> (names: Set<String>, registry: SourceRegistry)? {
        self.state.withLock { state in
            guard let registry = state.registry, !state.refused.isEmpty else {
                state.isRunning = false
                return nil
            }
            defer { state.refused = [] }
            return (state.refused, registry)
        }
    }
}

/// Looks whether files of secrets have changed; changes of files are not reported.
struct SecretWatchService: Service {
    let registry: SourceRegistry
    let renewal: CredentialRenewal

    private static let interval = Duration.seconds(2)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var stamps: [String: FileStamps.Stamp?] = [:]
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.interval)
                let files = self.registry.secretFiles
                guard !Task.isCancelled, !files.isEmpty else { continue }
                let known = stamps
                guard let found = await Self.look(at: Array(files.keys)) else { continue }
                // A file is read again when it is seen first, too: it may have changed since it was read.
                let changed = found.filter { known[$0.key] != $0.value }.keys
                stamps = found
                self.renewal.renew(Array(Set(changed.flatMap { files[$0] ?? [] })))
            }
        }
    }

    /// Off the pool of the concurrency runtime: a file system may hang. `nil` where the system has no thread to give.
    private static func look(at paths: [String]) async -> [String: FileStamps.Stamp?]? {
        await withCheckedContinuation { continuation in
            do throws(SystemError) {
                try SystemThread.detach(name: "credentials") {
                    var stamps: [String: FileStamps.Stamp?] = [:]
                    for path in paths { stamps.updateValue(FileStamps.Stamp(path), forKey: path) }
                    continuation.resume(returning: stamps)
                }
            } catch {
                continuation.resume(returning: nil)
            }
        }
    }
}
