import Testing

@testable import FreshetCore

@Suite("Problems of writes")
struct WriteProblemTests {
    @Test("conditions that contradict each other, or are none")
    func conditions() {
        for (ifMatch, ifNoneMatch) in [("\"a-1\"", "*"), (nil, "\"a-1\""), ("*", "*")] as [(String?, String?)] {
            let problem = #expect(throws: WriteProblem.self) {
                try WriteCondition(ifMatch: ifMatch, ifNoneMatch: ifNoneMatch)
            }
            #expect(problem?.status == 400 && problem?.code == "bad_condition")
        }
    }

    @Test("bounds, and a result that is none of the source's values, say what became of the write")
    func outcomes() {
        let problems: [(WriteProblem, String, outcome: String?)] = [
            (.badKey, "400 bad_idempotency_key", nil), (.keysFull("full"), "503 idempotency_store_full", "not_applied"),
            (.tooManyWrites, "503 too_many_writes", "not_applied"),
            (.resultRefused(UpstreamError(.malformed, "no JSON")), "502 result_refused", "applied"),
        ]
        for (problem, expected, outcome) in problems {
            #expect("\(problem.status) \(problem.code)" == expected)
            let said = problem.members.first { $0.name == "outcome" }.map { String(decoding: $0.json, as: UTF8.self) }
            #expect(said == outcome.map { "\"\($0)\"" })
        }
    }
}
