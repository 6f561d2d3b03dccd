// What a request took and what both sides said, for whoever wants to see the last poll of a source.

import CCurl
import FreshetCore
import HTTPFields

extension CurlTransfer {
    /// The request that has just ended. Secrets are left out: of the configured fields only those of a short list are
    /// shown with their values, and of URLs no query value.
    func makeTrace() -> ExchangeTrace {
        let options = CurlOptions(easy: self.easy)
        let isNew = options.long(CURLINFO_NUM_CONNECTS) > 0
        let request = self.shownRequest ?? self.makeShownRequest()
        self.shownRequest = request
        let fields = self.head.fields
        return ExchangeTrace(
            version: self.head.isComplete ? Self.name(ofVersion: self.head.version) : nil,
            status: self.head.isComplete ? self.head.status : nil,
            isNewConnection: isNew,
            timing: options.timing(isNew: isNew),
            request: request,
            received: fields.count <= ExchangeTrace.maxFields ? fields : Array(fields.prefix(ExchangeTrace.maxFields)),
            certificateEnd: isNew && self.configuration.readsCertificate ? options.certificateEnd : nil
        )
    }

    private func makeShownRequest() -> [ExchangeTrace.Field] {
        let target = URLRedaction.redacted(self.hop.text, wholly: true)
        return [ExchangeTrace.Field(self.request.method.rawValue, target)] + self.shownFields
    }

    private static func name(ofVersion version: Int) -> String {
        switch version {
        case 10: "HTTP/1.0"
        case 20: "HTTP/2"
        case 30: "HTTP/3"
        default: "HTTP/1.1"
        }
    }

    /// The names whose values a configuration may show.
    private static let openNames: Set<String> = [
        "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "content-type", "prefer",
        "user-agent",
    ]

    /// The request fields, as they may be shown.
    static func shown(
        _ configured: [SourceConfiguration.Field],
        _ added: [String],
        _ validators: Validators
    ) -> [ExchangeTrace.Field] {
        var shown = configured.prefix(ExchangeTrace.maxFields).map { field in
            let isOpen = Self.openNames.contains(field.name.lowercased())
            return ExchangeTrace.Field(field.name, isOpen ? ExchangeTrace.shown(Array(field.value.utf8)) : nil)
        }
        shown += added.compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            return ExchangeTrace.Field(String(line[..<colon]), String(value))
        }
        if let etag = validators.etag { shown.append(.init("If-None-Match", ExchangeTrace.shown(etag))) }
        if let date = validators.lastModified { shown.append(.init("If-Modified-Since", ExchangeTrace.shown(date))) }
        return shown
    }
}

extension CurlOptions {
    /// Where the time of the last request went. Of a kept connection libcurl still tells the microseconds that it took to
    /// find it, which are none of the request's.
    fileprivate func timing(isNew: Bool) -> ExchangeTrace.Timing {
        let looked = self.milliseconds(CURLINFO_NAMELOOKUP_TIME_T)
        let connected = max(looked, self.milliseconds(CURLINFO_CONNECT_TIME_T))
        let secured = max(connected, self.milliseconds(CURLINFO_APPCONNECT_TIME_T))
        let begun = self.milliseconds(CURLINFO_STARTTRANSFER_TIME_T)
        let total = self.milliseconds(CURLINFO_TOTAL_TIME_T)
        // Without a first byte the wait for it is all that is left.
        let first = begun > 0 ? begun : total
        let start = isNew ? secured : 0
        return ExchangeTrace.Timing(
            dns: isNew ? looked : 0,
            connect: isNew ? connected - looked : 0,
            tls: isNew ? secured - connected : 0,
            firstByte: max(0, first - start),
            download: max(0, total - max(first, start))
        )
    }

    /// With microseconds as its last digits.
    private func milliseconds(_ info: CURLINFO) -> Double {
        Double(max(0, self.offset(info))) / 1000
    }
}
