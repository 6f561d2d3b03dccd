// A write whose request makes sense by itself, before anything is looked up.

package import JSON

/// A request that passed the checks that need no value.
package struct CheckedWrite: Sendable {
    package enum PatchKind: Hashable, Sendable {
        case merge
        case jsonPatch
    }

    package let request: WriteRequest
    package let condition: WriteCondition
    /// The body, parsed; `nil` for a DELETE.
    package let body: Document?
    /// Of a PATCH.
    package let patch: PatchKind?

    /// - Throws: 400, 404, 405, 415 or 428.
    package init(_ request: WriteRequest, by policy: WritePolicy, limits: ParseLimits) throws(WriteProblem) {
        guard policy.methods.contains(request.method) else { throw .notAllowed(policy.methods) }
        if let key = request.key {
            guard request.method != .post else { throw .notAllowed(policy.methods.filter { $0 != .post }) }
            guard policy.itemURL != nil else { throw .wholeOnly }
            guard WritePolicy.isKey(key) else { throw .unknownItem }
        } else if request.method != .post, policy.itemURL != nil {
            throw .itemsOnly
        }
        if let key = request.idempotencyKey {
            guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw .badKey
            }
        }
        self.request = request
        self.condition =
            request.method == .post
            ? .none : try WriteCondition(ifMatch: request.ifMatch, ifNoneMatch: request.ifNoneMatch)
        self.patch = request.method == .patch ? try Self.patchKind(request.contentType) : nil
        if self.condition == .absent, request.method != .put {
            throw WriteProblem(400, "bad_condition", "If-None-Match: * goes with PUT alone.")
        }
        if self.condition == .none, request.method != .post, policy.conflict == .reject { throw .preconditionRequired }
        guard request.method != .delete else {
            self.body = nil
            return
        }
        do throws(ParseError) {
            self.body = try Document(parsing: request.body, limits: limits)
        } catch {
            throw .badBody(error)
        }
    }

    private static func patchKind(_ type: String?) throws(WriteProblem) -> PatchKind {
        let essence = type.map { $0.utf8.prefix { $0 != UInt8(ascii: ";") }.filter { $0 != 0x20 && $0 != 0x09 } } ?? []
        switch String(decoding: essence, as: UTF8.self).lowercased() {
        case "application/merge-patch+json": return .merge
        case "application/json-patch+json": return .jsonPatch
        case _: throw .unsupportedPatch
        }
    }

    /// What the key of an idempotent request stands for: two requests with equal bytes are the same one.
    package var identity: [UInt8] {
        var bytes: [UInt8] = []
        let parts: [[UInt8]?] = [
            Array(self.request.method.rawValue.utf8), Array(self.request.source.utf8),
            self.request.key.map { Array($0.utf8) }, self.request.ifMatch.map { Array($0.utf8) },
            self.request.ifNoneMatch.map { Array($0.utf8) }, self.request.contentType.map { Array($0.utf8) },
            self.request.body,
        ]
        for part in parts {
            // Lengths keep the parts apart; an absent one is not an empty one.
            bytes += Array("\(part.map { "\($0.count)" } ?? "-"):".utf8) + (part ?? [])
        }
        return bytes
    }
}
