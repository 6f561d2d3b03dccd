// Which sources' events may be compressed (CONTRACT §9).

package import FreshetCore
import FreshetStreaming
import Synchronization

/// Knows the sources that may not be compressed, as the configuration in force names them. Any thread.
package final class CompressionDesk: Sendable {
    private struct State: Sendable {
        var uncompressed = SourcePattern.none
        var streams: StreamServer?
    }

    private let state = Mutex(State())

    package init() {}

    /// Puts another configuration in force, for streams that are open too.
    package func update(_ sources: [SourceConfiguration]) {
        let terms = sources.filter { !$0.mayCompress }.flatMap { source in
            // Of a source with parameters it holds for the instances, whose names begin with its own.
            [SourceSelector.Term.exact(source.name)] + (source.template == nil ? [] : [.prefix(source.name + "/")])
        }
        self.state.withLock { state in
            state.uncompressed = SourcePattern(terms)
            state.streams?.setUncompressed(state.uncompressed)
        }
    }

    /// Has open streams follow the configuration.
    func attach(_ streams: StreamServer) {
        self.state.withLock { state in
            state.streams = streams
            streams.setUncompressed(state.uncompressed)
        }
    }

    /// Whether all that a stream may come to have may be compressed.
    func mayCompress(_ pattern: SourcePattern) -> Bool {
        let uncompressed = self.state.withLock(\.uncompressed)
        // An instance is covered by what its template's name, or a prefix, says; others in either direction.
        return pattern.intersection(uncompressed) == .none && uncompressed.intersection(pattern) == .none
    }
}
