// What a transfer sends and what it makes of the bytes that arrive; libcurl calls back on the poll thread.

import CCurl
import FreshetCore

extension CurlTransfer {
    func response(_ code: CURLcode) throws(UpstreamError) -> ExchangeResponse {
        if let failure = self.failure { throw failure }
        // Another status says all there is to say, however its body ended.
        if self.head.isComplete, !self.takesBody { return self.bodylessResponse() }
        if let violation = self.audit?.violation { throw violation }
        guard code == CURLE_OK || self.isWhole else { throw self.error(for: code) }
        guard self.head.isComplete else { throw UpstreamError(.protocol, "the response has no complete head") }
        guard self.isWhole || !self.head.endIsUnknownToCurl else {
            throw UpstreamError(.transport, "the connection ended before the body was complete")
        }
        guard let collector = self.body.take() else { return self.bodylessResponse() }
        let wireBytes = collector.wireBytes
        return ExchangeResponse(
            status: self.head.status,
            fields: self.head.fields,
            body: try collector.finished(),
            wireBytes: wireBytes,
            isCloseDelimited: self.head.framing == .close,
            url: self.redirectedURL
        )
    }

    /// Whether the body of the answer under way is part of it.
    private var takesBody: Bool {
        guard !self.configuration.takesNoBody else { return false }
        return self.head.hasRepresentation || self.configuration.takesEveryBody && self.head.framing != .empty
    }

    private func bodylessResponse() -> ExchangeResponse {
        ExchangeResponse(
            status: self.head.status,
            fields: self.head.fields,
            body: [],
            wireBytes: self.discardedBytes,
            url: self.redirectedURL
        )
    }

    private func error(for code: CURLcode) -> UpstreamError {
        if let reason = self.refusedAddress, !self.requestWasSent {
            return UpstreamError(.policy, "the host resolves to \(reason), which \(self.policy.rule)")
        }
        let stage = CurlFailure.Stage(
            easy: self.easy,
            handshakeBegan: self.handshakeBegan,
            requestWasSent: self.requestWasSent
        )
        let detail = String(cString: self.errorText)
        return CurlFailure.error(
            for: code,
            stage: stage,
            detail: detail,
            timeout: self.configuration.timeout,
            verification: CurlOptions(easy: self.easy).long(CURLINFO_SSL_VERIFYRESULT)
        )
    }
}

// MARK: what libcurl calls back

extension CurlTransfer {
    /// False ends the transfer.
    func headLineReceived(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
        guard self.failure == nil else { return false }
        if self.isOverUsedConnection, !self.head.hasBegun, self.connection?.kept.hasUnacknowledgedBytes == true {
            // The peer sent this before it had our request.
            self.isDoubtful = true
            return false
        }
        do {
            if try self.head.lineReceived(line.span) == .complete { try self.headCompleted() }
            return !self.isWhole
        } catch {
            self.failure = error
            return false
        }
    }

    private func headCompleted() throws(UpstreamError) {
        let options = CurlOptions(easy: self.easy)
        if self.head.version < 20 {
            // What libcurl drops after a 304 can be no answer of a later request.
            if self.head.status != 304 { options.trace() }
        } else if let (pool, kept) = self.connection, !kept.isMultiplexed {
            // The TLS library could not be asked.
            kept.isMultiplexed = true
            pool.learned(from: kept)
        }
        if self.head.endIsUnknownToCurl { self.connection?.kept.isSpent = true }
        guard self.takesBody else { return self.endIfWhole(bodyBytes: .max) }
        self.body = try BodyCollector(
            coding: self.head.contentCoding,
            maxBytes: self.configuration.maxBodyBytes,
            expectedBytes: self.head.contentLength
        )
        switch self.head.framing {
        case .empty, .stream, .close: self.audit = nil
        case .length, .chunked:
            self.audit = FramingAudit(
                self.head.framing,
                closesConnection: self.head.closesConnection,
                isLenient: self.head.isLenient
            )
        }
        options.bodyBegins()
        self.endIfWhole(bodyBytes: 0)
    }

    /// Ends the transfer at the length that libcurl did not understand.
    private func endIfWhole(bodyBytes: Int) {
        guard self.head.endIsUnknownToCurl, let length = self.head.contentLength, bodyBytes >= length else { return }
        self.isWhole = true
    }

    /// Whether the next bytes of the body are for a later turn: the transfer is then paused. Not over HTTP/2, where that
    /// would hold all that share its connection; nor where the end of the answer is found here, which libcurl would not
    /// be told of.
    func waitsForTurn() -> Bool {
        guard self.turn.isOver, self.failure == nil, self.body != nil, !self.head.endIsUnknownToCurl,
            self.connection?.kept.isMultiplexed == false
        else { return false }
        self.turn.wait(self)
        return true
    }

    /// False ends the transfer.
    func bodyReceived(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard self.failure == nil else { return false }
        guard self.body != nil else {
            self.discardedBytes += bytes.count
            return self.discardedBytes <= Self.maxDiscardedBytes
        }
        if let violation = self.audit?.violation {
            self.failure = violation
            return false
        }
        do {
            let before = self.body?.bytes ?? 0
            try self.body?.received(bytes, scratch: self.scratch)
            self.turn.took(max(bytes.count, (self.body?.bytes ?? 0) - before))
            self.endIfWhole(bodyBytes: self.body?.wireBytes ?? 0)
            return !self.isWhole
        } catch {
            self.failure = error
            return false
        }
    }

    /// The body as it stands on the wire, before libcurl undoes its framing.
    func wireReceived(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard self.audit != nil, self.audit?.violation == nil else { return }
        self.audit?.received(bytes.span)
        // What follows on this connection cannot be trusted to begin where libcurl thinks.
        if self.audit?.violation != nil { CurlOptions(easy: self.easy).forbidReuse() }
    }

    /// libcurl dropped bytes that followed the end of the answer.
    func excessFound() {
        self.hasExcess = true
    }

    /// Whether a connection to this address may be opened, or used once more.
    func allows(_ address: @autoclosure () -> NetworkAddress?) -> Bool {
        guard self.policy.isRestrictive, let reason = self.policy.reasonToRefuse(address()) else { return true }
        self.refusedAddress = reason
        return false
    }

    func opened(_ socket: Int32) {
        guard let (pool, kept) = self.connection else { return }
        self.store.opened(socket, by: kept, of: pool)
    }

    func handshakeBegins() {
        self.handshakeBegan = true
    }

    /// The connection stands, and the request is about to be sent over it. False keeps it back: the connection is closed
    /// with whatever waits in it unread, and another one is used (F09).
    func requestBegins() -> Bool {
        self.sentAt = .now
        self.requestWasSent = true
        guard let (pool, kept) = self.connection else {
            self.wasEverSent = true
            return true
        }
        kept.requestBegins(self.easy)
        pool.learned(from: kept)
        guard !kept.isMultiplexed, CurlOptions(easy: self.easy).long(CURLINFO_NUM_CONNECTS) == 0 else {
            self.wasEverSent = true
            return true
        }
        let condition = kept.condition()
        guard condition != .silent || kept.isSpent else {
            pool.wasSilent(kept, now: self.sentAt)
            self.isOverUsedConnection = self.request.holdsAnswer
            self.wasEverSent = true
            return true
        }
        self.store.note(condition, over: kept, now: self.sentAt)
        self.isDoubtful = true
        return false
    }
}
