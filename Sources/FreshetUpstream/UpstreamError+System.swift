// What the system refuses is an upstream's failure of kind `internal`.

package import FreshetCore
package import System

extension UpstreamError {
    /// A failure of kind `internal`.
    package init(_ error: SystemError) {
        self.init(.internal, "\(error)")
    }

    /// The result of `body`, whose error becomes a ``UpstreamError`` of kind `internal`.
    package static func wrapping<Value>(_ body: () throws(SystemError) -> Value) throws(UpstreamError) -> Value {
        do throws(SystemError) {
            return try body()
        } catch {
            throw UpstreamError(error)
        }
    }
}
