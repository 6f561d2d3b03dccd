// Which sources' events may be compressed (CONTRACT §9).

package import FreshetCore
import Synchronization

/// Knows the sources that may not be compressed, as the configuration in force names them. Any thread.
package final class CompressionDesk: Sendable {
    private let state = Mutex(SourcePattern.none)

    package init() {}

    /// Puts another configuration in force. Subscriptions that are there stay as they are.
    package func update(_ sources: [SourceConfiguration]) {
        let terms = sources.filter { !$0.mayCompress }.flatMap { source in
            // Of a source with parameters it holds for the instances, whose names begin with its own.
            [SourceSelector.Term.exact(source.name)] + (source.template == nil ? [] : [.prefix(source.name + "/")])
        }
        self.state.withLock { $0 = SourcePattern(terms) }
    }

    /// Sources that are sent as they are, whatever a client asks for.
    var uncompressed: SourcePattern { self.state.withLock { $0 } }
}
