// Commands on their way to a thread that sleeps on descriptors.

import Synchronization

/// A list behind a lock, and the wake-up of the thread that empties it. Any thread may post, and no call waits.
package final class Inbox<Command: Sendable>: Sendable {
    private struct State: Sendable {
        var commands: [Command] = []
        var isClosed = false
    }

    /// Signalled by the first command after ``take()``, and not by those that find others before them.
    package let wakeUp: WakeUp
    private let state = Mutex(State())

    package init(wakeUp: WakeUp) {
        self.wakeUp = wakeUp
    }

    /// Adds a command and wakes the thread, which must call ``take()`` after each time that it drains ``wakeUp``.
    ///
    /// - Returns: `false` after ``close()``; the command is then the caller's to refuse.
    package func post(_ command: Command) -> Bool {
        let (isOpen, isFirst) = self.state.withLock { state in
            guard !state.isClosed else { return (false, false) }
            state.commands.append(command)
            return (true, state.commands.count == 1)
        }
        // Whoever found the list empty signals, and the thread takes the whole list after it is woken.
        if isFirst { self.wakeUp.signal() }
        return isOpen
    }

    /// The commands since the last call, oldest first.
    package func take() -> [Command] {
        self.state.withLock { state in
            guard !state.commands.isEmpty else { return [] }
            defer { state.commands = [] }
            return state.commands
        }
    }

    /// Takes no further command, and returns those that were not taken.
    package func close() -> [Command] {
        self.state.withLock { state in
            state.isClosed = true
            defer { state.commands = [] }
            return state.commands
        }
    }
}
