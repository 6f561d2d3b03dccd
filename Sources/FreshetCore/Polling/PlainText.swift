// `text/plain` says nothing: much JSON is served so, and so are error pages. The body decides, with the value that is
// there as a witness.

import JSON

/// How a `text/plain` body of a source without `format` is read.
///
/// | the present value | JSON object, array, string | another JSON value | no JSON |
/// | --- | --- | --- | --- |
/// | none, or a number, `true`, `false`, `null` | itself | itself | a text |
/// | a string | itself | a text | a text |
/// | an object or array | itself | itself | a failure that names `format` |
///
/// So the first body decides nothing for good: a text such as "starting" gives way to JSON, a number to words. But where
/// the value has structure, a body without any is a cut answer or an error page.
enum PlainText {
    case anything
    case textual
    case structured

    /// - Parameters:
    ///   - value: The present value; `nil` before the first.
    ///   - root: Where in the payload the value stands, which only JSON can have.
    init(after value: Document?, root: Pointer?) {
        guard root?.isEmpty != false else {
            self = .structured
            return
        }
        switch value?.root.kind {
        case .object, .array: self = .structured
        case .string: self = .textual
        case .number, .true, .false, .null, nil: self = .anything
        }
    }

    /// - Parameter read: Reads the body in a format.
    /// - Returns: What was read.
    /// - Throws: What `read` throws.
    func document(
        _ read: (SourceConfiguration.Format) throws(UpstreamError) -> Document
    ) throws(UpstreamError) -> Document {
        let document: Document
        do throws(UpstreamError) {
            document = try read(.json)
        } catch {
            guard self == .structured else { return try read(.text) }
            var named = error
            named.message += "; it came as text/plain, which was JSON before: set `format` if it is something else now"
            throw named
        }
        guard self == .textual, !document.root.isContainer, document.root.kind != .string else { return document }
        return try read(.text)
    }
}
