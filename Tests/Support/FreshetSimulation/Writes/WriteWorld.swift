// Clients, one gateway and one upstream under a seed: the pure parts of writes are the program's own, and time, network,
// disk and upstream are not.

import Foundation
import FreshetCore
import HTTPFields
import JSON

/// A mistake that the histories must find.
package enum WritePlant: String, CaseIterable, Sendable {
    /// Writes are sent without a condition.
    case guarding
    /// What was merged is forgotten, and mine is sent.
    case merging
    /// Keys do not outlive the gateway, nor a cut.
    case idempotency
    /// Writes of one item run beside each other.
    case ordering
}

/// One thing that happens at a time.
struct WorldEvent {
    enum What {
        case client(Int)
        case poll
        case pollAnswered(Int, ExchangeResponse?)
        /// A request reaches the upstream: even where who sent it is gone by then.
        case arrive(WorldExchange)
        /// The gateway of a generation is told.
        case answered(write: Int, generation: Int, number: Int, Result<ExchangeResponse, WriteFailure>)
        case send(write: Int, generation: Int, WriteExchange)
        case kill
        case others
    }

    var time: Int
    var order: Int
    var what: What
}

struct WorldExchange {
    var write: Int
    var generation: Int
    var number: Int
    var exchange: WriteExchange
    /// Its answer comes too late, or never.
    var losesAnswer: Bool
    var fault: SimulatedWrites.Fault
}

/// What a client wants, over all its tries.
struct ClientWrite {
    enum Verdict: Equatable {
        case applied
        case refused(String)
        case unknown
    }

    var client: Int
    var request: WriteRequest
    /// What the client had read; `nil` for nothing.
    var base: Document?
    var mine: Document?
    var tries = 0
    var verdict: Verdict?
    /// How often the upstream carried it out.
    var effects = 0
    /// How often a conflict was reported for it.
    var conflicts = 0
    var isOut = false
}

/// Writes of one generation of the gateway.
struct RunningWrite {
    var plan: WritePlan?
    var scope: IdempotencyScope?
    var resumed: WriteAttempt?
    var ticket: WriteQueue.Ticket
    var number = 0
    /// On its way to or at the upstream.
    var isSent = false
}

/// The upstream: items by key, and a tag for each.
struct SimulatedWrites {
    enum Fault: CaseIterable {
        case none, failsBefore, failsAfter, conflict, preconditionRequired, spuriousMismatch, tooMany
    }

    enum Tags: CaseIterable {
        case strong, suffixed, weak, absent
    }

    enum Answers: CaseIterable {
        case representation, empty, word
    }

    var items: [String: Document] = [:]
    var versions: [String: Int] = [:]
    var order: [String] = []
    var version = 0
    var created = 0
    let tags: Tags
    let answers: Answers

    /// All states that an item has had, the latest last.
    var states: [String: [[UInt8]?]] = [:]

    var document: Document {
        let list = self.order.compactMap { self.items[$0]?.text }
        return SimulatedWrites.parsed("[\(list.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ","))]")
    }

    static func parsed(_ text: String) -> Document {
        guard let document = try? Document(parsing: Array(text.utf8)) else {
            fatalError("the world made no JSON: \(text)")
        }
        return document
    }

    mutating func set(_ key: String, _ document: Document?) {
        self.version += 1
        self.items[key] = document
        self.versions[key] = document == nil ? nil : self.version
        if !self.order.contains(key) { self.order.append(key) }
        if document == nil { self.order.removeAll { $0 == key } }
        self.states[key, default: [nil]].append(document?.text)
    }

    func tag(of key: String) -> [UInt8]? {
        guard let version = self.versions[key] else { return nil }
        switch self.tags {
        case .strong, .suffixed: return Array("\"v\(version)\"".utf8)
        case .weak: return Array("W/\"v\(version)\"".utf8)
        case .absent: return nil
        }
    }

    func response(_ status: Int, key: String? = nil, body: [UInt8] = []) -> ExchangeResponse {
        var fields = [HeaderField(name: Array("content-type".utf8), value: Array("application/json".utf8))]
        if let key, let tag = self.tag(of: key) { fields.append(HeaderField(name: Array("etag".utf8), value: tag)) }
        return ExchangeResponse(status: status, fields: fields, body: body, wireBytes: body.count)
    }

    func collection(_ validators: Validators) -> ExchangeResponse {
        let tag = Array((self.tags == .suffixed ? "\"c\(self.version)-gzip\"" : "\"c\(self.version)\"").utf8)
        var answer = ExchangeResponse(status: 200, fields: [], body: self.document.text)
        if validators.etag == tag { answer = ExchangeResponse(status: 304, fields: [], body: []) }
        answer.fields = [
            HeaderField(name: Array("content-type".utf8), value: Array("application/json".utf8)),
            HeaderField(name: Array("etag".utf8), value: tag),
        ]
        return answer
    }

    /// Carries a request out. `effect` is called with what was there before and after.
    mutating func carryOut(
        _ exchange: WriteExchange,
        _ fault: Fault,
        effect: (String, Document?, Document?) -> Void
    ) -> ExchangeResponse {
        switch fault {
        case .failsBefore: return self.response(500)
        case .tooMany: return self.response(429)
        case .conflict where !exchange.isRead: return self.response(409)
        case .preconditionRequired where !exchange.isRead: return self.response(428)
        case .spuriousMismatch where exchange.ifMatch != nil: return self.response(412)
        case .none, .failsAfter, .conflict, .preconditionRequired, .spuriousMismatch: break
        }
        let answer = self.perform(exchange, effect: effect)
        return fault == .failsAfter && !exchange.isRead ? self.response(500) : answer
    }

    private mutating func perform(
        _ exchange: WriteExchange,
        effect: (String, Document?, Document?) -> Void
    ) -> ExchangeResponse {
        guard case .item(let key) = exchange.target else {
            guard exchange.method == .post, let body = try? Document(parsing: exchange.body) else {
                return self.response(405)
            }
            self.created += 1
            let made = "n\(self.created)"
            let document = body.applying(mergePatch: Self.parsed("{\"id\":\"\(made)\"}"))
            self.set(made, document)
            effect(made, nil, document)
            return self.answer(201, made)
        }
        let before = self.items[key]
        if let tag = exchange.ifMatch, tag != self.tag(of: key) { return self.response(412) }
        if exchange.isCreation, before != nil { return self.response(412) }
        switch exchange.method {
        case .get:
            return before.map { self.response(200, key: key, body: $0.text) } ?? self.response(404)
        case .delete:
            guard before != nil else { return self.response(404) }
            self.set(key, nil)
            effect(key, before, nil)
            return self.response(204)
        case .put, .patch:
            guard before != nil || exchange.isCreation else { return self.response(404) }
            guard let body = try? Document(parsing: exchange.body) else { return self.response(400) }
            let after: Document?
            switch exchange.contentType {
            case "application/merge-patch+json": after = before?.applying(mergePatch: body)
            case "application/json-patch+json": after = before.flatMap { try? $0.applying(patch: body) }
            case _: after = body
            }
            guard let after else { return self.response(422) }
            self.set(key, after)
            effect(key, before, after)
            return self.answer(before == nil ? 201 : 200, key)
        case .post:
            return self.response(405)
        }
    }

    private func answer(_ status: Int, _ key: String) -> ExchangeResponse {
        switch self.answers {
        case .representation: return self.response(status, key: key, body: self.items[key]?.text ?? [])
        case .empty: return self.response(status == 200 ? 204 : status)
        case .word: return self.response(status, body: Array("{\"ok\":true}".utf8))
        }
    }
}
