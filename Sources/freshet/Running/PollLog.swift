// What is logged about polls: changes of state, and not each failure of a source that is failing (FAULTS F86).

import FreshetCore
import FreshetPolling
import Logging
import Synchronization

/// Turns the poller's notices into log lines.
final class PollLog: Sendable {
    private let hub: Hub
    private let logger: Logger
    /// By source; those about all instances of a template are counted together.
    private let pace = Mutex(LinePace())
    private let now: @Sendable () -> MonotonicTime

    init(hub: Hub, logger: Logger, now: @escaping @Sendable () -> MonotonicTime = { .now }) {
        self.now = now
        self.hub = hub
        self.logger = logger
    }

    /// Called on the poll thread.
    func notify(_ notice: PollerNotice) {
        switch notice {
        case .started(let libcurl):
            self.logger.debug("polling started", metadata: ["libcurl": "\(libcurl)"])
        case .warning(let text):
            self.logger.warning("polling", metadata: ["warning": "\(text)"])
        case .failed(_, let name, let error):
            self.logger.debug(
                "poll failed",
                metadata: ["source": "\(name)", "kind": "\(error.kind.rawValue)", "message": "\(error.message)"]
            )
        case .entered(let id, let name, let state):
            self.entered(id, name, state)
        case .stopped:
            self.logger.debug("polling stopped")
        }
    }

    private func entered(_ id: SourceID, _ name: String, _ state: SourceState) {
        guard self.mayLog(name) else { return }
        var metadata: Logger.Metadata = ["source": "\(name)", "state": "\(state.rawValue)"]
        switch state {
        case .failing, .backoff:
            if let error = self.hub.report(of: id)?.status.lastError?.error {
                metadata["kind"] = "\(error.kind.rawValue)"
                metadata["message"] = "\(error.message)"
            }
            let hasValue = self.hub.version(of: id) != nil
            let served = hasValue ? "its last good value is served" : "it has no value yet"
            self.logger.warning("source failing, \(served)", metadata: metadata)
        case .stale:
            self.logger.warning("source is stale", metadata: metadata)
        case .starting, .ok, .paused:
            self.logger.info("source changed state", metadata: metadata)
        }
    }

    /// Counts a line of this source; past the bound of a minute, one line says so and the rest is silent.
    private func mayLog(_ source: String) -> Bool {
        let name = String(InstanceName.template(of: source))
        let verdict = self.pace.withLock { $0.count(name, now: self.now()) }
        if verdict == .last {
            self.logger.warning(
                "source changes state often; not logged again this minute",
                metadata: ["source": "\(name)"]
            )
        }
        return verdict == .log
    }
}
