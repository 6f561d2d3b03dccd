// `style: auto`: how the pages of an upstream hang together, by what its first page looks like.

import HTTPFields
import JSON

/// Finds the rule in the first page. What it cannot read it refuses, rather than take one page for all.
enum PageDetection {
    /// Members that hold the URL of the next page.
    private static let references = [
        "/@odata.nextLink", "/odata.nextLink", "/d/__next", "/nextLink", "/links/next", "/_links/next",
        "/links/pages/next",
        "/next", "/next_page", "/nextPage", "/next_url", "/nextUrl", "/next_page_url", "/nextPageUrl", "/next_href",
        "/nextRecordsUrl", "/paging/next", "/pagination/next", "/pagination/next_url", "/pagination/nextUrl",
        "/pagination/next_page_url", "/pagination/next_page", "/pagination/nextPage", "/meta/next_page",
        "/pagination/links/next", "/pagination/_links/next", "/meta/next", "/meta/next_url",
        "/meta/links/next", "/meta/pagination/links/next", "/meta/pagination/next", "/info/next", "/pages/next",
        "/page/next", "/metadata/next", "/data/next", "/search_metadata/next_results",
    ].compactMap { Pointer($0) }

    /// Members that hold a token, and the parameter that takes it.
    private static let tokens: [(pointer: Pointer, parameter: String)] = [
        ("/response_metadata/next_cursor", "cursor"), ("/paging/next/after", "after"),
        ("/pages/next/starting_after", "starting_after"),
        ("/nextPageToken", "pageToken"), ("/next_page_token", "page_token"), ("/nextToken", "nextToken"),
        ("/NextToken", "NextToken"), ("/next_token", "next_token"), ("/meta/next_token", "pagination_token"),
        ("/next_cursor", "cursor"), ("/nextCursor", "cursor"), ("/meta/next_cursor", "cursor"),
        ("/meta/nextCursor", "cursor"), ("/metadata/next_cursor", "cursor"), ("/metadata/nextCursor", "cursor"),
        ("/pagination/next_cursor", "cursor"), ("/pagination/nextCursor", "cursor"), ("/paging/next_cursor", "cursor"),
        ("/meta/pagination/next_cursor", "cursor"), ("/cursors/next", "cursor"), ("/cursor/next", "cursor"),
        ("/pagination/cursor", "after"), ("/metadata/continue", "continue"),
        ("/continuationToken", "continuationToken"),
        ("/continuation_token", "continuation_token"), ("/pagination/continuation", "continuation"),
        ("/continuation", "continuation"), ("/nextPageStart", "start"), ("/nextMarker", "marker"),
        ("/next_marker", "marker"), ("/next_page", "page"), ("/nextPage", "page"), ("/meta/next_page", "page"),
        ("/meta/nextPage", "page"), ("/pagination/next_page", "page"), ("/pagination/nextPage", "page"),
        ("/next_offset", "offset"), ("/nextOffset", "offset"), ("/pagination/next_offset", "offset"),
        ("/cursor", "cursor"), ("/offset", "offset"),
    ].compactMap { text, parameter in Pointer(text).map { ($0, parameter) } }

    /// Members that say whether there are more pages: true on all but the last.
    private static let moreNames = [
        "has_more", "hasMore", "has_next", "hasNext", "has_next_page", "hasNextPage", "more", "has_more_items",
    ]
    private static let totalNames = [
        "total", "total_count", "totalCount", "total_results", "totalResults", "totalItems", "total_items",
        "totalRecords",
        "total_records", "totalElements", "totalSize", "numFound", "resultCount", "recordsTotal", "@odata.count",
    ]
    private static let offsetNames = ["startAt", "offset", "skip", "start", "startIndex", "start_index"]
    private static let pageNames = ["page", "current_page", "currentPage", "page_number", "pageNumber", "number"]
    private static let lastPageNames = [
        "total_pages", "totalPages", "last_page", "lastPage", "pages", "page_count", "pageCount", "num_pages",
        "numPages",
        "total_page",
    ]
    /// Objects that say where in the whole a page stands.
    private static let places = [
        "", "/meta", "/pagination", "/paging", "/meta/pagination", "/metadata", "/page", "/info", "/result_info",
    ]
    .compactMap { Pointer($0) }

    /// The rule by which the pages after this one are found.
    ///
    /// - Throws: ``UpstreamError`` of kind `unexpected` where the page says that there are more, and not how to reach them in
    ///   a way that is known here.
    static func rule(from page: PageRule.Context) throws(UpstreamError) -> PageRule {
        if LinkHeader.finding(in: page.fields) != .none { return .link }
        if let name = self.totalField(page) { throw self.unknown("the field \(name)") }
        let root = page.document.root
        guard root.kind == .object else {
            if let sign = self.fullPage(page) { throw self.unknown(sign) }
            return .single
        }
        if let rule = self.referenceOrToken(in: root) { return rule }
        for place in self.places {
            guard let object = root.value(at: place), object.kind == .object else { continue }
            if let rule = self.counted(in: object, at: place, page) { return rule }
        }
        if let rule = self.lastItem(in: root, page) { return rule }
        if let sign = self.signOfMore(in: root, page) ?? self.fullPage(page) { throw self.unknown(sign) }
        return self.linked(root)
    }

    /// As many items as were asked for, and not a word about more.
    private static func fullPage(_ page: PageRule.Context) -> String? {
        let names = [
            "limit", "per_page", "page_size", "pageSize", "page[size]", "size", "maxResults", "max_results", "top",
            "$top",
        ]
        for name in names where page.count > 0 {
            guard let size = URLQuery.value(of: name, in: page.url).flatMap({ Int($0) }), size == page.count else {
                continue
            }
            return "as many items as its `\(name)`"
        }
        return nil
    }

