// What a stream says.

import JSON

extension FreshetClient {
    /// One event of a stream.
    public struct Change: Sendable {
        /// What happened.
        public enum Kind: Sendable {
            /// The whole value.
            case snapshot(JSONValue)
            /// A JSON Patch (RFC 6902) for the value before.
            case patch(JSONValue)
            /// A JSON Merge Patch (RFC 7396) for the value before.
            case merge(JSONValue)
            /// Items that were created, updated and deleted.
            case items(ItemChanges)
            /// The cursor moved and nothing else did.
            case checkpoint
            /// The state of a source, such as `ok`, `stale`, `failing` or `removed`, and what is wrong.
            case status(state: String, reason: String?)
            /// Changes are missing before the next event, which is a snapshot.
            case gap(GapReason)
            /// The stream is open.
            case opened
            /// The gateway is about to close the stream; the client opens it again.
            case closing(reason: String)
            /// The stream is broken; the client opens it again after a delay.
            case interrupted(reason: String, retryingIn: Duration)
            /// An event that this client does not know.
            case other(String)
        }

        public var kind: Kind
        /// The source that it is about; `nil` for what is about the stream.
        public var source: String?
        /// Where the log stands after this event; `nil` where the event does not move the cursor.
        public var cursor: Cursor?
        /// When it happened, by the gateway's clock (RFC 3339).
        public var at: String?
        /// What came; `nil` for what the client itself reports.
        let event: StreamInput?

        /// The event as the gateway's JSON lines have it, without the line's end; `nil` for ``Kind/interrupted(reason:retryingIn:)``.
        package var line: [UInt8]? {
            if let event { return event.line }
            guard case .gap(let reason) = self.kind else { return nil }
            return Array(#"{"event":"gap","data":{"reason":"\#(reason.rawValue)"}}"#.utf8)
        }

        /// How many bytes it keeps in memory, about: the event, and its part in `kind`.
        var byteCount: Int { 128 + 2 * (self.event?.data.text.count ?? 0) }

        init(_ kind: Kind) {
            self.kind = kind
            self.event = nil
        }

        /// - Throws: ``FreshetClientError`` with the code `malformed` where the event lacks what its name promises.
        init(_ event: StreamInput) throws {
            let data = event.data.root
            self.kind = try Self.kind(of: event.name, data)
            self.source = data["source"]?.string
            self.cursor = event.id
            self.at = (data["at"] ?? data["since"])?.string
            self.event = event
        }

        private static func kind(of name: String, _ data: JSON.Value) throws -> Kind {
            func member(_ name: String) throws -> JSONValue {
                guard let value = data[name] else {
                    throw FreshetClientError(.malformed, "an event without its \(name)")
                }
                return JSONValue(value.document)
            }
            switch name {
            case "snapshot": return .snapshot(try member("value"))
            case "patch": return .patch(try member("patch"))
            case "merge": return .merge(try member("merge"))
            case "items": return .items(ItemChanges(try member("items")))
            case "checkpoint": return .checkpoint
            case "status":
                return .status(state: data["state"]?.string ?? "", reason: data["error"]?["message"]?.string)
            case "gap": return .gap(GapReason(rawValue: data["reason"]?.string ?? "") ?? .other)
            case "hello": return .opened
            case "bye": return .closing(reason: data["reason"]?.string ?? "")
            default: return .other(name)
            }
        }
    }

    /// Why changes are missing.
    public enum GapReason: String, Hashable, Sendable {
        /// The log no longer reaches back so far.
        case evicted
        /// The numbering of the log began again.
        case epoch
        /// The log does not reach so far: the cursor is one of another gateway, or of a log that was lost.
        case future
        /// What was given is not a cursor.
        case malformed
        /// The consumer did not take changes in time, and the client's buffer is full.
        case lagging
        /// A change did not fit the value that this client holds.
        case mismatch
        /// A reason that this client does not know.
        case other
    }

    /// Items that were created, updated and deleted by one change.
    public struct ItemChanges: Sendable {
        /// The items themselves, or `{"key","value"}` for a collection that is an object keyed by identity.
        public let created: [JSONValue]
        /// As ``created``.
        public let updated: [JSONValue]
        /// The identities, each a string or a number.
        public let deleted: [JSONValue]

        init(_ json: JSONValue) {
            self.created = json["created"]?.elements ?? []
            self.updated = json["updated"]?.elements ?? []
            self.deleted = json["deleted"]?.elements ?? []
        }
    }
}
