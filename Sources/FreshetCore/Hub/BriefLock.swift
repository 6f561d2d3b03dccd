// A lock that is held for a moment and no longer.

import Synchronization

/// Guards a value over work that is short: nothing is encoded, no callback is called and no thread is woken under it. Debug
/// builds see to the first, wherever a frame is made; the others would end in a deadlock as soon as one calls back.
struct BriefLock<Value: Sendable>: ~Copyable, Sendable {
    private let mutex: Mutex<Value>

    init(_ value: Value) {
        self.mutex = Mutex(value)
    }

    @inline(__always)
    borrowing func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        #if DEBUG
            BriefLocks.$areHeld.withValue(true) { self.mutex.withLock { body(&$0) } }
        #else
            self.mutex.withLock { body(&$0) }
        #endif
    }
}

enum BriefLocks {
    #if DEBUG
        /// Whether this thread holds one.
        @TaskLocal static var areHeld = false
    #endif

    /// To be called where something begins that may take long. Costs nothing in release builds.
    @inline(__always)
    static func expectNoneHeld() {
        #if DEBUG
            precondition(!Self.areHeld, "a frame is encoded while the hub's lock is held")
        #endif
    }
}
