// Why the system refused something.

import CLinux

/// What was attempted, and the system's reason.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was attempted, as in "cannot `start a thread`".
    package var attempt: String
    /// An `errno`, positive.
    package var code: Int32

    /// `attempt` is a verb with its object; `code` is an `errno`, negated or not.
    package init(_ attempt: String, code: Int32) {
        self.attempt = attempt
        self.code = code.magnitude <= UInt32(Int32.max) ? Int32(code.magnitude) : 0
    }

    package var description: String { "cannot \(self.attempt): \(Self.text(of: self.code))" }

    /// The system's words for an error number, whatever its sign.
    package static func text(of code: Int32) -> String {
        String(cString: clinux_error_text(code))
    }
}
