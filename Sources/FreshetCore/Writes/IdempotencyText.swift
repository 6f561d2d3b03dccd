// Records of idempotency keys as text, as the disk has them.

import JSON

extension IdempotencyScope {
    /// One text for each scope.
    package var text: [UInt8] {
        var json = JSONWriter()
        json.array { json in
            json.string(self.account.kind.rawValue)
            json.string(self.account.issuer)
            json.string(self.account.id)
            json.string(self.key)
        }
        return json.text
    }

    /// `nil` for what ``text`` does not write.
    package init?(text: [UInt8]) {
        guard let document = try? Document(parsing: text, limits: .widest), document.root.count == 4,
            let kind = document.root[0]?.string.flatMap(Principal.Kind.init(rawValue:)),
            let issuer = document.root[1]?.string, let id = document.root[2]?.string, let key = document.root[3]?.string
        else { return nil }
        self.init(account: Principal.Account(kind: kind, issuer: issuer, id: id), key: key)
    }
}

extension IdempotencyRecord.State {
    /// JSON of this program alone.
    package var text: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            switch self {
            case .begun: break
            case .attempted(let attempt):
                json.name("attempt")
                attempt.write(to: &json)
            case .answered(let answer):
                json.name("answer")
                answer.write(to: &json)
            }
        }
        return json.text
    }

    /// `nil` for what ``text`` does not write.
    package init?(text: [UInt8]) {
        guard let document = try? Document(parsing: text, limits: .widest), document.root.kind == .object else {
            return nil
        }
        if let value = document.root["attempt"] {
            guard let attempt = WriteAttempt(value) else { return nil }
            self = .attempted(attempt)
        } else if let value = document.root["answer"] {
            guard let answer = WriteAnswer(value) else { return nil }
            self = .answered(answer)
        } else {
            self = .begun
        }
    }
}

extension JSONWriter {
    fileprivate mutating func member(_ name: String, text: String?) {
        if let text { self.member(name, text) }
    }

    /// Text that need not be JSON.
    fileprivate mutating func member(_ name: String, bytes: [UInt8]?) {
        guard let bytes else { return }
        self.member(name, String(decoding: bytes, as: UTF8.self))
    }
}

extension WriteAttempt {
    fileprivate func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("method", self.exchange.method.rawValue)
            if case .item(let key) = self.exchange.target { json.member("item", key) }
            // JSON is UTF-8, and so is every body here.
            json.member("body", bytes: self.exchange.body)
            json.member("type", text: self.exchange.contentType)
            json.member("if_match", bytes: self.exchange.ifMatch)
            json.member("creation", self.exchange.isCreation)
            json.member("key", text: self.exchange.idempotencyKey)
            if let intended { json.member("intended", raw: intended) }
            json.member("creates", self.creates)
        }
    }

    fileprivate init?(_ value: Value) {
        guard let method = value["method"]?.string.flatMap(WriteExchange.Method.init(rawValue:)),
            let body = value["body"]?.utf8
        else { return nil }
        var exchange = WriteExchange(method, value["item"]?.string.map(WriteExchange.Target.item) ?? .value)
        exchange.body = body
        exchange.contentType = value["type"]?.string
        exchange.ifMatch = value["if_match"]?.utf8
        exchange.isCreation = value["creation"]?.bool ?? false
        exchange.idempotencyKey = value["key"]?.string
        let intended = value["intended"].map { Array($0.text) }
        self.init(exchange: exchange, intended: intended, creates: value["creates"]?.bool ?? false)
    }
}

extension WriteAnswer {
    fileprivate func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("status", self.status)
            json.member("etag", text: self.etag)
            json.member("cursor", text: self.cursor?.description)
            json.member("location", text: self.location)
            if let value { json.member("value", raw: value) }
            json.member("guard", text: self.guardNote)
            json.member("preference", text: self.preference)
            guard let problem else { return }
            json.name("problem")
            json.object { json in
                json.member("code", problem.code)
                json.member("detail", problem.detail)
                json.name("members")
                json.object { json in
                    for member in problem.members { json.member(member.name, raw: member.json) }
                }
            }
        }
    }

    fileprivate init?(_ value: Value) {
        guard let status = value["status"]?.int, (200...599).contains(status) else { return nil }
        self.init(status: status)
        self.etag = value["etag"]?.string
        self.cursor = value["cursor"]?.string.flatMap { Cursor($0) }
        self.location = value["location"]?.string
        self.value = value["value"].map { Array($0.text) }
        self.guardNote = value["guard"]?.string
        self.preference = value["preference"]?.string
        guard let stored = value["problem"] else { return }
        guard let code = stored["code"]?.string, let detail = stored["detail"]?.string, let members = stored["members"]
        else {
            return nil
        }
        var problem = WriteProblem(status, code, detail)
        for member in members.members { problem.add(member.name, json: Array(member.value.text)) }
        self.problem = problem
    }
}
