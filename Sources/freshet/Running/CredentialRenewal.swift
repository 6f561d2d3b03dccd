// Secrets that rotate in their files: an upstream that refuses the old one is what makes the gateway read the new one
// (FAULTS F30, F85). No restart, no reload, and no watching of files.

import FreshetCore
import FreshetPolling
import Logging
import Synchronization
import System

/// Reads the credentials of refused sources again, on a thread of its own. Any thread may call.
final class CredentialRenewal: Sendable {
    private struct State: Sendable {
        var registry: SourceRegistry?
        /// Names of the sources whose polls were refused since the thread last looked.
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
        let starts = self.state.withLock { state -> Bool in
            state.refused.insert(name)
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
