// The request fields that a transfer sends: those of the configuration, those of one request, and what is said where neither
// says anything.

import CCurl
import FreshetCore

/// One line of a request's head as libcurl reads it.
struct FieldLine {
    /// Ends in a zero.
    private let text: [CChar]

    /// - Throws: ``UpstreamError`` of kind `internal` for a line with a control character, which could end the field, or the
    ///   request (S15).
    init(_ line: [UInt8]) throws(UpstreamError) {
        guard !line.contains(where: { ($0 < 0x20 && $0 != 0x09) || $0 == 0x7F }) else {
            throw UpstreamError(.internal, "a request field holds a control character")
        }
        self.text = Array(unsafeUninitializedCapacity: line.count + 1) { buffer, count in
            for index in line.indices { buffer.initializeElement(at: index, to: CChar(bitPattern: line[index])) }
            buffer.initializeElement(at: line.count, to: 0)
            count = line.count + 1
        }
    }

    init(_ name: String, _ value: String) throws(UpstreamError) {
        var line: [UInt8] = []
        line.reserveCapacity(name.utf8.count + value.utf8.count + 2)
        line.append(contentsOf: name.utf8)
        // libcurl removes a field that is written `Name:`; one with an empty value is written `Name;`.
        line.append(contentsOf: (value.isEmpty ? ";" : ": ").utf8)
        line.append(contentsOf: value.utf8)
        try self.init(line)
    }

    /// Adds the line, of which libcurl keeps a copy.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where there is no memory; `list` is then as it was.
    func append(to list: inout UnsafeMutablePointer<curl_slist>?) throws(UpstreamError) {
        guard let longer = curl_slist_append(list, self.text) else {
            throw UpstreamError(.internal, "no memory for a request field")
        }
        list = longer
    }
}

extension CurlTransfer {
    /// What request fields depend on.
    struct SentFields: Equatable {
        var validators: Validators
        var isHome: Bool
        var hasBody: Bool
    }

    /// Gives libcurl the request fields. Those of the configuration are made once for all requests like this one.
    func makeRequestFields(_ fields: SentFields) throws(UpstreamError) {
        let lines: [FieldLine]
        if let known = self.configuredFields, known.fields == fields {
            lines = known.lines
        } else {
            lines = try self.lines(of: fields)
            self.configuredFields = (fields, lines)
        }
        var list: UnsafeMutablePointer<curl_slist>?
        do throws(UpstreamError) {
            for line in lines { try line.append(to: &list) }
            for field in self.request.fields { try FieldLine(field.name, field.value).append(to: &list) }
            try CurlOptions(easy: self.easy).setFields(list)
        } catch {
            curl_slist_free_all(list)
            throw error
        }
        curl_slist_free_all(self.requestFields)
        self.requestFields = list
        self.sentFields = fields
        guard self.configuration.keepsTrace else { return }
        self.shownFields = Self.shown(self.configured(fields), self.acceptedByDefault, fields.validators)
    }

    /// The configured fields that go to where the request goes.
    private func configured(_ fields: SentFields) -> [SourceConfiguration.Field] {
        fields.isHome
            ? self.configuration.headers : RedirectRule.fields(self.configuration.headers, to: .chosen)
    }

    private func lines(of fields: SentFields) throws(UpstreamError) -> [FieldLine] {
        var lines: [FieldLine] = []
        for field in self.configured(fields) { lines.append(try FieldLine(field.name, field.value)) }
        for line in self.acceptedByDefault { lines.append(try FieldLine(Array(line.utf8))) }
        if let etag = fields.validators.etag { lines.append(try FieldLine(Array("If-None-Match: ".utf8) + etag)) }
        if let date = fields.validators.lastModified {
            lines.append(try FieldLine(Array("If-Modified-Since: ".utf8) + date))
        }
        guard fields.hasBody else { return lines }
        // libcurl's own: a pause before long bodies, and the type of a form.
        lines.append(try FieldLine(Array("Expect:".utf8)))
        if !self.configuration.headers.contains(where: { $0.name.lowercased() == "content-type" }) {
            lines.append(try FieldLine(Array("Content-Type:".utf8)))
        }
        return lines
    }

    static func defaultFields(besides configuration: ExchangeConfiguration) -> [String] {
        let configured = Set(configuration.headers.map { $0.name.lowercased() })
        var fields: [String] = []
        if !configured.contains("accept") { fields.append("Accept: application/json, */*;q=0.1") }
        if !configured.contains("accept-encoding") {
            fields.append("Accept-Encoding: \(Self.codings(configuration.acceptEncoding))")
        }
        return fields
    }

    /// Only what can be undone here is asked for.
    private static func codings(_ wanted: SourceConfiguration.AcceptEncoding) -> String {
        switch wanted {
        case .identity: "identity"
        case .gzip: "gzip"
        case .any:
            "gzip" + (Unpacker.canDecode(.brotli) ? ", br" : "") + (Unpacker.canDecode(.zstd) ? ", zstd" : "")
        }
    }
}
