// How one page leads to the next, once that is known.

import HTTPFields
import JSON

/// The way from a page to the one after it.
enum PageRule: Hashable, Sendable {
    /// There is one page.
    case single
    case link
    /// A member holds the URL: a string, or an object with `href` or `url`.
    case reference(Pointer)
    /// A member holds a token for the parameter. `more`: a member that is false on the last page.
    case token(Pointer, parameter: String, more: Pointer?)
    /// The parameter takes the identity of the page's last item, while the member `more` is true.
    case lastItem(Pointer, parameter: String, more: Pointer)
    /// The parameter counts pages.
    case number(parameter: String, size: Int?, bounds: Bounds?)
    /// The parameter counts items. `total`: how many there are; `more`: a member that is false on the last page.
    case offset(parameter: String, size: Int?, total: Pointer?, more: Pointer?)

    /// Where an answer says which page it is, and how many there are.
    struct Bounds: Hashable, Sendable {
        var current: Pointer
        /// The number of pages.
        var last: Pointer
        /// The number of the first page is 0.
        var isFromZero = false
    }

    /// What a page is to the rule.
    struct Context {
        var document: Document
        var fields: [HeaderField]
        /// The URL that was asked.
        var url: String
        /// Items of this page, and of those before it.
        var count: Int
        var countBefore: Int
        var lastItem: Value?
    }

    /// The URL of the page after this one; `nil` where this one is the last.
    ///
    /// - Throws: ``UpstreamError`` of kind `unexpected` where the page leads to something that is none.
    func next(after page: Context) throws(UpstreamError) -> String? {
        switch self {
        case .single: return nil
        case .link:
            guard case .next(let reference) = LinkHeader.finding(in: page.fields) else { return nil }
            return try self.resolved(reference, page)
        case .reference(let pointer):
            guard let value = page.document.value(at: pointer) else { return nil }
            guard let reference = Self.reference(in: value) else {
                if Self.isEnd(value) { return nil }
                throw UpstreamError(.unexpected, "the member \(pointer) of a page holds no URL of the next page")
            }
            return try self.resolved(reference, page)
        case .token(let pointer, let parameter, let more):
            if let more, page.document.value(at: more)?.bool == false { return nil }
            guard let value = page.document.value(at: pointer), let token = Self.token(in: value) else { return nil }
            return URLQuery.setting(parameter, to: token, in: page.url)
        case .lastItem(let pointer, let parameter, let more):
            guard page.document.value(at: more)?.bool == true else { return nil }
            guard let token = page.lastItem?.value(at: pointer).flatMap(Self.token) else {
                throw UpstreamError(
                    .unexpected,
                    "there are more pages, and the last item has no \(pointer) to go on from"
                )
            }
            return URLQuery.setting(parameter, to: token, in: page.url)
        case .number(let parameter, let size, let bounds):
            guard !self.isLast(page, size: size, bounds: bounds) else { return nil }
            let first = bounds?.isFromZero == true ? 0 : 1
            let number = URLQuery.value(of: parameter, in: page.url).flatMap { Int($0) } ?? first
            let (next, overflow) = number.addingReportingOverflow(1)
            return overflow ? nil : URLQuery.setting(parameter, to: "\(next)", in: page.url)
        case .offset(let parameter, let size, let total, let more):
            if let more, page.document.value(at: more)?.bool == false { return nil }
            guard page.count > 0, size.map({ page.count >= $0 }) ?? true else { return nil }
            let start = URLQuery.value(of: parameter, in: page.url).flatMap { Int($0) } ?? 0
            let (next, overflow) = start.addingReportingOverflow(page.count)
            if let total = total.flatMap({ page.document.value(at: $0)?.int }), next >= total { return nil }
            return overflow ? nil : URLQuery.setting(parameter, to: "\(next)", in: page.url)
        }
    }

    private func isLast(_ page: Context, size: Int?, bounds: Bounds?) -> Bool {
        if page.count == 0 { return true }
        if let bounds, let last = page.document.value(at: bounds.last)?.int,
            let current = page.document.value(at: bounds.current)?.int
        {
            return current >= (bounds.isFromZero ? last - 1 : last)
        }
        return size.map { page.count < $0 } ?? false
    }

    private func resolved(_ reference: String, _ page: Context) throws(UpstreamError) -> String {
        guard let url = URLReference.resolved(reference, against: page.url) else {
            throw UpstreamError(
                .unexpected,
                "the URL of the next page is empty, or longer than \(URLReference.maxBytes)"
            )
        }
        return url
    }

    /// Where the member with the way to the next page stands: it may differ between pages that are the same otherwise.
    var volatile: Pointer? {
        switch self {
        case .reference(let pointer), .token(let pointer, _, _): pointer
        case .single, .link, .lastItem, .number, .offset: nil
        }
    }

    /// What a member says that is a URL, or an object that holds one.
    static func reference(in value: Value) -> String? {
        for member in [value, value["href"], value["url"], value["uri"]] {
            if let text = member?.string, !text.isEmpty { return text }
        }
        return nil
    }

    /// There is no next page: `null`, an empty text, `false`, an empty object.
    private static func isEnd(_ value: Value) -> Bool {
        switch value.kind {
        case .null: true
        case .string: value.utf8?.isEmpty ?? true
        case .object, .array: value.count == 0
        case _: value.bool == false
        }
    }

    /// A token is a text or a number.
    static func token(in value: Value) -> String? {
        switch value.kind {
        case .string: value.string.flatMap { $0.isEmpty || $0.utf8.count > URLReference.maxBytes ? nil : $0 }
        case .number: String(decoding: value.text, as: UTF8.self)
        case _: nil
        }
    }
}
