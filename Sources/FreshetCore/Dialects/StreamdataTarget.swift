// What is polled for a request of the Streamdata.io SDK.

import HTTPFields

/// An address that a token may have polled, and how it is asked for. Equal ones of one token are one instance.
package struct StreamdataTarget: Hashable, Sendable {
    /// `streamdata/TOKEN/TARGET`: hashes of both, so that it shows neither.
    package let name: InstanceName
    /// Whose it is.
    package let token: Fingerprint
    package let address: TargetAddress
    /// Sent along, after `Accept: application/json`.
    package let fields: [SourceConfiguration.Field]
    /// Its addresses may be private.
    package let isInside: Bool

    /// The name of the template that the instances are counted under.
    package static let template = "streamdata"

    /// The target of a request whose token, of which `token` is the hash, was looked up, and which is below `entry`. `hash`
    /// makes names of bytes.
    package init?(
        _ request: StreamdataRequest,
        entry: TargetList.Entry,
        token: Fingerprint,
        hash: ([UInt8]) -> Fingerprint
    ) {
        self.token = token
        self.address = request.target
        self.fields = request.fields
        self.isInside = entry.isInside
        // Neither a URL nor a field has a line break in it, so that no two targets have one text.
        let parts = [request.target.text] + request.fields.map { "\($0.name): \($0.value)" }
        let target = hash(Array(parts.joined(separator: "\n").utf8))
        guard let name = InstanceName("\(Self.template)/\(token.text)/\(target.text)") else { return nil }
        self.name = name
    }

    /// The source that is polled for it.
    ///
    /// `base`: what `defaults` says, without what belongs to the configured sources alone.
    package func source(from base: SourceConfiguration) -> SourceConfiguration {
        var source = base
        source.name = self.name.text
        source.template = nil
        source.instanceOf = Self.template
        source.when = .subscribed
        source.url = self.address.text
        source.headers = [.init(name: "Accept", value: "application/json")] + self.fields
        source.denyPrivate = base.denyPrivate || !self.isInside
        // A redirect could lead to what is not allowed.
        source.redirects = .refused
        return source
    }
}

extension Fingerprint {
    /// 32 hexadecimal digits.
    package var text: String {
        var text: [UInt8] = []
        text.appendDigits(self.first, radix: 16, width: 16)
        text.appendDigits(self.second, radix: 16, width: 16)
        return String(decoding: text, as: UTF8.self)
    }
}

extension SourceConfiguration {
    /// What of `defaults` holds for addresses that requests choose: how often and how they are asked, and how answers are
    /// read. Credentials, fields and bodies are for the sources that the configuration names; so is a proxy, behind which no
    /// address could be judged.
    package var forTargets: SourceConfiguration {
        var base = SourceConfiguration(name: StreamdataTarget.template)
        base.interval = self.interval
        base.staleness = self.staleness
        base.minInterval = self.minInterval
        base.maxInterval = self.maxInterval
        base.timeout = self.timeout
        base.respectCache = self.respectCache
        base.maxBodyBytes = self.maxBodyBytes
        base.format = self.format
        base.separator = self.separator
        base.ignore = self.ignore
        base.allowCloseDelimited = self.allowCloseDelimited
        base.maxDeleteRatio = self.maxDeleteRatio
        base.settle = self.settle
        base.verifyEvery = self.verifyEvery
        base.onMissing = self.onMissing
        base.allowEmpty = self.allowEmpty
        base.acceptEncoding = self.acceptEncoding
        base.denyPrivate = self.denyPrivate
        base.lenientHTTP = self.lenientHTTP
        base.tls.caFile = self.tls.caFile
        return base
    }
}
