// How a source's upstream is asked: `method`, `body`, `graphql`, `proxy`, `unix`, `paginate`.

import FreshetCore
import JSON

struct SourceRequestDecoder {
    let context: DecodingContext

    /// The longest path of a socket file.
    private static let maxSocketPath = 107
    /// The largest body.
    private static let maxBodyBytes = 1 << 20

    func read(_ reader: SectionReader, into source: inout SourceConfiguration) {
        source.method = reader.choice("method", of: SourceConfiguration.Method.self) ?? source.method
        self.readBody(reader, into: &source)
        self.readGraphQL(reader, into: &source)
        self.readRoute(reader, into: &source)
        source.paginate = self.pagination(of: reader, source)
        // The token endpoint is reached as the upstream is; a pinned key is the upstream's own.
        guard var oauth2 = source.oauth2 else { return }
        if case .proxy = source.route { oauth2.route = source.route }
        oauth2.tls = source.tls
        oauth2.tls.pinnedKey = nil
        oauth2.denyPrivate = source.denyPrivate
        source.oauth2 = oauth2
    }

    private func error(_ key: String, in reader: SectionReader, _ what: String, fix: String) {
        self.context.error(SectionReader.join(reader.path, key), at: reader.place(of: key), what, fix: fix)
    }

    // MARK: Bodies

    private func readBody(_ reader: SectionReader, into source: inout SourceConfiguration) {
        guard let (entry, path) = reader.entry("body"), reader.entry("graphql") == nil else { return }
        guard source.method == .post else {
            return self.error("body", in: reader, "a GET has no body", fix: "set `method: POST`")
        }
        var body: [UInt8] = []
        var type: String?
        if case .text = entry.value.content {
            guard let value = reader.scalar("body") else { return }
            body = Array(value.text.utf8)
        } else {
            guard self.write(entry.value, path: path, to: &body) else { return }
            type = "application/json"
        }
        guard body.count <= Self.maxBodyBytes else {
            return self.error("body", in: reader, "the body is larger than 1MiB", fix: "shorten it")
        }
        source.body = body
        if let type { self.add("Content-Type", type, to: &source) }
    }

    private func add(_ name: String, _ value: String, to source: inout SourceConfiguration) {
        guard !source.headers.contains(where: { $0.name.lowercased() == name.lowercased() }) else { return }
        source.headers.append(.init(name: name, value: value))
    }

    /// Appends a node as JSON. Plain numbers, true, false and null are themselves; everything else is a text.
    private func write(_ node: ConfigurationNode, path: String, to json: inout [UInt8]) -> Bool {
        switch node.content {
        case .list(let nodes):
            json.append(UInt8(ascii: "["))
            for (index, node) in nodes.enumerated() {
                if index > 0 { json.append(UInt8(ascii: ",")) }
                guard self.write(node, path: "\(path)[\(index)]", to: &json) else { return false }
            }
            json.append(UInt8(ascii: "]"))
        case .mapping(let entries):
            json.append(UInt8(ascii: "{"))
            for (index, entry) in entries.enumerated() {
                let path = SectionReader.join(path, entry.key)
                if let first = entry.firstPlace {
                    self.context.error(
                        path,
                        at: entry.keyPlace,
                        "duplicate key, first at line \(first.line)",
                        fix: "keep one of the two"
                    )
                    return false
                }
                if index > 0 { json.append(UInt8(ascii: ",")) }
                appendJSONString(utf8: Array(entry.key.utf8), to: &json)
                json.append(UInt8(ascii: ":"))
                guard self.write(entry.value, path: path, to: &json) else { return false }
            }
            json.append(UInt8(ascii: "}"))
        case .text(_, let isPlain):
            if node.isAbsent {
                json += Array("null".utf8)
                return true
            }
            guard let value = SectionReader.scalar(node, path: path, context: self.context) else { return false }
            let isLiteral = isPlain && value.variables.isEmpty && Self.isLiteral(value.text)
            if isLiteral {
                json += Array(value.text.utf8)
            } else {
                appendJSONString(utf8: Array(value.text.utf8), to: &json)
            }
        }
        return true
    }

    private static func isLiteral(_ text: String) -> Bool {
        if text == "true" || text == "false" { return true }
        return (try? Document(parsing: Array(text.utf8)))?.root.kind == .number
    }

