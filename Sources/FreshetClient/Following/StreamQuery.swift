// What a stream is asked for.

import JSON

/// The sources, mode and view of one stream.
struct StreamQuery: Hashable, Sendable {
    var names: [String]
    var mode: FreshetClient.Mode
    var start: FreshetClient.Start
    var view: FreshetClient.View

    /// Path and query, without `since`.
    var path: String {
        let names = self.names.map { PercentEncoding.encode($0, keeping: "*") }.joined(separator: ",")
        let parameters = ["mode=\(self.mode.rawValue)"] + self.view.parameters
        return "/v1/streams/\(names)?\(parameters.joined(separator: "&"))"
    }

    /// Whether the stream has all changes of this source.
    func covers(_ source: String) -> Bool {
        guard self.view == .whole else { return false }
        return self.names.contains { $0.hasSuffix("*") ? source.hasPrefix($0.dropLast()) : $0 == source }
    }
}

extension FreshetClient.View {
    /// As parameters of a query.
    var parameters: [String] {
        switch self {
        case .whole: []
        case .pointer(let pointer): ["pointer=\(PercentEncoding.encode(pointer))"]
        case .items(let keys): keys.map { "item=\(PercentEncoding.encode(Self.quoted($0)))" }
        case .itemsWhere(let pointer, let text): ["where=\(PercentEncoding.encode("\(pointer):\(text)"))"]
        }
    }

    /// A key with a comma or a quote, as a JSON string.
    private static func quoted(_ key: String) -> String {
        guard key.utf8.contains(UInt8(ascii: ",")) || key.utf8.contains(UInt8(ascii: "\"")) else { return key }
        var json = JSONWriter()
        json.string(key)
        return String(decoding: json.text, as: UTF8.self)
    }
}
