import JSON
import Testing

@testable import FreshetCore

@Suite("What validators are worth")
struct ValidatorVerdictTests {
    typealias Reply = ProbeWorld.Reply

    @Test("a tag that is honoured works, whether the value changes or not", arguments: [true, false])
    func works(changes: Bool) {
        let probe = ProbeWorld.probe(changes: changes) { ProbeWorld.honest($0, $1) }
        #expect(probe.verdict == .works(isDate: false, isWeak: false))
    }

    @Test("no validator, none judged")
    func absent() {
        #expect(ProbeWorld.probe { version, _ in Reply(body: "[\(version)]") }.verdict == .absent)
    }

    @Test(
        "the whole value for the very tag: useless; and where no coding helps, that is said",
        arguments: [true, false]
    )
    func useless(helps: Bool) {
        let probe = ProbeWorld.probe(changes: false) { _, question in
            let tag = question.isIdentity ? "\"a\"" : "\"a-gzip\""
            let isSame = helps && question.isIdentity && question.condition.etag?.elementsEqual(tag.utf8) == true
            return Reply(status: isSame ? 304 : 200, fields: [("etag", tag)], body: "[1]")
        }
        #expect(probe.verdict == .useless(helpsIdentity: helps))
    }

    @Test("another tag for the same bytes each time")
    func unstable() {
        var number = 0
        let probe = ProbeWorld.probe(changes: false) { _, _ in
            number += 1
            return Reply(fields: [("etag", "\"\(number)\"")], body: "[1]")
        }
        #expect(probe.verdict == .unstable)
    }

    @Test("304 for what has been replaced, and one strong tag for two values", arguments: [true, false])
    func lies(answers304: Bool) {
        let probe = ProbeWorld.probe { version, question in
            let isAsked = answers304 && question.condition.etag != nil
            return Reply(status: isAsked ? 304 : 200, fields: [("etag", "\"a\"")], body: "{\"value\":\(version)}")
        }
        #expect(probe.verdict == .lies)
    }

    @Test("a weak tag over a time stamp that changes alone does not lie")
    func weak() {
        let probe = ProbeWorld.probe { version, question in
            let isAsked = question.condition.etag != nil
            let time = "2027-01-15T08:00:0\(version)Z"
            let body = "{\"value\":1,\"generated\":\"\(time)\"}"
            return Reply(status: isAsked ? 304 : 200, fields: [("etag", "W/\"a\"")], body: body)
        }
        #expect(probe.verdict == .works(isDate: false, isWeak: true))
        #expect(probe.noise.map(\.pattern.description) == ["/generated"])
    }

    @Test("conditions that are refused", arguments: [400, 412])
    func refused(status: Int) {
        let probe = ProbeWorld.probe(changes: false) { _, question in
            Reply(status: question.condition.isEmpty ? 200 : status, fields: [("etag", "\"a\"")], body: "[1]")
        }
        #expect(probe.verdict == .refused(status))
    }

    @Test("a date alone is asked for by date")
    func date() {
        let date = "Fri, 15 Jan 2027 07:00:00 GMT"
        let probe = ProbeWorld.probe(changes: false) { _, question in
            let isSame = question.condition.lastModified?.elementsEqual(date.utf8) == true
            return Reply(status: isSame ? 304 : 200, fields: [("last-modified", date)], body: "[1]")
        }
        #expect(probe.verdict == .works(isDate: true, isWeak: true))
    }

    @Test("a probe ends at a refusal, and is bounded whatever is answered")
    func bounded() {
        var world = ProbeWorld()
        world.run(rounds: 4, changes: true) { _, _ in Reply(status: 429, fields: [("retry-after", "60")]) }
        #expect(world.answers.count == 1)
        var other = ProbeWorld()
        other.run(rounds: 1000, changes: true) { ProbeWorld.honest($0, $1) }
        #expect(other.answers.count <= ProbePlan.maxRequests)
    }
}
