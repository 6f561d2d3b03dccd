// Which stream of which broker, and how it is made.

package import NATS

/// Which stream of which broker, and how it is made where it is not there.
package struct NATSStreamSettings: Hashable, Sendable {
    package var connection: NATSSettings
    /// The name of the stream.
    package var stream: String
    /// The stream has the subjects `PREFIX.>`.
    package var prefix: String
    /// How many servers keep the stream; of a stream that is there already nothing is changed.
    package var replicas: Int
    /// The most bytes that the stream may hold. `nil` for no limit.
    package var maxBytes: Int?
    /// Beyond ``maxBytes`` the oldest messages are removed; else more is refused, and nothing is dropped.
    package var removesOldest = false
    /// How long it can be read that the last message of a subject has expired. No message expires sooner than this: the
    /// broker raises shorter times to live to it.
    package var markerTimeToLive: Duration = .seconds(1)
    /// After this long without an answer it is unknown whether messages were stored. What could not even be sent for as
    /// long is refused.
    package var publishTimeout: Duration = .seconds(5)
    /// Batches that the broker has not answered yet. It takes 50 of a stream from all nodes together, and loses track of
    /// more; what comes behind them waits, so that the order is kept.
    package var maxBatchesInFlight = 16
    package var questionTimeout: Duration = .seconds(5)
    /// The pauses between looks for a stream that is not there, or not as it must be. Half of each is drawn at random.
    package var checkPause: Duration = .seconds(1)
    /// How often the broker says that a reading is alive; after three times as long without a word it ends.
    package var readingHeartbeat: Duration = .seconds(2)
    /// What one part of a reading's window may come to, before the next part is asked for.
    package var maxReadBytes = 8 << 20

    package init(
        connection: NATSSettings,
        stream: String = "freshet",
        prefix: String = SharedStreamLimits.defaultPrefix,
        replicas: Int = 1,
        maxBytes: Int? = nil
    ) {
        self.connection = connection
        self.stream = stream
        self.prefix = prefix
        self.replicas = replicas
        self.maxBytes = maxBytes
    }
}
