import HTTPFields

@testable import FreshetCore

/// An upstream as a function, probed as the program probes: for tests of what is concluded.
struct ProbeWorld {
    /// One answer: status, fields, body.
    struct Reply {
        var status = 200
        var fields: [(String, String)] = []
        var body = ""
    }

    /// The version that the upstream has now.
    var version = 0
    private(set) var answers: [ProbedAnswer] = []
    private(set) var pauses = 0

    /// Probes `source` until the plan is done. A pause is a new version.
    static func probe(
        _ source: SourceConfiguration = SourceConfiguration(name: "rates", url: "https://api.example.com/rates"),
        rounds: Int = 4,
        changes: Bool = true,
        _ reply: (_ version: Int, _ question: ProbedAnswer.Question) -> Reply
    ) -> SourceProbe {
        var world = ProbeWorld()
        world.run(rounds: rounds, changes: changes, reply)
        return SourceProbe(source, answers: world.answers)
    }

    mutating func run(rounds: Int, changes: Bool, _ reply: (Int, ProbedAnswer.Question) -> Reply) {
        var plan = ProbePlan(rounds: rounds, isConditional: true)
        while true {
            switch plan.next(after: self.answers) {
            case .done: return
            case .pause:
                self.pauses += 1
                if changes { self.version += 1 }
            case .ask(let question):
                let answer = reply(self.version, question)
                let fields = answer.fields.map { HeaderField(name: Array($0.utf8), value: Array($1.utf8)) }
                let body = answer.status == 304 ? [] : Array(answer.body.utf8)
                let response = ExchangeResponse(
                    status: answer.status,
                    fields: fields,
                    body: body,
                    wireBytes: body.count
                )
                let at = WallTime(milliseconds: 1_800_000_000_000 + Int64(self.pauses) * 2000)
                self.answers.append(ProbedAnswer(question: question, at: at, result: .success(response)))
            }
        }
    }

    /// An upstream with one strong tag for each version, as it should be.
    static func honest(_ version: Int, _ question: ProbedAnswer.Question, body: String? = nil) -> Reply {
        let tag = "\"v\(version)\""
        let isSame = question.condition.etag.map { $0.elementsEqual(tag.utf8) } ?? false
        let fields = [("etag", tag), ("content-type", "application/json")]
        return Reply(status: isSame ? 304 : 200, fields: fields, body: body ?? "{\"n\":\(version)}")
    }
}
