// Carries polls out: libcurl's multi interface, driven by the poll thread's epoll.

import CCurl
import FreshetCore

/// A poll that has ended, one way or the other.
struct PollCompletion {
    var source: SourceID
    var result: Result<PollResponse, PollError>
    /// Connections opened for it; none where one that was kept would do.
    var connects = 0
}

/// The transfers of one poll thread. Confined to that thread.
///
/// `curl_multi_socket_action` looks only at what is ready, where `curl_multi_poll` looks at every transfer each time.
final class CurlTransport {
    /// What holds for all transfers together.
    struct Configuration: Hashable, Sendable {
        /// The value of `User-Agent`.
        var userAgent = "freshet"
        /// Connections to one host at a time.
        var maxConnectionsPerHost = 6
        /// Connections in all, idle ones included.
        var maxConnections = 1024
        /// How long a connection is kept, so that a change of the host's addresses is noticed (F19).
        var maxConnectionAge = Duration.seconds(600)
    }

    /// When ``timerFired(now:)`` is due.
    private(set) var deadline = MonotonicTime.distantFuture

    private let multi: UnsafeMutableRawPointer
    private let reactor: Reactor
    private let configuration: Configuration
    private let scratch = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 << 10)
    private var transfers = SourceMap<CurlTransfer>()
    private var completions: [PollCompletion] = []

    /// - Throws: ``PollError`` of kind `internal` where libcurl cannot be used: no memory, or too old.
    init(reactor: Reactor, configuration: Configuration = Configuration()) throws(PollError) {
        try CurlLibrary.prepare()
        guard let multi = curl_multi_init() else { throw PollError(.internal, "no memory for libcurl") }
        self.multi = multi
        self.reactor = reactor
        self.configuration = configuration
        let user = Unmanaged.passUnretained(self).toOpaque()
        ccurl_multi_set_socket_function(multi, socketFunction)
        ccurl_multi_set_pointer(multi, CURLMOPT_SOCKETDATA, user)
        ccurl_multi_set_timer_function(multi, timerFunction)
        ccurl_multi_set_pointer(multi, CURLMOPT_TIMERDATA, user)
        ccurl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, configuration.maxConnectionsPerHost)
        ccurl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, configuration.maxConnections)
        // By default the cache holds four connections per running transfer, and idle sources have none.
        ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, configuration.maxConnections)
        ccurl_multi_set_long(multi, CURLMOPT_PIPELINING, Int(CURLPIPE_MULTIPLEX))
    }

    deinit {
        for transfer in self.transfers.values where transfer.isRunning {
            curl_multi_remove_handle(self.multi, transfer.easy)
        }
        self.transfers.removeAll()
        curl_multi_cleanup(self.multi)
        self.scratch.deallocate()
    }

    /// Makes a source known. A source that already is must be removed first.
    ///
    /// - Throws: ``PollError`` of kind `internal` where libcurl has no memory for it.
    func add(_ source: SourceID, url: UpstreamURL, configuration: SourceConfiguration) throws(PollError) {
        precondition(self.transfers[source] == nil, "add(_:url:configuration:) of a source that is known")
        self.transfers[source] = try CurlTransfer(
            source: source,
            url: url,
            configuration: configuration,
            transport: self.configuration,
            reactor: self.reactor,
            scratch: self.scratch
        )
    }

    /// Forgets a source. A poll under way ends without completion.
    func remove(_ source: SourceID) {
        guard let transfer = self.transfers[source] else { return }
        if transfer.isRunning { curl_multi_remove_handle(self.multi, transfer.easy) }
        self.transfers[source] = nil
    }

    /// Sends these fields with a source's polls from the next one on.
    func renew(_ source: SourceID, _ headers: [SourceConfiguration.Field]) {
        self.transfers[source]?.renew(headers)
    }

    /// Begins a poll; its end is among ``takeCompletions()`` later, and at once where it cannot begin.
    func start(_ source: SourceID, _ request: PollRequest, now: MonotonicTime) {
        guard let transfer = self.transfers[source], !transfer.isRunning else {
            return self.complete(source, .failure(PollError(.internal, "the source is unknown or being polled")))
        }
        do {
            try transfer.prepare(request, now: now)
            self.run(transfer)
        } catch {
            self.complete(source, .failure(error))
        }
    }

    /// A descriptor that libcurl asked to watch is ready.
    func socketReady(_ descriptor: Int32, _ readiness: Reactor.Readiness) {
        var bits: Int32 = 0
        if readiness.contains(.readable) { bits |= Int32(CURL_CSELECT_IN) }
        if readiness.contains(.writable) { bits |= Int32(CURL_CSELECT_OUT) }
        if readiness.contains(.broken) { bits |= Int32(CURL_CSELECT_ERR) }
        self.act(on: descriptor, bits)
    }

    /// The ``deadline`` has come.
    func timerFired() {
        self.deadline = .distantFuture
        self.act(on: ccurl_socket_timeout, 0)
    }

    /// The polls that have ended since the last call.
    func takeCompletions(now: MonotonicTime) -> [PollCompletion] {
        self.readMessages(now: now)
        guard !self.completions.isEmpty else { return [] }
        defer { self.completions.removeAll(keepingCapacity: true) }
        return self.completions
    }

    private func run(_ transfer: CurlTransfer) {
        let code = curl_multi_add_handle(self.multi, transfer.easy)
        guard code == CURLM_OK else {
            return self.complete(transfer.source, .failure(PollError(.internal, "libcurl does not take a transfer")))
        }
        transfer.isRunning = true
    }

    private func act(on descriptor: Int32, _ bits: Int32) {
        var running: Int32 = 0
        // What went wrong is told per transfer; a result other than CURLM_OK here names a descriptor that libcurl
        // has closed meanwhile.
        curl_multi_socket_action(self.multi, descriptor, bits, &running)
    }

    private func readMessages(now: MonotonicTime) {
        var left: Int32 = 0
        while let message = curl_multi_info_read(self.multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle,
                let transfer = CurlOptions(easy: easy).transfer
            else { continue }
            // The message dies with the removal.
            let code = ccurl_message_result(message)
            curl_multi_remove_handle(self.multi, easy)
            transfer.isRunning = false
            switch transfer.ended(code, now: now) {
            case .runAgain: self.run(transfer)
            case .done(let result): self.complete(transfer.source, result, connects: transfer.connects)
            }
        }
    }

    private func complete(_ source: SourceID, _ result: Result<PollResponse, PollError>, connects: Int = 0) {
        self.completions.append(PollCompletion(source: source, result: result, connects: connects))
    }

    fileprivate func socketChanged(_ descriptor: Int32, _ what: Int32) {
        switch what {
        case Int32(CURL_POLL_REMOVE): self.reactor.unwatch(descriptor)
        case Int32(CURL_POLL_IN): self.reactor.watch(descriptor, for: .readable)
        case Int32(CURL_POLL_OUT): self.reactor.watch(descriptor, for: .writable)
        case Int32(CURL_POLL_INOUT): self.reactor.watch(descriptor, for: [.readable, .writable])
        case _: break
        }
    }

    fileprivate func timerChanged(milliseconds: Int) {
        self.deadline = milliseconds < 0 ? .distantFuture : .now + .milliseconds(milliseconds)
    }
}

private let socketFunction: ccurl_socket_function = { _, descriptor, what, user, _ in
    guard let user else { return 0 }
    Unmanaged<CurlTransport>.fromOpaque(user).takeUnretainedValue().socketChanged(descriptor, what)
    return 0
}

private let timerFunction: ccurl_timer_function = { _, milliseconds, user in
    guard let user else { return 0 }
    Unmanaged<CurlTransport>.fromOpaque(user).takeUnretainedValue().timerChanged(milliseconds: milliseconds)
    return 0
}
