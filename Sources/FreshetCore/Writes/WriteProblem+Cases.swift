// The refusals of a write. Every code is listed in openapi.json.

import JSON

extension WriteProblem {
    package mutating func add(_ name: String, json: [UInt8]) {
        self.members.append(Member(name, json: json))
    }

    package mutating func add(_ name: String, text: String) {
        var json = JSONWriter()
        json.string(text)
        self.add(name, json: json.text)
    }

    // MARK: Before anything is done

    package static func unknownSource(_ name: String) -> WriteProblem {
        WriteProblem(404, "unknown_source", "There is no source named \(name).")
    }

    /// The gateway of the cluster that may write to the source is not known, cannot be reached, or has changed: 503.
    package static func notOwner(_ detail: String) -> WriteProblem {
        var problem = WriteProblem(503, "not_owner", detail)
        problem.retryAfter = 1
        problem.add("outcome", text: "not_applied")
        return problem
    }

    package static func movedAway(_ source: String) -> WriteProblem {
        .notOwner("This gateway may not write to the source \(source) any more; nothing was written.")
    }

    /// A message of the cluster's broker cannot hold the write.
    package static let tooLargeForCluster: WriteProblem = {
        var problem = WriteProblem(
            413,
            "too_large_for_cluster",
            "The write is larger than a message of the cluster's broker may be (max_payload)."
        )
        problem.add("outcome", text: "not_applied")
        return problem
    }()

    package static let credentialRequired = WriteProblem(
        401,
        "credential_required",
        "A credential is required, such as Authorization: Bearer KEY."
    )

    package static func notAllowed(_ allowed: [WriteMethod]) -> WriteProblem {
        let list = allowed.map(\.rawValue).joined(separator: ", ")
        let detail = allowed.isEmpty ? "This source takes no writes." : "This source takes \(list)."
        var problem = WriteProblem(405, "method_not_allowed", detail)
        problem.allowed = allowed
        return problem
    }

    static let wholeOnly = WriteProblem(405, "method_not_allowed", "This source takes writes of whole values alone.")

    static let itemsOnly = WriteProblem(405, "method_not_allowed", "This source takes writes of items alone.")

    static let unsupportedPatch = WriteProblem(
        415,
        "unsupported_patch",
        "A PATCH is application/merge-patch+json or application/json-patch+json."
    )

    static let preconditionRequired = WriteProblem(
        428,
        "precondition_required",
        "Name what the write builds on: If-Match with the ETag that you read, or a cursor; to create, If-None-Match: *."
    )

    static func badBody(_ error: ParseError) -> WriteProblem {
        WriteProblem(400, "bad_body", "The body is not JSON: \(error).")
    }

    static let unknownItem = WriteProblem(404, "unknown_item", "The collection has no item with this key.")

    static let ambiguousKey = WriteProblem(422, "ambiguous_key", "More than one item of the collection has this key.")

    package static func noValue(retryAfter: Int) -> WriteProblem {
        var problem = WriteProblem(503, "no_value_yet", "The source has no value yet.")
        problem.retryAfter = retryAfter
        return problem
    }

    static let noCollection = WriteProblem(
        404,
        "no_collection",
        "The value has no collection of items with a key; set items and key of the source."
    )

    static let keyMismatch = WriteProblem(
        422,
        "key_mismatch",
        "The item does not hold the key of its path; a key cannot be changed, and must be there."
    )

    static func patchFailed(_ error: PatchError) -> WriteProblem {
        WriteProblem(422, "patch_failed", "The patch does not apply: \(error).")
    }

    /// Pointers are relative to what was written.
    static func violations(_ violations: [(pointer: String, reason: String)]) -> WriteProblem {
        var problem = WriteProblem(422, "schema_violation", "The result violates the schema of the source.")
        var json = JSONWriter()
        json.array { json in
            for violation in violations {
                json.object { json in
                    json.member("pointer", violation.pointer)
                    json.member("detail", violation.reason)
                }
            }
        }
        problem.add("errors", json: json.text)
        return problem
    }

    // MARK: Conflicts

    static func preconditionFailed(_ detail: String) -> WriteProblem {
        WriteProblem(412, "precondition_failed", detail)
    }

