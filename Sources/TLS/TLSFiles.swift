// Files that hold certificates and keys, as they are configured.

/// Files that a TLS listener needs, in PEM, as seen from the working directory, and what is made of them.
package struct TLSFiles: Hashable, Sendable {
    package struct Pair: Hashable, Sendable {
        /// The certificate and its chain, leaf first.
        package var certificate: String
        package var key: String

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// The first is for clients that name no host, or another.
    package var pairs: [Pair]
    /// Authorities that have to have signed the certificates of clients; `nil` asks clients for none.
    package var clientAuthorities: String?
    /// Whether the sessions of streams are detached, where they can be.
    package var detaches: Bool

    package init(pairs: [Pair], clientAuthorities: String? = nil, detaches: Bool = true) {
        self.pairs = pairs
        self.clientAuthorities = clientAuthorities
        self.detaches = detaches
    }

    /// Every file.
    package var paths: [String] {
        self.pairs.flatMap { [$0.certificate, $0.key] } + [self.clientAuthorities].compactMap { $0 }
    }
}

/// Why certificates cannot be used.
package struct TLSFilesError: Error, Hashable, CustomStringConvertible {
    package var path: String
    /// What is wrong with the file, as the second half of a sentence about it.
    package var what: String
    package var fix: String

    package init(path: String, what: String, fix: String) {
        self.path = path
        self.what = what
        self.fix = fix
    }

    package var description: String { "\(self.path) \(self.what); \(self.fix)" }
}

extension TLSFiles {
    /// A certificate file is larger than this by mistake.
    package static let maxBytes = 1 << 20

    /// Reads the files, and makes of them what sessions are made of.
    ///
    /// - Throws: The first file that cannot be used, and why.
    package func load(_ read: (String) throws(TLSFilesError) -> [UInt8]) throws(TLSFilesError) -> TLSContext {
        var identities: [TLSIdentity] = []
        for pair in self.pairs {
            identities.append(TLSIdentity(chain: try read(pair.certificate), key: try read(pair.key)))
        }
        var authorities: [UInt8]?
        if let path = self.clientAuthorities { authorities = try read(path) }
        do throws(TLSContextError) {
            return try TLSContext(identities, clientAuthorities: authorities, detaches: self.detaches)
        } catch {
            throw TLSFilesError(path: self.path(of: error.part), what: error.what, fix: error.fix)
        }
    }

    private func path(of part: TLSContextError.Part) -> String {
        switch part {
        case .chain(let number) where self.pairs.indices.contains(number): self.pairs[number].certificate
        case .key(let number) where self.pairs.indices.contains(number): self.pairs[number].key
        case .clientAuthorities: self.clientAuthorities ?? ""
        case .chain, .key, .context: self.pairs.first?.certificate ?? ""
        }
    }
}
