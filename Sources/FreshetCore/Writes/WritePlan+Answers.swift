// What an answer of the upstream means for a write, and what the client is told in the end.

import HTTPFields
import JSON

extension WritePlan {
    // MARK: Before the write

    mutating func readAnswered(_ result: Result<ExchangeResponse, WriteFailure>) -> Step {
        let response: ExchangeResponse
        do {
            response = try result.get()
        } catch {
            return self.finish(.notApplied("upstream_unreachable", "Not written: \(error.error.message)."), .forgotten)
        }
        switch response.status {
        case 200, 203:
            guard let document = self.representation(in: response) else {
                let detail = "The upstream answered a read with what is no JSON, or is not what was asked for."
                return self.finish(.notApplied("upstream_answer", detail, upstream: response.status), .forgotten)
            }
            self.noteUpstream(document, response)
            return self.decide()
        case 404 where self.scene.write.request.key != nil, 410 where self.scene.write.request.key != nil:
            self.theirs = Theirs(document: nil, tag: nil, isRead: true)
            return self.decide()
        case let status:
            return self.refusedByUpstream(response, status)
        }
    }

    private mutating func noteUpstream(_ document: Document, _ response: ExchangeResponse) {
        let tag = UpstreamTag.strong(response.value(of: "etag"), isIdentity: response.isIdentity)
        self.theirs = Theirs(document: document, tag: tag, isRead: true)
        self.upstream = tag.map { UpstreamVersion(tag: $0, hash: document.hash) }
    }

    // MARK: The write

    mutating func writeAnswered(_ result: Result<ExchangeResponse, WriteFailure>, _ attempt: WriteAttempt) -> Step {
        let response: ExchangeResponse
        do {
            response = try result.get()
        } catch {
            switch error {
            case .notSent(let error):
                return self.finish(.notApplied("upstream_unreachable", "Not written: \(error.message)."), .forgotten)
            case .cut(let error):
                let detail = "The write was sent, and no answer came: \(error.message)."
                return self.finish(.unknown(detail), .unknown(attempt))
            }
        }
        switch response.status {
        case 200..<300, 303:
            return self.written(response, attempt)
        case 412 where attempt.exchange.ifMatch != nil || attempt.exchange.isCreation:
            // Somebody was faster. The validator is of no use any more.
            self.theirs.tag = nil
            self.upstream = nil
            return self.read()
        case 300..<400:
            let detail = "The upstream redirects the write; set item_url or url to where it is written."
            return self.finish(.notApplied("upstream_redirected", detail, upstream: response.status), .forgotten)
        case 500...:
            let detail = "The upstream failed with \(response.status) during the write."
            return self.finish(.unknown(detail, upstream: response.status), .unknown(attempt))
        case let status:
            return self.refusedByUpstream(response, status)
        }
    }

    /// A 4xx: it is passed on, but for a credential that is the gateway's own.
    private mutating func refusedByUpstream(_ response: ExchangeResponse, _ status: Int) -> Step {
        switch status {
        case 401, 403, 407:
            guard !self.scene.isForwarded || status == 407 else {
                return self.finish(.refused(status, retryAfter: nil), .forgotten)
            }
            let detail = "The upstream refuses the credentials of the source with \(status)."
            return self.finish(.notApplied("upstream_credentials", detail, upstream: status), .forgotten)
        case 408, 425, 429:
            return self.finish(.refused(status, retryAfter: response.retryAfterSeconds ?? 1), .forgotten)
        case 400..<500:
            return self.finish(.refused(status, retryAfter: nil), .settled)
        case _:
            let detail = "The upstream answered \(status)."
            return self.finish(.notApplied("upstream_answer", detail, upstream: status), .forgotten)
        }
    }

    // MARK: The write once more

    mutating func repetitionAnswered(_ result: Result<ExchangeResponse, WriteFailure>, _ attempt: WriteAttempt) -> Step
    {
        let unknown = "It was sent again with its first validator, which tells nothing: the outcome is unknown."
        guard let response = try? result.get() else { return self.finish(.unknown(unknown), .unknown(attempt)) }
        let isGone = attempt.exchange.method == .delete && (response.status == 404 || response.status == 410)
        let hasValidator = attempt.exchange.ifMatch != nil
        switch response.status {
        case 200..<300, 303:
            return self.written(response, attempt)
        case 412 where hasValidator, _ where isGone:
            self.state = .confirming(attempt)
            return .exchange(WriteExchange(.get, self.scene.place))
        case 400..<500 where !hasValidator && ![401, 403, 407, 408, 425, 429].contains(response.status):
            // The upstream knows the key, and gives the answer of the first time.
            return self.refusedByUpstream(response, response.status)
        case let status:
            return self.finish(.unknown(unknown, upstream: status), .unknown(attempt))
        }
    }

