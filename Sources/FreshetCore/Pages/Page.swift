// One page of a value, and all of them as one.

import JSON

/// A page as it was read last.
struct Page: Sendable {
    /// As it was asked for.
    var url: String
    /// Of its last answer.
    var validators: Validators
    /// JSON, minified.
    var text: [UInt8]
    /// Bytes of its body, decoded.
    var bytes: Int
    /// Of what counts: without what the source ignores, and without the way to the next page.
    var hash: UInt64
    /// Where the items stand in ``text``, inside their brackets.
    var items: Range<Int>
    /// The items are members of an object, and not elements of an array.
    var isKeyed: Bool
    var count: Int
    /// The URL of the page after it.
    var next: String?
}

/// All pages of a value, as one consistent read found them.
package struct PageSet: Sendable {
    var pages: [Page]
    var rule: PageRule
    /// Where the items of each page stand.
    var items: Pointer

    package var count: Int { self.pages.count }

    /// Of all pages.
    package var bytes: Int { self.pages.reduce(0) { $0 + $1.text.count } }

    /// The first page with every page's items in it.
    package var joined: [UInt8] {
        guard let first = self.pages.first else { return [] }
        let others = self.pages.dropFirst().filter { !$0.items.isEmpty }
        var text: [UInt8] = []
        text.reserveCapacity(first.text.count + others.reduce(0) { $0 + $1.items.count + 1 })
        text += first.text[..<first.items.upperBound]
        var isFirst = first.items.isEmpty
        for page in others {
            if !isFirst { text.append(UInt8(ascii: ",")) }
            isFirst = false
            text += page.text[page.items]
        }
        text += first.text[first.items.upperBound...]
        return text
    }
}

/// Reads answers as pages.
struct PageReader: Sendable {
    private let configuration: SourceConfiguration
    private let ignored: [PointerPattern]
    let pagination: Pagination

    init(_ configuration: SourceConfiguration, _ pagination: Pagination) {
        self.configuration = configuration
        self.pagination = pagination
        let root = configuration.valueRoot?.description ?? ""
        self.ignored = configuration.ignore.compactMap { PointerPattern(root + $0.description) }
    }

    /// The rule that the configuration gives; `nil` where the first page decides.
    var rule: PageRule? {
        let parameter = self.pagination.parameter
        switch self.pagination.style {
        case .auto: return nil
        case .link: return .link
        case .next: return .reference(self.pagination.next ?? Pointer(tokens: [.init("next")]))
        case .cursor:
            return .token(
                self.pagination.next ?? Pointer(tokens: [.init("next_cursor")]),
                parameter: parameter ?? "cursor",
                more: nil
            )
        case .page: return .number(parameter: parameter ?? "page", size: self.pagination.size, bounds: nil)
        case .offset:
            return .offset(parameter: parameter ?? "offset", size: self.pagination.size, total: nil, more: nil)
        }
    }

    /// The URL of the first page.
    var firstURL: String {
        guard let size = self.pagination.size else { return self.configuration.url }
        let usual = self.pagination.style == .page || self.pagination.style == .link ? "per_page" : "limit"
        return URLQuery.setting(self.pagination.sizeParameter ?? usual, to: "\(size)", in: self.configuration.url)
    }

    /// Reads an answer as a page.
    ///
    /// - Parameters:
    ///   - response: 200, with a body.
    ///   - url: What was asked.
    ///   - rule: That of the read; `nil` for the first page of `auto`.
    ///   - items: Where the items stand; `nil` for the first page.
    ///   - before: Items of the pages before it.
    /// - Returns: The page, the rule, and where its items stand.
    /// - Throws: ``UpstreamError`` where it is none.
    func page(
        _ response: ExchangeResponse,
        url: String,
        rule: PageRule?,
        items: Pointer?,
        before: Int
    ) throws(UpstreamError) -> (page: Page, rule: PageRule, items: Pointer) {
        if response.isCloseDelimited, !self.configuration.allowCloseDelimited {
            throw UpstreamError(
                .framing,
                "the body ends with the connection, so a cut one cannot be told from a whole one; "
                    + "set `allow_close_delimited: true` to accept that"
            )
        }
        let document = try self.document(response)
        if let graphQL = self.configuration.graphQL, let failure = GraphQLAnswer.failure(in: document, graphQL) {
            throw failure
        }
        let (pointer, list) = try self.list(in: document, items)
        var context = PageRule.Context(
            document: document,
            fields: response.fields,
            url: response.url ?? url,
            count: list.count,
            countBefore: before,
            lastItem: list.kind == .array ? list[list.count - 1] : nil
        )
        let rule = if let rule { rule } else { try PageDetection.rule(from: context) }
        // A redirect may have led to another place, from where references count; parameters belong to what was asked.
        switch rule {
        case .link, .reference, .single: break
        case .token, .lastItem, .number, .offset: context.url = url
        }
        let volatile = rule.volatile.flatMap { PointerPattern($0.description) }
        let text = document.text
        let page = Page(
            url: url,
            validators: response.validators,
            text: text,
            bytes: response.body.count,
            hash: document.hash(ignoring: self.ignored + (volatile.map { [$0] } ?? [])),
            items: (list.text.startIndex + 1)..<(list.text.endIndex - 1),
            isKeyed: list.kind == .object,
            count: list.count,
            next: try rule.next(after: context)
        )
        return (page, rule, pointer)
    }

    private func document(_ response: ExchangeResponse) throws(UpstreamError) -> Document {
        let type = response.value(of: "content-type")
        if self.configuration.format == nil {
            let format = try Representation.format(ofContentType: type).get()
            guard format == .json else {
                throw UpstreamError(.contentType, "a page must be JSON; set `format: json` if it is")
            }
        }
        var hints = Representation.Hints(contentType: type)
        let limits = ParseLimits(maxBytes: self.configuration.maxBodyBytes)
        return try Representation.document(from: response.body, format: .json, limits: limits, hints: &hints)
    }

    /// The items of a page, and where they stand.
    private func list(in document: Document, _ known: Pointer?) throws(UpstreamError) -> (Pointer, Value) {
        guard let pointer = known ?? self.configuration.collection ?? self.guess(in: document) else {
            throw UpstreamError(
                .unexpected,
                "nothing says where the items of a page stand; set `items`"
            )
        }
        guard let list = document.value(at: pointer), list.kind == .array || list.kind == .object else {
            throw UpstreamError(.unexpected, "a page has no items at \(pointer.isEmpty ? "its root" : "\(pointer)")")
        }
        return (pointer, list)
    }

    private func guess(in document: Document) -> Pointer? {
        let root = self.configuration.valueRoot ?? Pointer()
        return document.value(at: root).flatMap(PageItems.pointer).map { root.appending($0) }
    }
}
