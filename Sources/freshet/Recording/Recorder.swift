// Records what an upstream answers: asks again and again, and keeps every answer that differs.

import FreshetConfiguration
import FreshetCore
import FreshetUpstream

/// One recording under way. Confined to the task that runs it.
struct Recorder {
    let url: UpstreamURL
    let configuration: ExchangeConfiguration
    let interval: Duration
    /// Of all files together; the recording ends before it exceeds this.
    let maxBytes: Int
    let client: UpstreamClient
    private(set) var folder: RecordingFolder

    private var last: (bytes: [UInt8], etag: [UInt8]?, lastModified: [UInt8]?)?
    private var totalBytes = 0
    private var requests = 0
    private var failures = 0
    private var savedAt = MonotonicTime(nanoseconds: 0)
    private var lastFailure = ""

    /// Every so many requests are unconditional, in case the upstream's validators lie.
    private static let verifyEvery = 20
    /// The longest pause after failures in a row, unless the upstream asks for more.
    private static let maxPause = Duration.seconds(60)
    /// Up to so many versions the index is written at each; above, once a second.
    private static let maxVersionsSavedAtOnce = 500

    init(
        url: UpstreamURL,
        configuration: ExchangeConfiguration,
        interval: Duration,
        maxBytes: Int,
        client: UpstreamClient,
        folder: RecordingFolder
    ) {
        self.url = url
        self.configuration = configuration
        self.interval = interval
        self.maxBytes = maxBytes
        self.client = client
        self.folder = folder
    }

    /// Records until the task is cancelled or the recording is full. `report` gets a line for each version and for each new
    /// failure.
    ///
    /// - Throws: ``StartFailure`` where a file cannot be written.
    mutating func run(_ report: (String, _ isFailure: Bool) -> Void) async throws(StartFailure) {
        while !Task.isCancelled {
            let started = MonotonicTime.now
            let pause = try await self.poll(report)
            guard let pause else { break }
            let rest = pause - (MonotonicTime.now - started)
            if rest > .zero { try? await Task.sleep(for: rest) }
        }
        try self.folder.save()
    }

    /// Asks once.
    ///
    /// - Returns: The time from this request to the next; `nil` where the recording is full or was cancelled.
    private mutating func poll(_ report: (String, _ isFailure: Bool) -> Void) async throws(StartFailure) -> Duration? {
        self.requests += 1
        var condition = Validators()
        if self.requests % Self.verifyEvery != 0, let last = self.last {
            condition = Validators(etag: last.etag, lastModified: last.etag == nil ? last.lastModified : nil)
        }
        let response: ExchangeResponse
        do throws(UpstreamError) {
            response = try await self.client.send(
                ExchangeRequest(validators: condition),
                to: self.url,
                self.configuration
            )
        } catch {
            guard !Task.isCancelled else { return nil }
            return self.failed("\(error.kind.rawValue): \(error.message)", after: nil, report)
        }
        switch response.status {
        case 304 where !condition.isEmpty: break
        case 200, 203: guard try self.received(response, report) else { return nil }
        default:
            let freshness = ResponseFreshness(fields: response.fields, wallNow: Int(clamping: WallTime.now.seconds))
            return self.failed("the upstream answered \(response.status)", after: freshness.retryAfter, report)
        }
        (self.failures, self.lastFailure) = (0, "")
        return self.interval
    }

    /// - Returns: `false` where the recording is full.
    private mutating func received(
        _ response: ExchangeResponse,
        _ report: (String, _ isFailure: Bool) -> Void
    ) throws(StartFailure) -> Bool {
        let validators = (etag: response.validators.etag, lastModified: response.validators.lastModified)
        if let last = self.last, last.bytes == response.body, last.etag == validators.etag,
            last.lastModified == validators.lastModified
        {
            return true
        }
        let isNew = self.last?.bytes != response.body
        guard self.folder.index.versions.count < RecordingIndex.maxVersions,
            !isNew || self.totalBytes + response.body.count <= self.maxBytes
        else {
            report("the recording is full: \(self.folder.index.versions.count) versions", true)
            return false
        }
        try self.folder.append(
            response.body,
            at: WallTime.now,
            validators: validators,
            contentType: response.value(of: "content-type")
        )
        if isNew { self.totalBytes += response.body.count }
        self.last = (response.body, validators.etag, validators.lastModified)
        let now = MonotonicTime.now
        if self.folder.index.versions.count <= Self.maxVersionsSavedAtOnce || now - self.savedAt >= .seconds(1) {
            try self.folder.save()
            self.savedAt = now
        }
        if let version = self.folder.index.versions.last {
            let tag = version.etag ?? version.lastModified ?? "no validator"
            report("\(version.at)  \(version.file)  \(SizeText.approximate(version.bytes))  \(tag)", false)
        }
        return true
    }

    private mutating func failed(
        _ reason: String,
        after wanted: Duration?,
        _ report: (String, _ isFailure: Bool) -> Void
    ) -> Duration {
        self.failures = min(self.failures + 1, 16)
        let doubled = min(Self.maxPause, self.interval * (1 << self.failures))
        let pause = max(self.interval, doubled, wanted ?? .zero)
        if reason != self.lastFailure {
            report("\(reason); trying again in \(DurationText.describe(pause))", true)
            self.lastFailure = reason
        }
        return pause
    }
}
