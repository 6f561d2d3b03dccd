// Reads of the log are shared out by network, as streams are.

package import FreshetCore
package import System

extension PeerAddress {
    /// The client that a read of the log is done for.
    package var readClient: ReadClient {
        let bits = self.networkBits
        return ReadClient(high: bits.high, low: bits.low)
    }
}
