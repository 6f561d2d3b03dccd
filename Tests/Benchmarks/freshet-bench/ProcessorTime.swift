import Glibc

/// What this process has used of its processors.
enum ProcessorTime {
    /// CPU seconds, of user and kernel.
    static var seconds: Double { Double(clock()) / 1e6 }
}
