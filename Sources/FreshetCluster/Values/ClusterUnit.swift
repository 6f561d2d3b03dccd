// What has an owner besides sources.

/// Names of units: whatever one gateway at a time has to do. A source is the unit of its own name.
package enum ClusterUnit {
    /// No name of a source has a colon.
    private static let webhooks = "webhook:"

    /// The unit of an endpoint of `webhooks`.
    package static func ofWebhook(_ name: String) -> String { self.webhooks + name }

    /// The name of the endpoint; `nil` if the unit is not an endpoint.
    package static func webhook(_ unit: String) -> String? {
        unit.hasPrefix(self.webhooks) ? String(unit.dropFirst(self.webhooks.count)) : nil
    }

    /// The unit that sends messages of Web Push: all of them, so that the bounds on subscriptions are one gateway's to keep.
    package static let push = "push:"

    /// Where it stands is kept in its owner records, as ``OwnerRecord/learned``: the one who acts on it writes that, and nobody
    /// else can.
    static func keepsState(_ unit: String) -> Bool { self.webhook(unit) != nil || unit == self.push }
}
