// One connection of the library, for as long as it lasts.

import CNATS

/// Owns a connection. It is handed from the thread that made it to the one that uses it, and to the one that ends it.
///
/// `@unchecked Sendable`: one thread at a time has it; the hand-over is by ``Inbox``, which orders memory.
final class NATSLink: @unchecked Sendable {
    private let link: OpaquePointer
    private var isEnded = false

    private init(_ link: OpaquePointer) {
        self.link = link
    }

    deinit { self.end() }

    /// Disconnects, which may block for half a second. No other call may follow.
    func end() {
        if !self.isEnded { cnats_destroy(self.link) }
        self.isEnded = true
    }

    /// Connects, which blocks.
    static func connect(_ settings: NATSSettings) throws(NATSFailure) -> NATSLink {
        guard cnats_available() else {
            throw NATSFailure(.noLibrary, "the NATS client library is not installed (Debian: libnats3.4)")
        }
        let strings = CStrings(settings)
        var link: OpaquePointer?
        var text = [CChar](repeating: 0, count: 512)
        let result = strings.withSettings(settings) { cnats_connect($0, &link, &text, text.count) }
        if result == CNATS_OK, let link { return NATSLink(link) }
        let message = Self.withoutPlace(Self.text(text))
        throw NATSFailure(Self.reason(result, message, settings), Self.withoutSecrets(message))
    }

    /// Without where in the library it is: `(conn.c:4212): `.
    private static func withoutPlace(_ text: String) -> String {
        guard text.hasPrefix("("), let end = text.firstRange(of: "): ") else { return text }
        return String(text[end.upperBound...])
    }

    private static func reason(_ result: Int32, _ text: String, _ settings: NATSSettings) -> NATSFailure.Reason {
        switch Int(result) {
        case CNATS_DENIED: return .denied
        case CNATS_UNTRUSTED: return .untrusted
        case CNATS_UNREACHABLE, CNATS_CLOSED: return .disconnected
        // The library has no status of its own for a file of credentials that it cannot read.
        case _:
            let namesFile = settings.credentialsFile.map { text.contains($0) } ?? false
            return namesFile || text.contains("nkey") ? .denied : .disconnected
        }
    }

    static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Without what stands before an `@` in a URL.
    static func withoutSecrets(_ text: String) -> String {
        text.split(separator: " ", omittingEmptySubsequences: false).map { word in
            guard let scheme = word.firstRange(of: "://"), let at = word.lastIndex(of: "@"), at >= scheme.upperBound
            else {
                return String(word)
            }
            return word[..<scheme.upperBound] + "…" + word[at...]
        }.joined(separator: " ")
    }

    var isClosed: Bool { cnats_is_closed(self.link) }
    var wantsToSend: Bool { cnats_wants_to_send(self.link) }
    var unsentBytes: Int { max(0, Int(cnats_buffered(self.link))) }
    var maxPayload: Int { max(0, Int(clamping: cnats_max_payload(self.link))) }

    /// What the library or the broker complained of last.
    var lastError: String {
        var text = [CChar](repeating: 0, count: 512)
        cnats_last_error(self.link, &text, text.count)
        return Self.withoutSecrets(Self.text(text))
    }

    func wait(wake: Int32, milliseconds: Int32) -> Int { Int(cnats_wait(self.link, wake, milliseconds)) }
    func receive() { cnats_receive(self.link) }
    func send() { cnats_send(self.link) }

    /// Appends a message to what is to be sent.
    func publish(_ message: NATSOutgoing, reply: String?) -> Bool {
        let size = Int32(clamping: message.payload.count)
        guard message.payload.count == Int(size),
            let made = message.payload.withUnsafeBytes({ bytes in
                cnats_message_create(message.subject, reply, bytes.baseAddress, size)
            })
        else { return false }
        defer { cnats_message_destroy(made) }
        for header in message.headers {
            guard cnats_message_add_header(made, header.name, header.value) == CNATS_OK else { return false }
        }
        return cnats_publish(self.link, made) == CNATS_OK
    }

