// What the system refuses is an upstream's failure of kind `internal`.

package import FreshetCore
import System

extension PollError {
    /// The result of `body`, whose error becomes a ``PollError`` of kind `internal`.
    package static func wrapping<Value>(_ body: () throws(SystemError) -> Value) throws(PollError) -> Value {
        do throws(SystemError) {
            return try body()
        } catch {
            throw PollError(.internal, "\(error)")
        }
    }
}