    private func readGraphQL(_ reader: SectionReader, into source: inout SourceConfiguration) {
        guard let section = reader.section("graphql", as: .graphQL) else { return }
        if reader.entry("body") != nil {
            self.error("body", in: reader, "body and graphql at once", fix: "keep one of them")
        }
        if reader.entry("method") != nil, source.method == .get {
            self.error("method", in: reader, "GraphQL is asked by POST", fix: "remove `method`")
        }
        var graphQL = SourceConfiguration.GraphQL()
        graphQL.takesPartialData = section.flag("partial") ?? graphQL.takesPartialData
        source.graphQL = graphQL
        source.method = .post
        guard let query = section.scalar("query") else {
            if section.entry("query") == nil {
                self.context.error(section.path, at: section.place, "no query", fix: "add `query: \"{ … }\"`")
            }
            return
        }
        var body = Array(#"{"query":"#.utf8)
        appendJSONString(utf8: Array(query.text.utf8), to: &body)
        if let (entry, path) = section.entry("variables") {
            guard case .mapping = entry.value.content else {
                self.context.error(
                    path,
                    at: entry.value.place,
                    "\(entry.value.kind), where a mapping belongs",
                    fix: "write `name: value` lines"
                )
                return
            }
            body += Array(#","variables":"#.utf8)
            guard self.write(entry.value, path: path, to: &body) else { return }
        }
        source.body = body + [UInt8(ascii: "}")]
        self.add("Content-Type", "application/json", to: &source)
        self.add("Accept", "application/graphql-response+json, application/json;q=0.9", to: &source)
    }

    // MARK: Ways

    private func readRoute(_ reader: SectionReader, into source: inout SourceConfiguration) {
        let proxy = self.proxy(of: reader, into: &source)
        if let value = reader.scalar("unix") {
            let path = FilePath.resolve(value.text, from: FilePath.directory(of: value.place.file))
            if path.utf8.count > Self.maxSocketPath || value.text.isEmpty {
                self.context.error(
                    value.path,
                    at: value.place,
                    "\(value.shown) cannot be the path of a socket: it has 1 to \(Self.maxSocketPath) bytes",
                    fix: "use a shorter one"
                )
            }
            if proxy != nil { self.error("unix", in: reader, "proxy and unix at once", fix: "keep one of them") }
            source.route = .unixSocket(path)
        }
        guard source.denyPrivate, source.route != .direct else { return }
        self.error(
            reader.entry("proxy") == nil ? "unix" : "proxy",
            in: reader,
            "deny_private cannot hold here: the gateway does not see the upstream's address",
            fix: "remove one of the two"
        )
    }

    private func proxy(of reader: SectionReader, into source: inout SourceConfiguration) -> SourceConfiguration.Proxy? {
        guard let (entry, _) = reader.entry("proxy") else { return nil }
        if case .text = entry.value.content {
            guard let value = reader.scalar("proxy"), let url = self.proxyURL(value) else { return nil }
            let proxy = SourceConfiguration.Proxy(url: url)
            source.route = .proxy(proxy)
            return proxy
        }
        guard let section = reader.section("proxy", as: .proxy) else { return nil }
        guard let value = section.scalar("url") else {
            if section.entry("url") == nil {
                self.context.error(section.path, at: section.place, "no url", fix: "add `url: http://HOST:PORT`")
            }
            return nil
        }
        guard let url = self.proxyURL(value) else { return nil }
        var proxy = SourceConfiguration.Proxy(url: url)
        proxy.username = section.scalar("username")?.text
        source.route = .proxy(proxy)
        let credentials = SourceCredentials(context: self.context)
        if proxy.username != nil {
            guard let secret = credentials.required("password", in: section) else { return nil }
            SecretPlaces.put(secret.text, at: .proxyPassword, into: &source)
            if let path = secret.path { source.secretFiles.append(.init(path: path, place: .proxyPassword)) }
        } else if section.entry("password") != nil || section.entry("password_file") != nil {
            self.context.error(section.path, at: section.place, "no username", fix: "add `username`")
        }
        return proxy
    }

    /// The URL as libcurl takes it; a SOCKS proxy resolves the upstream's name.
    private func proxyURL(_ value: ScalarValue) -> String? {
        let schemes = ["http": "http", "https": "https", "socks5": "socks5h", "socks5h": "socks5h"]
        let fix = "write http://HOST:PORT or socks5://HOST:PORT, and credentials as `username` and `password_file`"
        let parts = value.text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let scheme = schemes[parts[0].lowercased()], parts[1].hasPrefix("//"),
            let url = try? URLText("http:\(parts[1])"), url.port != nil, url.path.isEmpty || url.path == "/",
            !url.text.contains("?")
        else {
            self.context.error(value.path, at: value.place, "\(value.shown) is not the URL of a proxy", fix: fix)
            return nil
        }
        let authority = parts[1].dropFirst(2).prefix { $0 != "/" }
        return "\(scheme)://\(authority)"
    }

    // MARK: Pages

    private func pagination(of reader: SectionReader, _ source: SourceConfiguration) -> Pagination? {
        guard let section = reader.section("paginate", as: .paginate) else { return nil }
        guard let style = section.choice("style", of: Pagination.Style.self) else {
            if section.entry("style") == nil {
                self.context.error(section.path, at: section.place, "no style", fix: "add `style: auto`")
            }
            return nil
        }
        var pagination = Pagination(style: style)
        if let value = section.scalar("next") {
            pagination.next = Pointer(value.text)
            if pagination.next == nil { SourcesDecoder(context: self.context).rejectPointer(value) }
        }
        pagination.parameter = section.scalar("param")?.text
        pagination.sizeParameter = section.scalar("size_param")?.text
        pagination.size = section.count("size", in: 1...1_000_000)
        pagination.maxPages = section.count("max_pages", in: 1...10_000) ?? pagination.maxPages
        pagination.maxBytes = section.size("max_bytes", in: 1...(1 << 30)) ?? pagination.maxBytes
        func refuse(_ key: String, unless styles: Set<Pagination.Style>) {
            guard section.entry(key) != nil, !styles.contains(style) else { return }
            let names = Pagination.Style.allCases.filter { styles.contains($0) }.map(\.rawValue)
            self.error(
                key,
                in: section,
                "`style: \(style.rawValue)` has none",
                fix: "remove it, or use \(names.joined(separator: ", "))"
            )
        }
        refuse("next", unless: [.next, .cursor])
        refuse("param", unless: [.cursor, .page, .offset])
        if section.entry("size_param") != nil, pagination.size == nil {
            self.error("size_param", in: section, "no size", fix: "add `size`")
        }
        if let format = source.format, format != .json {
            self.error(
                "paginate",
                in: reader,
                "pages are read as JSON, and not as \(format.rawValue)",
                fix: "remove one of the two"
            )
        }
        if source.graphQL != nil {
            self.error(
                "paginate",
                in: reader,
                "pages of GraphQL are asked for by variables, which this version does not do",
                fix: "ask for all items in one query"
            )
        }
        return pagination
    }
}
