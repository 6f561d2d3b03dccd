// A client of a Freshet gateway: sources as asynchronous sequences, and writes.

/// Follows sources of a Freshet gateway and writes to them.
///
/// A client is a small value that can be copied and shared between tasks. Nothing is sent before a sequence is iterated or a
/// request is made. Each iteration of a sequence is one stream of the gateway; name several sources in one sequence to have
/// them over one stream.
///
/// ```swift
/// let gateway = try FreshetClient("https://gateway.example.com")
/// for try await rates in gateway.source("rates").values(as: Rates.self) {
///     print(rates.eur)
/// }
/// ```
///
/// A stream that breaks is opened again after a delay with jitter, and goes on after the last change that arrived. Iteration
/// ends when the gateway says that there is nothing more (204), throws ``FreshetClientError`` when the gateway refuses the
/// request, and throws `CancellationError` when the task is cancelled.
public struct FreshetClient: Sendable {
    let core: ClientCore

    /// Prepares a client; connects to nothing.
    ///
    /// - Parameters:
    ///   - url: `http://` or `https://`, a host, and optionally a port and the path under which a proxy serves the gateway.
    ///     On Linux also `unix:` and the path of a socket file.
    ///   - configuration: Credential, transport and limits.
    /// - Throws: ``FreshetClientError`` with the code `unusableURL`.
    public init(_ url: String, configuration: Configuration = Configuration()) throws {
        self.core = try ClientCore(url: url, configuration: configuration)
    }

    init(core: ClientCore) {
        self.core = core
    }

    /// One source, named as the gateway has it, such as `rates`; `user/42` for an instance of a source with parameters.
    public func source(_ name: String) -> Source {
        Source(core: self.core, name: name)
    }

    /// The current values of several sources over one stream, and each newer one. See ``Source/values(mode:view:)``.
    ///
    /// In `names`, `*` at the end of a name stands for any, and `*` alone for all sources.
    public func values(of names: [String], mode: ValueMode = .patch, view: View = .whole) -> Values {
        Values(core: self.core, query: StreamQuery(names: names, mode: mode.mode, start: .snapshot, view: view))
    }

    /// All changes of several sources over one stream, in the order of the gateway's log. See
    /// ``Source/changes(mode:since:view:)``.
    ///
    /// In `names`, `*` at the end of a name stands for any, and `*` alone for all sources.
    public func changes(
        of names: [String],
        mode: Mode = .patch,
        since start: Start = .snapshot,
        view: View = .whole
    ) -> Changes {
        Changes(core: self.core, query: StreamQuery(names: names, mode: mode, start: start, view: view))
    }
}

extension FreshetClient {
    /// In which form the gateway sends changes.
    public enum Mode: String, Hashable, Sendable, CaseIterable {
        /// JSON Patch (RFC 6902), or a snapshot where that is smaller.
        case patch
        /// JSON Merge Patch (RFC 7396), or a snapshot where it cannot express the change.
        case merge
        /// Created, updated and deleted items; for sources with `key`.
        case items
        /// The whole value.
        case snapshot
    }

    /// In which form the gateway sends what ``Values`` is made of. The values are the same in each.
    public enum ValueMode: String, Hashable, Sendable, CaseIterable {
        /// JSON Patch: the fewest bytes in most cases.
        case patch
        /// JSON Merge Patch.
        case merge
        /// The whole value each time: the least work for the client.
        case snapshot

        var mode: Mode {
            switch self {
            case .patch: .patch
            case .merge: .merge
            case .snapshot: .snapshot
            }
        }
    }

    /// Where a sequence of changes begins.
    public enum Start: Hashable, Sendable {
        /// With a snapshot of each source.
        case snapshot
        /// With the next change.
        case latest
        /// With the oldest change that the gateway's log still has.
        case earliest
        /// After this cursor. Where the log no longer reaches back so far, a ``Change/Kind/gap(_:)`` and a snapshot come first.
        case after(Cursor)
    }

    /// The part of a source that is followed.
    public enum View: Hashable, Sendable {
        case whole
        /// What stands at a JSON Pointer (RFC 6901), as a value of its own; `null` where nothing does.
        case pointer(String)
        /// The items with these identities.
        case items([String])
        /// The items whose member at `pointer` has this text as its value; only with ``Mode/items``.
        case itemsWhere(pointer: String, equals: String)
    }
}