    static let changedSince = preconditionFailed(
        "It was changed since the base that If-Match names; current is what it is now."
    )
    static let baseUnknown = preconditionFailed("The log does not reach back to the base that If-Match names.")
    static let exists = preconditionFailed("It exists already; current is what it is.")
    static let isGone = preconditionFailed("It does not exist any more.")

    static func conflict(_ conflicts: [MergeConflict]) -> WriteProblem {
        var problem = WriteProblem(409, "conflict", "The write collides with others; conflicts lists where.")
        var json = JSONWriter()
        json.array { json in
            for conflict in conflicts {
                json.object { json in
                    json.member("path", conflict.path.description)
                    if let base = conflict.base { json.member("base", raw: base.text) }
                    if let theirs = conflict.theirs { json.member("theirs", raw: theirs.text) }
                    if let mine = conflict.mine { json.member("mine", raw: mine.text) }
                }
            }
        }
        problem.add("conflicts", json: json.text)
        return problem
    }

    /// Others write the same so often that no read of it is still true when the write arrives.
    static let contended: WriteProblem = {
        var problem = WriteProblem(
            503,
            "write_contended",
            "The upstream changed between each read and write; nothing was written."
        )
        problem.retryAfter = 1
        problem.add("outcome", text: "not_applied")
        return problem
    }()

    static let noStrongValidator: WriteProblem = {
        var problem = WriteProblem(
            422,
            "no_strong_validator",
            "The upstream gives no strong ETag, so that If-Match cannot guard the write; set write.guard of the source to "
                + "compare or field."
        )
        problem.add("outcome", text: "not_applied")
        return problem
    }()

    // MARK: Idempotency keys

    package static let keyReused = WriteProblem(
        422,
        "idempotency_key_reused",
        "This Idempotency-Key was used for another request; make a new one for each write."
    )

    package static let underWay: WriteProblem = {
        var problem = WriteProblem(409, "write_under_way", "The request with this Idempotency-Key is still under way.")
        problem.retryAfter = 1
        return problem
    }()

    package static let badKey = WriteProblem(
        400,
        "bad_idempotency_key",
        "An Idempotency-Key has 1 to 255 characters of visible ASCII."
    )

    package static func keysFull(_ detail: String) -> WriteProblem {
        var problem = WriteProblem(503, "idempotency_store_full", detail)
        problem.retryAfter = 60
        problem.add("outcome", text: "not_applied")
        return problem
    }

    package static let tooManyWrites: WriteProblem = {
        var problem = WriteProblem(503, "too_many_writes", "Too many writes wait.")
        problem.retryAfter = 1
        problem.add("outcome", text: "not_applied")
        return problem
    }()

    // MARK: The upstream

    /// Nothing was done: 502.
    package static func notApplied(_ code: String, _ detail: String, upstream status: Int? = nil) -> WriteProblem {
        var problem = WriteProblem(502, code, detail)
        problem.add("outcome", text: "not_applied")
        if let status { problem.add("upstream_status", json: Array("\(status)".utf8)) }
        return problem
    }

    /// Nobody knows what was done: 504.
    package static func unknown(_ detail: String, upstream status: Int? = nil) -> WriteProblem {
        var problem = WriteProblem(504, "outcome_unknown", detail)
        problem.add("outcome", text: "unknown")
        if let status { problem.add("upstream_status", json: Array("\(status)".utf8)) }
        return problem
    }

    package static let unresolved = unknown("The outcome is still unknown: the upstream could not be asked again.")

    /// A refusal of the upstream, passed on.
    static func refused(_ status: Int, retryAfter: Int?) -> WriteProblem {
        var problem = WriteProblem(status, "upstream_refused", "The upstream refused the write with \(status).")
        problem.retryAfter = retryAfter
        problem.add("outcome", text: "not_applied")
        problem.add("upstream_status", json: Array("\(status)".utf8))
        return problem
    }

    /// Written, but what came of it is none of the source's values: the next poll shows it, or says why not.
    static func resultRefused(_ error: UpstreamError) -> WriteProblem {
        var problem = WriteProblem(
            502,
            "result_refused",
            "The write was carried out; its result is refused: \(error.message)."
        )
        problem.add("outcome", text: "applied")
        return problem
    }
}
