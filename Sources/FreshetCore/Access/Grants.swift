// What a caller may do with which sources (CONTRACT §8).

/// Sources by name, for each thing that may be done with them. The default is nothing at all.
package struct Grants: Hashable, Sendable {
    /// Values, changes and streams.
    package var read: SourcePattern
    /// Writes through to the upstream.
    package var write: SourcePattern
    /// Values of sources that have no upstream, and of others in place of the next poll.
    package var publish: SourcePattern
    /// Administration of the gateway, and the reports about sources and subscribers.
    package var admin: Bool
    /// Values for parameters of sources that are bound to a claim, by parameter.
    package var parameters: [String: String]

    package init(
        read: SourcePattern = .none,
        write: SourcePattern = .none,
        publish: SourcePattern = .none,
        admin: Bool = false,
        parameters: [String: String] = [:]
    ) {
        self.read = read
        self.write = write
        self.publish = publish
        self.admin = admin
        self.parameters = parameters
    }

    /// Everything but administration: what everybody may without `auth`.
    package static let open = Grants(read: .all, write: .all, publish: .none)
    /// Everything.
    package static let administrator = Grants(read: .all, write: .all, publish: .all, admin: true)
}
