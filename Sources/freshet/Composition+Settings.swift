// What the configuration says, as each room takes it.

import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import FreshetPolling
import FreshetStreaming
import System

extension GatewayConfiguration.Streamdata {
    /// What the HTTP room takes.
    var rules: StreamdataDesk.Rules { StreamdataDesk.Rules(tokens: self.tokens, allow: self.allow) }
}

extension GatewayConfiguration {
    /// What the streaming room takes.
    var streamSettings: StreamSettings {
        var settings = StreamSettings()
        settings.heartbeat = self.heartbeat
        settings.retry = self.retry
        settings.writeTimeout = self.limits.writeTimeout
        settings.maxSubscribers = self.effectiveMaxSubscribers
        settings.maxSubscribersPerAddress = self.limits.maxSubscribersPerAddress
        settings.maxSourceSetsPerAddress = self.limits.maxSourceSetsPerAddress
        settings.maxViews = self.limits.maxViews
        settings.maxViewsPerAddress = self.limits.maxViewsPerAddress
        settings.maxCompressionRuns = self.limits.maxCompressionRuns
        settings.maxSubscribersPerCaller = self.limits.maxSubscribersPerCaller
        return settings
    }

    /// What was asked for, or what the limit of open files allows, whichever is less.
    var effectiveMaxSubscribers: Int {
        let limit = SystemLimits.openFiles
        let possible = max(1, limit - StreamSettings.descriptorReserve(below: limit))
        return min(self.limits.maxSubscribers ?? possible, possible)
    }

    /// What the HTTP room takes.
    var httpSettings: HTTPSettings {
        var settings = HTTPSettings()
        settings.listen = self.listen
        settings.adminListen = self.admin.listen
        settings.tlsListen = self.tls?.listen
        settings.hostNames = self.admin.hostNames
        settings.keepsOperationsPrivate = self.admin.privateOperations
        settings.credentialCookie = self.auth?.cookie
        settings.allowsQueryToken = self.auth?.allowsQueryToken ?? false
        settings.trustedProxies = TrustedProxies(self.limits.trustedProxies)
        settings.corsOrigins = self.cors.origins
        settings.headerTimeout = self.limits.headerTimeout
        settings.keepAliveTimeout = self.limits.idleTimeout
        settings.maxBodyBytes = self.limits.maxBodyBytes
        settings.maxConnections = self.limits.maxConnections
        settings.maxConnectionsPerAddress = self.limits.maxConnectionsPerAddress
        settings.maxWaiting = self.limits.maxWaiting
        settings.maxWaitingPerAddress = self.limits.maxWaitingPerAddress
        settings.maxRequestsPerAddress = self.limits.maxRequestsPerAddress
        settings.maxRequestsPerCaller = self.limits.maxRequestsPerCaller
        settings.maxReplayBytesPerCaller = self.limits.maxReplayBytesPerCaller
        settings.compressesStreams = self.streams.compression
        settings.sockets.maxSubscriptions = self.limits.maxSubscriptionsPerSocket
        settings.sockets.maxMessagesPerSecond = self.limits.maxMessagesPerSocket
        settings.sockets.maxUnanswered = self.limits.maxUnansweredPerSocket
        settings.sockets.maxMessageBytes = self.limits.maxSocketMessageBytes
        settings.sockets.writeTimeout = self.limits.writeTimeout
        settings.sockets.heartbeat = self.heartbeat
        // Streams are ended before; what is left is answers under way, and waits that would last minutes.
        settings.shutdownTimeout = .seconds(1)
        return settings
    }

    /// What unread answers may hold: as configured, else 128 MiB, or an eighth of the memory where that is less.
    func unsentLimits(memory: Int) -> UnsentLedger.Limits {
        self.limits.maxUnsentBytes.map(UnsentLedger.Limits.init)
            ?? UnsentLedger.Limits(maxBytes: min(Defaults.Limits.maxUnsentBytes, max(1, memory / 8)))
    }

    /// What the polling room takes.
    var pollerConfiguration: PollerConfiguration {
        var configuration = PollerConfiguration()
        configuration.userAgent = "freshet/\(FreshetVersion.current)"
        configuration.maxConcurrentPolls = self.polling.concurrency
        configuration.maxConcurrentPollsPerHost = self.polling.hostConcurrency
        configuration.hostGap = self.polling.hostGap
        configuration.requestsPerHour = self.polling.requestsPerHour.map(Double.init)
        return configuration
    }
}
