// The far side of the polls: resources that change, and answers that are conditional, late, wrong or missing.

import FreshetCore
import HTTPFields

/// One resource. Its values are numbered, upwards and never twice: `{"n":K,"pad":"…"}`.
struct SimulatedUpstream: Sendable {
    /// The value that it has now.
    private(set) var number: Int
    /// Values so small that a patch is no smaller, so that every change is sent whole.
    let isSmall: Bool
    /// Whether it has entity tags.
    let hasValidator: Bool

    private static let pad = String(repeating: "x", count: 150)

    init(number: Int, isSmall: Bool, hasValidator: Bool) {
        self.number = number
        self.isSmall = isSmall
        self.hasValidator = hasValidator
    }

    mutating func change(by count: Int) {
        self.number += count
    }

    var body: [UInt8] {
        Array((self.isSmall ? #"{"n":\#(self.number)}"# : #"{"n":\#(self.number),"pad":"\#(Self.pad)"}"#).utf8)
    }

    /// What a poll that arrives now is answered.
    func answer(_ request: PollRequest, using generator: inout some RandomNumberGenerator) -> Answer {
        switch Int.random(in: 0..<100, using: &generator) {
        case 0: return .failure(UpstreamError(.transport, "as scripted"))
        case 1: return .response(ExchangeResponse(status: 500, fields: [], body: []))
        case 2:
            return .response(ExchangeResponse(status: 304, fields: [], body: []), isSpurious: !self.matches(request))
        case 3: return .response(ExchangeResponse(status: 200, fields: Self.fields, body: Array(self.body.dropLast())))
        case _: break
        }
        if self.matches(request) {
            return .response(ExchangeResponse(status: 304, fields: [], body: []))
        }
        var fields = Self.fields
        if self.hasValidator { fields.append(HeaderField(name: Array("etag".utf8), value: self.entityTag)) }
        return .response(ExchangeResponse(status: 200, fields: fields, body: self.body))
    }

    private func matches(_ request: PollRequest) -> Bool {
        self.hasValidator && request.validators.etag == self.entityTag
    }

    private var entityTag: [UInt8] { Array("\"\(self.number)\"".utf8) }

    private static let fields = [
        HeaderField(name: Array("content-type".utf8), value: Array("application/json".utf8))
    ]

    /// The number in a value's text.
    static func number(in value: [UInt8]) -> Int? {
        SimulatedClient.number(after: #""n":"#, in: value[...])
    }
}

/// What comes back of a poll.
enum Answer: Sendable {
    /// A spurious one says "not modified" to a value that the poll did not name.
    case response(ExchangeResponse, isSpurious: Bool = false)
    case failure(UpstreamError)
}