    /// Of an answer with links, and none to a next page: that may come.
    private static func linked(_ root: Value) -> PageRule {
        func next(_ place: String) -> PageRule { .reference(Pointer(tokens: [.init(place), .init("next")])) }
        if root["links"]?.kind == .object { return next("links") }
        if root["_links"]?.kind == .object { return next("_links") }
        return root["paging"]?.kind == .object ? next("paging") : .single
    }

    private static func unknown(_ sign: String) -> UpstreamError {
        UpstreamError(
            .unexpected,
            "the answer says by \(sign) that there are more pages, and `style: auto` does not know how to reach them; "
                + "set `paginate` with the `style` that the upstream documents"
        )
    }

    /// A field that says there is more than this page, which no `Link` leads to.
    private static func totalField(_ page: PageRule.Context) -> String? {
        for (name, least) in [
            ("x-total-count", page.count), ("x-total", page.count), ("x-wp-total", page.count),
            ("x-total-pages", 1), ("x-wp-totalpages", 1), ("x-page-count", 1),
        ] {
            guard let field = page.fields.last(where: { $0.name.elementsEqual(name.utf8) }),
                let number = Int(String(decoding: field.value, as: UTF8.self)), number > least
            else { continue }
            return name
        }
        return nil
    }

    private static func referenceOrToken(in root: Value) -> PageRule? {
        // A token that stands beside a URL takes all other parameters along.
        for (pointer, parameter) in self.tokens.prefix(3) where root.value(at: pointer) != nil {
            return .token(pointer, parameter: parameter, more: nil)
        }
        var ended: PageRule?
        for pointer in self.references {
            guard let value = root.value(at: pointer) else { continue }
            if let text = PageRule.reference(in: value), self.isReference(text) { return .reference(pointer) }
            if value.isNull { ended = ended ?? .reference(pointer) }
        }
        for (pointer, parameter) in self.tokens {
            guard let value = root.value(at: pointer), value.kind == .string || value.kind == .number || value.isNull
            else { continue }
            // A number called `offset` says where the page stands, and a text is a token.
            if value.kind == .number, ["/offset", "/cursor"].contains(pointer.description) { continue }
            if value.isNull, ["/offset", "/cursor"].contains(pointer.description) { continue }
            let more = self.more(beside: pointer, in: root)
            return .token(pointer, parameter: self.parameter(parameter, of: pointer, in: root), more: more)
        }
        return ended
    }

    /// Notion and Atlassian call the parameter by another name than others do.
    private static func parameter(_ usual: String, of pointer: Pointer, in root: Value) -> String {
        switch pointer.description {
        case "/next_cursor" where root["object"]?.string == "list" && root["results"] != nil: "start_cursor"
        case "/nextPageToken" where root["isLast"]?.bool != nil: "nextPageToken"
        case _: usual
        }
    }

    private static func isReference(_ text: String) -> Bool {
        text.hasPrefix("/") || text.hasPrefix("?") || text.hasPrefix("http://") || text.hasPrefix("https://")
    }

    private static func more(beside pointer: Pointer, in root: Value) -> Pointer? {
        let place = Pointer(tokens: Array(pointer.tokens.dropLast()))
        return self.moreNames.map { place.appending($0) }.first { root.value(at: $0)?.bool != nil }
    }

    private static func counted(in object: Value, at place: Pointer, _ page: PageRule.Context) -> PageRule? {
        func member(_ names: [String]) -> Pointer? {
            names.first { object[$0]?.int != nil }.map { place.appending($0) }
        }
        let more = self.moreNames.first { object[$0]?.bool != nil }.map { place.appending($0) }
        if let current = member(self.pageNames), let last = member(self.lastPageNames) {
            // Spring counts from 0, and says which page is the first.
            let isSpring = current.tokens.last?.text == "number"
            let isFromZero = isSpring && (object["first"]?.bool != nil || object["number"]?.int == 0)
            let bounds = PageRule.Bounds(current: current, last: last, isFromZero: isFromZero)
            return .number(parameter: self.pageParameter(in: page.url), size: nil, bounds: bounds)
        }
        let total = member(self.totalNames)
        if let start = member(self.offsetNames), total != nil || more != nil {
            let name = start.tokens.last?.text ?? "offset"
            return .offset(parameter: name, size: nil, total: total, more: more)
        }
        return nil
    }

    /// `page`, or as the URL has it.
    private static func pageParameter(in url: String) -> String {
        ["page", "page[number]", "pageNumber", "page_number", "p"].first { URLQuery.value(of: $0, in: url) != nil }
            ?? "page"
    }

    /// Stripe's way: more after the item of this id.
    private static func lastItem(in root: Value, _ page: PageRule.Context) -> PageRule? {
        guard root["has_more"]?.bool != nil, root["object"]?.string == "list",
            page.lastItem == nil || page.lastItem?["id"]?.string != nil
        else { return nil }
        return .lastItem(
            Pointer(tokens: [.init("id")]),
            parameter: "starting_after",
            more: Pointer(tokens: [.init("has_more")])
        )
    }

    /// A member that says there is more than this page.
    private static func signOfMore(in root: Value, _ page: PageRule.Context) -> String? {
        for place in self.places {
            guard let object = root.value(at: place), object.kind == .object else { continue }
            for name in self.moreNames where object[name]?.bool == true { return "\(place.appending(name))" }
            for name in ["isLast", "isLastPage", "is_last", "last", "done"] where object[name]?.bool == false {
                return "\(place.appending(name))"
            }
            for name in self.totalNames {
                if let total = object[name]?.int, total > page.count { return "\(place.appending(name))" }
            }
            for name in self.lastPageNames {
                if let pages = object[name]?.int, pages > 1 { return "\(place.appending(name))" }
            }
        }
        return nil
    }
}
