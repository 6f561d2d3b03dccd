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
        let target = hash(Self.text(of: request.target, request.fields))
        guard let name = InstanceName("\(Self.template)/\(token.text)/\(target.text)") else { return nil }
        self.name = name
    }

    /// What was asked for, as another gateway has told it: ``text`` of the target with this name.
    ///
    /// - Returns: `nil` where it is not, or is not below any of `allow`.
    package init?(_ text: [UInt8], named name: InstanceName, allow: TargetList, hash: ([UInt8]) -> Fingerprint) {
        guard let token = Self.token(of: name), name.values.count == 2, name.values[1] == hash(text).text else {
            return nil
        }
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard let first = lines.first, let address = try? TargetAddress(Array(first)),
            let entry = allow.entry(for: address)
        else { return nil }
        var fields: [SourceConfiguration.Field] = []
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")),
                let field = String(validating: line[..<colon], as: UTF8.self),
                let value = String(validating: line[colon...].dropFirst(2), as: UTF8.self)
            else { return nil }
            fields.append(.init(name: field, value: value))
        }
        self.name = name
        self.token = token
        self.address = address
        self.fields = fields
        self.isInside = entry.isInside
    }

    /// The hash of the token in a name of this form.
    package static func token(of name: InstanceName) -> Fingerprint? {
        guard name.template == Self.template, let text = name.values.first, text.utf8.count == 32,
            let first = UInt64(text.prefix(16), radix: 16), let second = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        return Fingerprint(first: first, second: second)
    }

    /// What is asked for, a line for the URL and one for each field.
    package var text: [UInt8] { Self.text(of: self.address, self.fields) }

    private static func text(of address: TargetAddress, _ fields: [SourceConfiguration.Field]) -> [UInt8] {
        // Neither a URL nor a field has a line break in it, so that no two targets have one text.
        let parts = [address.text] + fields.map { "\($0.name): \($0.value)" }
        return Array(parts.joined(separator: "\n").utf8)
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