    mutating func confirmationAnswered(_ result: Result<ExchangeResponse, WriteFailure>, _ attempt: WriteAttempt)
        -> Step
    {
        let unknown = "The upstream holds something else than what was written: it may have been written over since."
        guard let response = try? result.get() else { return self.finish(.unknown(unknown), .unknown(attempt)) }
        switch response.status {
        case 200, 203:
            guard let document = self.representation(in: response), let intended = attempt.intended,
                let wanted = try? Document(parsing: intended, limits: .widest), wanted == document
            else { return self.finish(.unknown(unknown), .unknown(attempt)) }
            self.noteUpstream(document, response)
            return self.take(document, attempt)
        case 404, 410:
            guard attempt.exchange.method == .delete else { return self.finish(.unknown(unknown), .unknown(attempt)) }
            return self.take(nil, attempt)
        case let status:
            return self.finish(.unknown(unknown, upstream: status), .unknown(attempt))
        }
    }

    // MARK: After the write

    private mutating func written(_ response: ExchangeResponse, _ attempt: WriteAttempt) -> Step {
        self.upstream = nil
        if attempt.exchange.method == .delete, response.status != 202 { return self.take(nil, attempt) }
        if attempt.exchange.method == .post { return self.created(response, attempt) }
        if response.status != 202, response.status != 303, let document = self.result(in: response, of: attempt) {
            self.noteUpstream(document, response)
            return self.take(document, attempt)
        }
        self.state = .fetching(attempt, status: response.status)
        return .exchange(WriteExchange(.get, self.scene.place))
    }

    /// The upstream says what it created, or where.
    private mutating func created(_ response: ExchangeResponse, _ attempt: WriteAttempt) -> Step {
        if response.status != 202, response.status != 303,
            let document = Self.document(in: response, self.scene.limits),
            let key = self.scene.newKey(of: document)
        {
            return self.take(document, attempt, key: key)
        }
        if let key = response.value(of: "location").flatMap({ self.scene.key(ofLocation: $0) }) {
            self.createdKey = key
            self.state = .fetching(attempt, status: response.status)
            return .exchange(WriteExchange(.get, .item(key)))
        }
        self.state = .polling(attempt)
        return .poll
    }

    mutating func fetchAnswered(
        _ result: Result<ExchangeResponse, WriteFailure>,
        _ attempt: WriteAttempt,
        status: Int
    ) -> Step {
        let response = try? result.get()
        let document = response.flatMap { $0.status == 200 || $0.status == 203 ? $0 : nil }
            .flatMap { self.createdKey == nil ? self.representation(in: $0) : Self.document(in: $0, self.scene.limits) }
        if status == 202 { return self.accepted(response, document, attempt) }
        if attempt.exchange.method == .post {
            guard let document, let key = self.createdKey, self.scene.newKey(of: document) == key else {
                self.state = .polling(attempt)
                return .poll
            }
            return self.take(document, attempt, key: key)
        }
        if let response, let document {
            self.noteUpstream(document, response)
            return self.take(document, attempt)
        }
        if let response, response.status == 404 || response.status == 410, self.scene.write.request.key != nil {
            // Somebody has removed it since.
            return self.take(nil, attempt)
        }
        // It was carried out; what the upstream made of it, the next poll tells.
        return self.take(attempt.intended.flatMap { try? Document(parsing: $0, limits: .widest) }, attempt)
    }

    /// 202: the upstream will see to it. It counts as written once it shows.
    private mutating func accepted(_ response: ExchangeResponse?, _ document: Document?, _ attempt: WriteAttempt)
        -> Step
    {
        let wanted = attempt.intended.flatMap { try? Document(parsing: $0, limits: .widest) }
        let isGone = response?.status == 404 || response?.status == 410
        if let document, document == wanted { return self.take(document, attempt) }
        if wanted == nil, isGone, attempt.exchange.method == .delete { return self.take(nil, attempt) }
        let detail = "The upstream has accepted the write, and does not show it yet."
        return self.finish(.unknown(detail, upstream: 202), .unknown(attempt))
    }

    private mutating func take(_ document: Document?, _ attempt: WriteAttempt, key: String? = nil) -> Step {
        self.state = .taking(attempt)
        guard let key else { return .take(self.scene.edit(document), tag: self.upstream?.tag) }
        self.createdKey = key
        return .take(.creation(key, document?.text ?? []), tag: nil)
    }

    // MARK: Representations

    /// What is written, as an answer to a GET has it.
    private func representation(in response: ExchangeResponse) -> Document? {
        guard let document = Self.document(in: response, self.scene.limits) else { return nil }
        guard let key = self.scene.write.request.key, let identity = self.scene.rule?.key else { return document }
        return document.value(at: identity)?.isKey(key) == true ? document : nil
    }

