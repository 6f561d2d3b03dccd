// Which sources' events may be compressed (CONTRACT §9).

package import FreshetCore
import Synchronization

/// Knows the sources that may not be compressed, as the configuration in force names them. Any thread.
package final class CompressionDesk: Sendable {
    private let state = Mutex(SourcePattern.none)

    package init() {}

    /// Puts another configuration in force. Subscriptions that are there stay as they are.
    package func update(_ sources: [SourceConfiguration]) {
        let names = sources.filter { !$0.mayCompress }.map(\.name)
        self.state.withLock { $0 = SourcePattern(names.map(SourceSelector.Term.exact)) }
    }

    /// Sources that are sent as they are, whatever a client asks for.
    var uncompressed: SourcePattern { self.state.withLock { $0 } }
}
