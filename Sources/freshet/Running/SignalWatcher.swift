// Signals as events on a thread, from the first instruction of the program.

import CSignals
import Glibc
import Synchronization
import System

/// Takes SIGTERM, SIGINT and SIGHUP of a process that runs a gateway, one after another, on a thread of its own.
///
/// None of them ends the process by default. While the configuration is read there is nothing to end in order: SIGTERM
/// and SIGINT exit with 0 at once, and SIGHUP waits for ``handle(_:)``.
final class SignalWatcher: Sendable {
    private struct State: Sendable {
        var action: (@Sendable (Int32) -> Void)?
        /// A SIGHUP came before there was an action for it.
        var isReloadWanted = false
    }

    private let state = Mutex(State())

    /// Watches from now on, and takes what came before. Once in a process.
    ///
    /// - Throws: ``StartFailure`` where there is no pipe.
    init() throws(StartFailure) {
        let result = csignals_catch()
        guard result == 0 else {
            throw StartFailure("No descriptor for signals: \(SystemError.text(of: result))")
        }
        do throws(SystemError) {
            try SystemThread.detach(name: "signals") { [self] in
                while case let signal = csignals_next(), signal > 0 {
                    self.received(signal)
                }
            }
        } catch {
            throw StartFailure("No thread for signals: \(error)")
        }
    }

    /// As ``init()``; ends the program with the reason where that fails.
    static func start() throws -> SignalWatcher {
        do throws(StartFailure) {
            return try SignalWatcher()
        } catch {
            try error.exit()
        }
    }

    /// Hands every signal to `action` from now on, and at once a SIGHUP that came earlier.
    func handle(_ action: @escaping @Sendable (Int32) -> Void) {
        let isReloadWanted = self.state.withLock { state in
            state.action = action
            return state.isReloadWanted
        }
        if isReloadWanted { action(SIGHUP) }
    }

    /// Waits for SIGTERM or SIGINT. A second one ends the process at once, with code 2; SIGHUP is ignored. For programs that
    /// have nothing to end in order.
    func waitForEnd() async {
        let isEnding = Atomic<Bool>(false)
        await withCheckedContinuation { continuation in
            self.handle { signal in
                guard signal != SIGHUP else { return }
                if isEnding.exchange(true, ordering: .relaxed) { _exit(2) }
                continuation.resume()
            }
        }
    }

    private func received(_ signal: Int32) {
        let action = self.state.withLock { state in
            if state.action == nil, signal == SIGHUP { state.isReloadWanted = true }
            return state.action
        }
        if let action {
            action(signal)
        } else if signal != SIGHUP {
            _exit(0)
        }
    }
}

/// A reload that may be asked for before there is anything that can reload.
final class ReloadRequest: Sendable {
    private struct State: Sendable {
        var isRequested = false
        var action: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// Asks for a reload.
    func request() {
        let action = self.state.withLock { state in
            state.isRequested = true
            return state.action
        }
        action?()
    }

    /// Says how it is done; done at once where it was asked for already.
    func arm(_ action: @escaping @Sendable () -> Void) {
        let isRequested = self.state.withLock { state in
            state.action = action
            return state.isRequested
        }
        if isRequested { action() }
    }
}
