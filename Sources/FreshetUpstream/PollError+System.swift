// What the system refuses is an upstream's failure of kind `internal`.

package import FreshetCore
package import System

extension PollError {
    /// A failure of kind `internal`.
    package init(_ error: SystemError) {
        self.init(.internal, "\(error)")
    }

    /// The result of `body`, whose error becomes a ``PollError`` of kind `internal`.
    package static func wrapping<Value>(_ body: () throws(SystemError) -> Value) throws(PollError) -> Value {
        do throws(SystemError) {
            return try body()
        } catch {
            throw PollError(error)
        }
    }
}
