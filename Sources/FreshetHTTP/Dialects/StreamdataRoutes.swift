// `GET /http://host/path?…&X-Sd-Token=…`: what the SDK of Streamdata.io asks for (CONTRACT §14).

import FreshetCore
import FreshetStreaming
import JSON
import System

/// Answers the SDK: 200 and an event stream, whatever is wrong, since it takes any other status for the end of everything.
struct StreamdataRoutes: Sendable {
    let gateway: Gateway

    func add(to routes: inout RouteTable) {
        // The token in the URL is the credential; those of `auth` are for other things.
        for scheme in ["http", "https"] {
            routes.on(.get, "/\(scheme):/*target", for: .everybody) { self.stream($0, scheme) }
        }
    }

    private func stream(_ context: GatewayContext, _ scheme: String) -> Answer {
        guard self.gateway.streamdata.isOpen else { return Problem.noSuchRoute.answer }
        let head = context.request.head
        var answer = Answer(200)
        answer.fields = [
            AnswerField("Content-Type", MediaType.eventStream.rawValue),
            AnswerField("Cache-Control", "no-store"),
            AnswerField("X-Accel-Buffering", "no"),
            AnswerField("X-Content-Type-Options", "nosniff"),
        ]
        guard head.method == "GET" else {
            answer.isStream = true
            return answer
        }
        do throws(StreamdataProblem) {
            let hold = try self.gateway.streamdata.open(
                Self.url(scheme, context.segment("target"), query: head.query),
                tokens: head.values(of: "x-sd-token"),
                now: WallClock.now
            )
            guard let source = hold.sources.first else {
                throw StreamdataProblem(.malformed, "The URL cannot be polled.")
            }
            let ticket = try self.admit(source, from: context.request.client)
            answer.parts = StreamdataFollower(source, hold: hold, ticket: ticket, context, of: self.gateway)
        } catch {
            self.gateway.streamdata.refused(error)
            answer.body.append(StreamdataEvent.error(error, at: WallClock.now)[...])
        }
        return answer
    }

    /// The URL that the path holds. Proxies in front may have made one slash of the two behind its scheme.
    private static func url(_ scheme: String, _ rest: Substring, query: String) -> [UInt8] {
        let place = rest.hasPrefix("/") ? rest.dropFirst() : rest
        return Array("\(scheme)://\(place)\(query.isEmpty ? "" : "?\(query)")".utf8)
    }

    private func admit(_ source: SourceID, from client: PeerAddress) throws(StreamdataProblem) -> AdmissionTicket {
        var hasher = Hasher()
        hasher.combine("streamdata")
        hasher.combine(source)
        do throws(Problem) {
            return try self.gateway.admit(.anonymous(Grants()), sourceSet: hasher.finalize(), from: client)
        } catch {
            throw StreamdataProblem(.busy, error.detail)
        }
    }
}

/// The events of the SDK's stream.
enum StreamdataEvent {
    /// The last event of a stream. Without an id: the client returns the one of the last change.
    static func error(_ problem: StreamdataProblem, at now: WallTime) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("status", problem.kind.status)
            json.member("cause", problem.cause)
            json.member("message", problem.message)
            json.member("timestamp", Int(clamping: now.milliseconds))
            json.member("sessionId", UInt64.random(in: 0...UInt64.max).description)
        }
        return Array("event: error\ndata: ".utf8) + json.text + [0x0A, 0x0A]
    }

    /// `data` with a whole value, or `patch` with an RFC 6902 document.
    static func append(_ text: ArraySlice<UInt8>, isWhole: Bool, id: Cursor, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: "id: \(id)\nevent: \(isWhole ? "data" : "patch")\ndata: ".utf8)
        bytes.append(contentsOf: text)
        bytes.append(contentsOf: [0x0A, 0x0A])
    }
}
