// The reading of a large body apart from its source: on another thread, while the source's machine goes on deciding.

import HTTPFields

/// What it takes to read a body: the value as it was when the body came, and the rules of its source. Reading changes
/// neither; what came of it is handed back to the machine, which may have another value by then.
package struct BodyReading: Sendable {
    fileprivate let response: ExchangeResponse
    fileprivate let configuration: SourceConfiguration
    fileprivate let value: SourceValue
    fileprivate let held: Set<String>
    fileprivate let freshness: ResponseFreshness
    fileprivate let wall: WallTime
    fileprivate var isPush = false

    /// Reads the body and compares it with the value. Any thread may call; takes up to a second for the largest bodies.
    package func read() -> ReadBody {
        var value = self.value
        let result: Result<SourceValue.Taken, UpstreamError>
        do throws(UpstreamError) {
            result = .success(
                try value.take(
                    self.response,
                    configuration: self.configuration,
                    held: self.held,
                    wall: self.wall,
                    freshness: self.freshness,
                    isPush: self.isPush
                )
            )
        } catch {
            result = .failure(error)
        }
        return ReadBody(value: value, result: result, basis: self.value.version, held: self.held, isPush: self.isPush)
    }
}

/// What the reading of a body came to.
package struct ReadBody: Sendable {
    /// The value from here on.
    let value: SourceValue
    let result: Result<SourceValue.Taken, UpstreamError>
    /// The version of the value that the body was compared with.
    fileprivate let basis: UInt64
    fileprivate let held: Set<String>
    fileprivate let isPush: Bool
}

extension SourceStateMachine {
    /// What it takes to read the body of the answer to the poll under way on another thread; `nil` where nothing is to be
    /// read: the answer has no value, or is to be dropped.
    package func reading(of response: ExchangeResponse, wall: WallTime) -> BodyReading? {
        guard case .representation = AnswerMeaning(response, to: Validators(), configuration: self.configuration),
            !self.current.isOvertaken, !self.writing.isWhole
        else { return nil }
        return BodyReading(
            response: response,
            configuration: self.configuration,
            value: self.value,
            held: self.heldKeys,
            freshness: self.freshnessOfValue(in: response, wall: wall),
            wall: wall
        )
    }

    /// What it takes to read a value on another thread that was sent by the upstream or an administrator.
    package func reading(ofPushed body: [UInt8], contentType: [UInt8]?, wall: WallTime) -> BodyReading {
        let response = ExchangeResponse(pushed: body, contentType: contentType)
        return BodyReading(
            response: response,
            configuration: self.configuration,
            value: self.value,
            held: [],
            freshness: ResponseFreshness(fields: response.fields, wallNow: Int(wall.seconds)),
            wall: wall,
            isPush: true
        )
    }

    /// Whether reading the body again would come to the same.
    package func isCurrent(_ read: ReadBody) -> Bool {
        read.basis == self.value.version && read.held == (read.isPush ? [] : self.heldKeys)
    }

    /// What an answer with a value says about its host, before the value is known.
    package func host(after response: ExchangeResponse, wall: WallTime) -> HostGate.Outcome {
        HostGate.Outcome(
            status: response.status,
            self.freshnessOfValue(in: response, wall: wall),
            longestQuotaWait: self.configuration.effectiveMaxInterval
        )
    }
}

extension ExchangeResponse {
    /// What stands for an answer where a value is pushed.
    init(pushed body: [UInt8], contentType: [UInt8]?) {
        let fields = contentType.map { [HeaderField(name: Array("content-type".utf8), value: $0)] } ?? []
        self.init(status: 200, fields: fields, body: body, wireBytes: body.count)
    }
}
