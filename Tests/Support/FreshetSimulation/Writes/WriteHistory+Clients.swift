// The clients of a history: read, write on what was read, try again with the same key, give up.

import FreshetCore
import JSON

extension WriteHistory {
    static let maxTries = 8

    mutating func clientActs(_ client: Int) {
        if let id = self.current[client] {
            // Time to try again.
            guard !self.writes[id].isOut else { return }
            self.writes[id].isOut = true
            self.writes[id].tries += 1
            return self.letters.append(.request(id))
        }
        guard self.stepsLeft[client] > 0 else { return }
        self.stepsLeft[client] -= 1
        if self.read[client] == nil || self.chance(40) {
            self.read[client] = self.log.last.map { ($0.sequence, $0.value) }
            return self.schedule(1 + self.number(20), .client(client))
        }
        guard let write = self.makeWrite(client) else { return self.schedule(5, .client(client)) }
        self.writes.append(write)
        self.current[client] = self.writes.count - 1
        self.schedule(1 + self.number(10), .client(client))
    }

    private mutating func makeWrite(_ client: Int) -> ClientWrite? {
        guard let read = self.read[client] else { return nil }
        self.unique += 1
        let id = self.writes.count
        let key = Self.keys[self.number(Self.keys.count)]
        let field = ["a", "b", "c"][self.number(3)]
        let base: Document?
        if case .found(let item, _) = read.value.item(key, in: Self.rule) { base = item.document } else { base = nil }
        var request: WriteRequest
        var mine: Document?
        let tag = "\"\(self.cursor(read.cursor))\""
        if self.chance(8) {
            request = WriteRequest(.post, source: "items", body: Array("{\"w\":\(self.unique)}".utf8))
        } else if let base {
            switch self.number(10) {
            case 0:
                request = WriteRequest(.delete, source: "items", key: key)
            case 1...3:
                let document = base.applying(mergePatch: SimulatedWrites.parsed("{\"\(field)\":\(self.unique)}"))
                mine = document
                request = WriteRequest(.put, source: "items", key: key, body: document.text)
            case 4...5:
                let body = "[{\"op\":\"add\",\"path\":\"/\(field)\",\"value\":\(self.unique)}]"
                request = WriteRequest(.patch, source: "items", key: key, body: Array(body.utf8))
                request.contentType = "application/json-patch+json"
                mine = base.applying(mergePatch: SimulatedWrites.parsed("{\"\(field)\":\(self.unique)}"))
            default:
                let body = "{\"\(field)\":\(self.unique)}"
                request = WriteRequest(.patch, source: "items", key: key, body: Array(body.utf8))
                request.contentType = "application/merge-patch+json"
                mine = base.applying(mergePatch: SimulatedWrites.parsed(body))
            }
            let isNamed = self.policy.conflict == .reject || self.chance(70)
            if isNamed { request.ifMatch = tag }
            if !isNamed, request.method != .patch { request.ifMatch = tag }
        } else {
            let document = SimulatedWrites.parsed("{\"id\":\"\(key)\",\"\(field)\":\(self.unique)}")
            mine = document
            request = WriteRequest(.put, source: "items", key: key, body: document.text)
            request.ifNoneMatch = "*"
        }
        if self.chance(85) { request.idempotencyKey = "w\(id)" }
        return ClientWrite(client: client, request: request, base: base, mine: mine)
    }

    /// The connection to the client is gone, or its gateway is.
    mutating func connectionLost(_ id: Int) {
        self.writes[id].isOut = false
        guard self.writes[id].request.idempotencyKey != nil, self.writes[id].tries < Self.maxTries else {
            return self.settle(id, .unknown)
        }
        self.schedule(10 + self.number(60), .client(self.writes[id].client))
    }

    /// An answer reaches the client.
    mutating func reply(_ id: Int, _ answer: WriteAnswer) {
        self.writes[id].isOut = false
        guard let problem = answer.problem else {
            self.figures.applied += 1
            return self.settle(id, .applied)
        }
        let isKeyed = self.writes[id].request.idempotencyKey != nil
        let mayTry = self.writes[id].tries < Self.maxTries
        let again = 10 + self.number(80)
        switch problem.status {
        case 504:
            guard isKeyed, mayTry else { return self.settle(id, .unknown) }
            self.schedule(again, .client(self.writes[id].client))
        case 409 where problem.code == "write_under_way":
            guard mayTry else { return self.settle(id, .unknown) }
            self.schedule(again, .client(self.writes[id].client))
        case 429, 500...:
            guard mayTry else { return self.settle(id, .refused(problem.code)) }
            self.schedule(again, .client(self.writes[id].client))
        case _:
            if ["conflict", "precondition_failed"].contains(problem.code) { self.writes[id].conflicts += 1 }
            self.settle(id, .refused(problem.code))
        }
    }

    private mutating func settle(_ id: Int, _ verdict: ClientWrite.Verdict) {
        if let earlier = self.writes[id].verdict {
            self.problems.append("\(id): two verdicts, \(earlier) and \(verdict)")
        }
        self.writes[id].verdict = verdict
        if verdict == .unknown { self.figures.unknown += 1 }
        if self.writes[id].conflicts > 0 { self.figures.conflicts += 1 }
        let client = self.writes[id].client
        self.current[client] = nil
        self.schedule(1 + self.number(20), .client(client))
    }
}
