// How a value in several pages is asked for, as the configuration says.

package import JSON

/// `paginate`: how one page leads to the next, and how much all of them may be.
package struct Pagination: Hashable, Sendable {
    /// How one page leads to the next; the raw values are those of the configuration.
    package enum Style: String, CaseIterable, Sendable {
        /// `Link: <…>; rel="next"` (RFC 8288).
        case link
        /// A member of the answer holds the URL of the next page.
        case next
        /// A member of the answer holds a token, which a parameter takes to the next page.
        case cursor
        /// A parameter counts pages.
        case page
        /// A parameter counts items.
        case offset
        /// Found out from the first page.
        case auto
    }

    package var style: Style
    /// Where in the answer the URL or the token of the next page stands: for `next` and `cursor`.
    package var next: Pointer?
    /// The parameter that takes the token, the number of the page or that of the first item.
    package var parameter: String?
    /// The parameter that takes ``size``.
    package var sizeParameter: String?
    /// Items of a page that is not the last. The default is what the upstream sends.
    package var size: Int?
    /// The most pages; one more is a failed poll. The default is 100.
    package var maxPages = 100
    /// The most bytes of all pages together, decoded. The default is 64 MiB.
    package var maxBytes = 64 << 20

    package init(style: Style) {
        self.style = style
    }
}