    /// For answers, which are handed over with a wake-up.
    func subscribeToAnswers(_ subject: String, wake: Int32) -> OpaquePointer? {
        var subscription: OpaquePointer?
        return cnats_subscribe_to_answers(self.link, subject, wake, &subscription) == CNATS_OK ? subscription : nil
    }

    func subscribe(_ subject: String) -> OpaquePointer? {
        var subscription: OpaquePointer?
        return cnats_subscribe(self.link, subject, &subscription) == CNATS_OK ? subscription : nil
    }

    /// To be called while there is this object.
    func unsubscribe(_ subscription: OpaquePointer) { cnats_unsubscribe(subscription) }

    func next(_ subscription: OpaquePointer) -> NATSMessage? {
        var message: OpaquePointer?
        let result = cnats_next(subscription, &message)
        if result == CNATS_UNSERVED { return NATSMessage(subject: "", headers: [NATSHeader("Status", "503")]) }
        guard result == CNATS_OK, let message else { return nil }
        defer { cnats_message_destroy(message) }
        var headers: [NATSHeader] = []
        withUnsafeMutablePointer(to: &headers) { pointer in
            cnats_message_headers(
                message,
                { context, name, value in
                    guard let name, let value else { return }
                    context?.assumingMemoryBound(to: [NATSHeader].self).pointee.append(
                        NATSHeader(String(cString: name), String(cString: value))
                    )
                },
                pointer
            )
        }
        if headers.count > 1 { headers.sort { ($0.name, $0.value) < ($1.name, $1.value) } }
        let count = max(0, Int(cnats_message_count(message)))
        let payload = UnsafeRawBufferPointer(start: cnats_message_payload(message), count: count)
        return NATSMessage(
            subject: cnats_message_subject(message).map { String(cString: $0) } ?? "",
            reply: cnats_message_reply(message).map { String(cString: $0) },
            headers: headers,
            payload: cnats_message_payload(message) == nil ? [] : Array(payload)
        )
    }
}

/// The texts of settings as C takes them.
private final class CStrings {
    private var owned: [UnsafeMutablePointer<CChar>] = []
    private let servers: [UnsafePointer<CChar>?]

    init(_ settings: NATSSettings) {
        var owned: [UnsafeMutablePointer<CChar>] = []
        self.servers = settings.servers.map { server in Self.copy(server, &owned) }
        self.owned = owned
    }

    deinit { for pointer in self.owned { pointer.deallocate() } }

    private static func copy(_ text: String, _ owned: inout [UnsafeMutablePointer<CChar>]) -> UnsafePointer<CChar> {
        let bytes = text.utf8CString
        let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        for (index, byte) in bytes.enumerated() { pointer[index] = byte }
        owned.append(pointer)
        return UnsafePointer(pointer)
    }

    private func copy(_ text: String?) -> UnsafePointer<CChar>? {
        text.map { Self.copy($0, &self.owned) }
    }

    func withSettings<Result>(
        _ settings: NATSSettings,
        _ body: (UnsafePointer<cnats_settings>) -> Result
    ) -> Result {
        self.servers.withUnsafeBufferPointer { servers in
            var values = cnats_settings()
            values.servers = servers.baseAddress
            values.server_count = Int32(clamping: servers.count)
            values.name = self.copy(settings.name)
            values.credentials = self.copy(settings.credentialsFile)
            values.ca = self.copy(settings.tls?.authorities)
            values.certificate = self.copy(settings.tls?.certificate)
            values.key = self.copy(settings.tls?.key)
            values.is_secure = settings.isSecure
            values.timeout_ms = Int32(clamping: settings.connectTimeout.milliseconds)
            values.silence_ms = Int32(clamping: settings.probeInterval.milliseconds * 3)
            return body(&values)
        }
    }
}

extension Duration {
    /// Rounded down; never negative.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        guard seconds >= 0, seconds < 1 << 40 else { return seconds < 0 ? 0 : .max / 4096 }
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }

    var nanoseconds: Int64 { self.milliseconds.multipliedReportingOverflow(by: 1_000_000).partialValue }
}