    /// What was written, where the answer to the write is that: many upstreams answer with a word about how it went. It is
    /// believed where it is what was sent, or says that it is the resource; an item says so by its identity.
    private func result(in response: ExchangeResponse, of attempt: WriteAttempt) -> Document? {
        guard let document = self.representation(in: response) else { return nil }
        if self.scene.write.request.key != nil, self.scene.rule?.key != nil { return document }
        if response.value(of: "etag") != nil || response.value(of: "content-location") != nil { return document }
        let intended = attempt.intended.flatMap { try? Document(parsing: $0, limits: .widest) }
        return intended == document ? document : nil
    }

    private static func document(in response: ExchangeResponse, _ limits: ParseLimits) -> Document? {
        guard !response.body.isEmpty else { return nil }
        return try? Document(parsing: response.body, limits: limits)
    }

    // MARK: The answer

    mutating func succeed(_ taken: Taken, _ attempt: WriteAttempt) -> Step {
        self.state = .done
        let request = self.scene.write.request
        let key = self.createdKey ?? request.key
        let document = self.written(in: taken.value, key: key)
        var answer = WriteAnswer(status: attempt.creates ? 201 : document == nil ? 204 : 200)
        answer.cursor = taken.cursor
        answer.etag = document.map { _ in "\"\(taken.cursor)\"" }
        answer.value = document?.text
        if let key, let document { self.written = (key, document.text) }
        if attempt.creates, let key {
            answer.location = "/v1/items/\(request.source)/\(URLQuery.encoded(key))"
        }
        if self.scene.policy.guard == .compare || self.scene.policy.guard == .field,
            request.method != .post, !attempt.exchange.isCreation
        {
            answer.guardNote = "compared"
        }
        return .finish(answer.minimal(if: request.isMinimal), .settled)
    }

    private func written(in value: Document, key: String?) -> Document? {
        guard self.scene.write.request.method != .delete else { return nil }
        guard let key else { return self.scene.write.request.method == .post ? nil : value }
        guard let rule = self.scene.rule, case .found(let item, _) = value.item(key, in: rule) else { return nil }
        return item.document
    }

    mutating func finishDryRun(_ result: Document?) -> Step {
        self.state = .done
        var answer = WriteAnswer(status: result == nil ? 204 : 200)
        answer.value = result?.text
        answer.preference = "dry-run"
        return .finish(answer, .forgotten)
    }
}

extension WriteAnswer {
    /// Without the value, where none was asked for.
    package func minimal(if isMinimal: Bool) -> WriteAnswer {
        guard isMinimal, self.problem == nil else { return self }
        var answer = self
        answer.value = nil
        answer.status = self.status == 200 ? 204 : self.status
        answer.preference = "return=minimal"
        return answer
    }
}

extension WriteScene {
    /// The identity of an item that was created.
    func newKey(of document: Document) -> String? {
        self.rule?.key.flatMap { document.value(at: $0)?.key }.flatMap { WritePolicy.isKey($0) ? $0 : nil }
    }

    /// The key in a URL that an upstream gives for an item: where it is one that ``WritePolicy/itemURL`` makes, with origin or
    /// without.
    func key(ofLocation location: [UInt8]) -> String? {
        guard let template = self.policy.itemURL, let mark = template.firstRange(of: "{key}") else { return nil }
        let text = String(decoding: location, as: UTF8.self)
        let tail = String(template[mark.upperBound...])
        var head = String(template[..<mark.lowerBound])
        if text.hasPrefix("/"), let path = Self.path(of: head) { head = path }
        guard text.hasPrefix(head), text.hasSuffix(tail), text.utf8.count > head.utf8.count + tail.utf8.count else {
            return nil
        }
        let segment = text.utf8.dropFirst(head.utf8.count).dropLast(tail.utf8.count)
        let key = PercentText.decoded(segment)
        return key.flatMap { WritePolicy.isKey($0) && !segment.contains(UInt8(ascii: "/")) ? $0 : nil }
    }

    private static func path(of url: String) -> String? {
        guard let scheme = url.firstRange(of: "://") else { return nil }
        return url[scheme.upperBound...].firstIndex(of: "/").map { String(url[$0...]) }
    }
}

/// Percent-decoding of a segment of a path.
enum PercentText {
    static func decoded(_ text: some Collection<UInt8>) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(self.digit), let low = rest.popFirst().flatMap(self.digit) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 0x30
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - 0x57
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - 0x37
        case _: nil
        }
    }
}

extension ExchangeResponse {
    /// Not compressed on its way.
    var isIdentity: Bool {
        self.value(of: "content-encoding").map { $0.isEmpty || $0.elementsEqual("identity".utf8) } ?? true
    }

    /// `Retry-After` in seconds; a date is left to the client's own judgement.
    var retryAfterSeconds: Int? {
        guard let value = self.value(of: "retry-after"), value.count <= 6 else { return nil }
        return Int(String(decoding: value, as: UTF8.self)).flatMap { $0 >= 0 ? $0 : nil }
    }
}
