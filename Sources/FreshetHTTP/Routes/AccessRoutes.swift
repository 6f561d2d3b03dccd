// `GET /v1/me` and `POST /v1/sources/{source}/value`: what callers do with their credential.

import FreshetCore
import JSON
import NIOCore

struct AccessRoutes: Sendable {
    let gateway: Gateway

    func add(to routes: inout RouteTable) {
        routes.on(.get, "/v1/me", for: .caller) { Self.answer(about: $0.principal) }
        routes.on(.post, "/v1/sources/:source/value", for: .caller, bodyLimit: .upload) { try await self.publish($0) }
    }

    private static func answer(about principal: Principal) -> Answer {
        var json = JSONWriter()
        json.object { json in
            json.member("id", principal.id)
            json.member("kind", principal.kind.rawValue)
            self.write(principal.grants.read, "read", to: &json)
            self.write(principal.grants.write, "write", to: &json)
            self.write(principal.grants.publish, "publish", to: &json)
            json.member("admin", principal.grants.admin)
            json.member("expires_at", optional: principal.validUntil?.description)
            json.name("parameters")
            json.object { json in
                for (name, value) in principal.grants.parameters.sorted(by: { $0.key < $1.key }) {
                    json.member(name, value)
                }
            }
        }
        return .json(json.text)
    }

    private static func write(_ pattern: SourcePattern, _ name: String, to json: inout JSONWriter) {
        json.name(name)
        json.array { json in
            for term in pattern.terms { json.string(term.description) }
        }
    }

    private func publish(_ context: GatewayContext) async throws -> Answer {
        let head = context.request.head
        // A cookie, a certificate and the rights of everybody are lent to any page that asks; who sets a field means it
        // (FAULTS S4).
        let isMeant = head.value(of: "authorization") != nil || head.value(of: "x-api-key") != nil
        guard isMeant || self.gateway.crossOrigin.mayPublish(head) else { throw Problem.crossOrigin }
        let name = context.segment("source").utf8
        let source = try SourceSelection.one(name, in: self.gateway.hub, for: context.principal, \.publish)
        return try await AdminRoutes.push(source, context, self.gateway)
    }
}
