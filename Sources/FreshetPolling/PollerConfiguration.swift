// What holds for all sources together.

package import FreshetCore
import FreshetUpstream
import System

/// How the poller as a whole behaves.
package struct PollerConfiguration: Hashable, Sendable {
    /// The value of `User-Agent`.
    package var userAgent = "freshet"
    /// Polls under way at one time, over all hosts. The default is 256.
    package var maxConcurrentPolls = Defaults.Polling.concurrency
    /// Polls under way at one time to one host. The default is 6, as browsers have it.
    package var maxConcurrentPollsPerHost = Defaults.Polling.hostConcurrency
    /// Time between the starts of two polls to one host, where it has not asked for more. The default is zero.
    package var hostGap = Defaults.Polling.hostGap
    /// Connections kept open, idle ones included. The default is 1,024.
    package var maxConnections = 1024
    /// How long a connection is kept at most, so that a change of the host's addresses is noticed. Whole seconds, at
    /// least one. The default is 10 min.
    package var maxConnectionAge = Duration.seconds(600)
    /// The most polls an hour, over all sources. The default is no limit.
    package var requestsPerHour: Double?

    /// Answers that nothing followed on their connection, until an upstream's later answers over connections that were
    /// used before are believed where they bring a change; before, such a change is asked for again over a new
    /// connection (FAULTS F09). The default is 32; 0 believes from the start.
    package var minSilentAnswers = ConnectionTrust.minAnswers

    /// Which bodies are read beside the poll thread, and how many of them.
    package struct Bodies: Hashable, Sendable {
        /// Bodies of so many bytes, decoded, and more. The default is 128 KiB, which the poll thread would take about a
        /// millisecond for.
        package var largeBytes = Defaults.Polling.largeBodyBytes
        /// Threads that read. The default is one less than there are processors, from one to four.
        package var maxThreads = min(max(1, SystemThread.processors - 1), 4)
        /// Bodies that wait for a thread. The default is 64. The poll thread reads those beyond itself, so that
        /// nothing more comes meanwhile.
        package var maxWaiting = Defaults.Polling.maxWaitingBodies
        /// Bytes of the bodies that wait or are read. The default is 128 MiB; one that is alone may be larger.
        package var maxBytes = Defaults.Polling.maxWaitingBodyBytes
    }

    package var bodies = Bodies()

    package init() {}
}

/// What the shell may want to log. Handed out on the poll thread; a poll that goes well has nothing to say.
package enum PollerNotice: Sendable {
    /// The thread runs, with this libcurl.
    case started(libcurl: String)
    /// Something is not as it should be, and the gateway polls nevertheless.
    case warning(String)
    /// A poll failed.
    case failed(SourceID, name: String, UpstreamError)
    /// A source is in another state than before.
    case entered(SourceID, name: String, SourceState)
    /// The thread has ended.
    case stopped
}
