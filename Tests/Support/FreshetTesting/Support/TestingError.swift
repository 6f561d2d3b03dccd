/// Why a test's helper could not do what it was asked: an error for a reader of a failed test, so it says what happened.
package struct TestingError: Error, Hashable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// What was waited for did not happen in time.
        case timedOut
        /// A system call failed with `code` (a positive `errno`).
        case systemCall(code: Int32)
        /// The other side ended the connection before the answer was whole.
        case connectionEnded
        /// What came over the wire is not HTTP/1, or not framed as it says.
        case malformed
        /// The process under test ended, or could not be started.
        case process
        /// A suite or a file is not there, or not readable.
        case missing
    }

    package var reason: Reason
    package var description: String

    package init(_ reason: Reason, _ description: String) {
        self.reason = reason
        self.description = description
    }
}
