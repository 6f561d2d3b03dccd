// The C functions that libcurl calls, and nothing else: each finds its transfer and passes the call on.

import CCurl
import CLinux
import FreshetCore

extension CurlOptions {
    /// Registers the callbacks. libcurl keeps unretained pointers to `transfer` and `errorText`: both must outlive the
    /// easy handle, which a transfer sees to by owning it.
    func applyCallbacks(of transfer: CurlTransfer, errorText: UnsafeMutablePointer<CChar>) throws(UpstreamError) {
        let user = Unmanaged.passUnretained(transfer).toOpaque()
        for option in [
            CURLOPT_PRIVATE, CURLOPT_HEADERDATA, CURLOPT_WRITEDATA, CURLOPT_DEBUGDATA, CURLOPT_OPENSOCKETDATA,
            CURLOPT_PREREQDATA, CURLOPT_SSL_CTX_DATA,
        ] {
            try self.set(option, pointer: user)
        }
        // A connection is closed by whichever transfer comes across it, long after the one that opened it.
        try self.set(
            CURLOPT_CLOSESOCKETDATA,
            pointer: Unmanaged.passUnretained(transfer.store).toOpaque()
        )
        try self.set(CURLOPT_ERRORBUFFER, pointer: errorText)
        try self.check(ccurl_set_data_function(self.easy, CURLOPT_HEADERFUNCTION, headerFunction))
        try self.check(ccurl_set_data_function(self.easy, CURLOPT_WRITEFUNCTION, writeFunction))
        try self.check(ccurl_set_debug_function(self.easy, debugFunction))
        try self.check(ccurl_set_open_socket_function(self.easy, openSocketFunction))
        try self.check(ccurl_set_close_socket_function(self.easy, closeSocketFunction))
        try self.check(ccurl_set_prerequest_function(self.easy, prerequestFunction))
        // Not every TLS library has it, and it only makes a message more exact.
        ccurl_set_ssl_context_function(self.easy, tlsContextFunction)
    }

    /// The transfer that the handle belongs to.
    var transfer: CurlTransfer? {
        var pointer: UnsafeMutableRawPointer?
        guard ccurl_get_pointer(self.easy, CURLINFO_PRIVATE, &pointer) == CURLE_OK else { return nil }
        return transferBehind(pointer)
    }
}

private func transferBehind(_ user: UnsafeMutableRawPointer?) -> CurlTransfer? {
    user.map { Unmanaged<CurlTransfer>.fromOpaque($0).takeUnretainedValue() }
}

private func octets(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> UnsafeBufferPointer<UInt8> {
    UnsafeRawBufferPointer(start: bytes, count: count).assumingMemoryBound(to: UInt8.self)
}

private let headerFunction: ccurl_data_function = { bytes, size, count, user in
    guard let transfer = transferBehind(user) else { return ccurl_write_error }
    return transfer.headLineReceived(octets(bytes, size * count)) ? size * count : ccurl_write_error
}

private let writeFunction: ccurl_data_function = { bytes, size, count, user in
    guard let transfer = transferBehind(user) else { return ccurl_write_error }
    guard !transfer.waitsForTurn() else { return ccurl_write_pause }
    return transfer.bodyReceived(octets(bytes, size * count)) ? size * count : ccurl_write_error
}

private let debugFunction: ccurl_debug_function = { _, type, bytes, count, user in
    switch type {
    case CURLINFO_DATA_IN: transferBehind(user)?.wireReceived(octets(bytes, count))
    case CURLINFO_TEXT where isAboutExcess(octets(bytes, count)): transferBehind(user)?.excessFound()
    case _: break
    }
    return 0
}

/// libcurl drops what it has read beyond the end of an answer, and says so nowhere but in its trace.
private func isAboutExcess(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    excessMarks.contains { text.starts(with: $0) }
}

private let excessMarks = [Array("Excess found".utf8), Array("Leftovers after chunking".utf8)]

private let openSocketFunction: ccurl_open_socket_function = { user, _, address in
    guard let transfer = transferBehind(user), let address else { return ccurl_socket_bad }
    guard transfer.allows(networkAddress(address)) else { return ccurl_socket_bad }
    let socket = ccurl_open_socket(address)
    if socket != ccurl_socket_bad { transfer.opened(socket) }
    return socket
}

private let closeSocketFunction: ccurl_close_socket_function = { user, socket in
    if let user { Unmanaged<ConnectionStore>.fromOpaque(user).takeUnretainedValue().closes(socket) }
    return clinux_close(socket)
}

private func networkAddress(_ address: UnsafePointer<curl_sockaddr>) -> NetworkAddress? {
    var bytes = [UInt8](repeating: 0, count: 16)
    let length = Int(ccurl_address_bytes(address, &bytes))
    return NetworkAddress(bytes: Array(bytes.prefix(length)))
}

/// Runs before each request, on reused connections too, which the socket callback never sees.
private let prerequestFunction: ccurl_prerequest_function = { user, peer, _, _, _ in
    guard let transfer = transferBehind(user) else { return Int32(CURL_PREREQFUNC_ABORT) }
    guard transfer.allows(NetworkAddress(text: peer)), transfer.requestBegins() else {
        return Int32(CURL_PREREQFUNC_ABORT)
    }
    return Int32(CURL_PREREQFUNC_OK)
}

/// Runs when the TCP connection stands and the TLS handshake is about to begin.
private let tlsContextFunction: ccurl_ssl_context_function = { _, _, user in
    transferBehind(user)?.handshakeBegins()
    return CURLE_OK
}
