// How a change reaches the thread of webhooks.

import Dispatch
import FreshetCore
import Synchronization
import System

/// Notes which sources have changed, and wakes the thread once for however many.
final class WebhookBell: HubListener {
    private let inbox: Inbox<WebhookCommand>
    /// Sources that have changed, each once: there are never more than there are sources.
    private let changed = Mutex<Set<SourceID>>([])
    /// Whether the thread was woken for what is in ``changed``.
    private let isSignalled = Atomic<Bool>(false)

    init(_ inbox: Inbox<WebhookCommand>) {
        self.inbox = inbox
    }

    func enqueue(_ notice: HubNotice) {
        switch notice {
        case .published(let event): self.changed.withLock { _ = $0.insert(event.source) }
        case .removed(let source): self.changed.withLock { _ = $0.insert(source) }
        case .status, .added, .interrupted: break
        }
    }

    func wake() {
        guard !self.isSignalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
        _ = self.inbox.post(.changed)
    }

    /// The sources since the last call.
    func take() -> Set<SourceID> {
        // Before the sources are taken: one that comes after signals again.
        self.isSignalled.store(false, ordering: .sequentiallyConsistent)
        return self.changed.withLock { changed in
            defer { changed = [] }
            return changed
        }
    }
}

/// Something that happens once, and that a thread waits for.
final class Watch: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func signal() { self.semaphore.signal() }
    func wait() { self.semaphore.wait() }
}

/// A value that another thread puts in.
final class Box<Value: Sendable>: Sendable {
    let value: Mutex<Value>

    init(_ value: Value) {
        self.value = Mutex(value)
    }
}
