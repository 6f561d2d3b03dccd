// Requests over libcurl, where there is no URLSession of Apple's systems.

#if !canImport(Darwin)
    import CCurl
    import Synchronization
    import System

    /// The transport on Linux: libcurl, with one thread for all requests of a client.
    ///
    /// It speaks HTTP/1.1 and, over TLS, HTTP/2, checks certificates against those of the system, and uses no proxy. `URLSession`
    /// of FoundationNetworking is not used, because it goes on reading while the bytes are not taken.
    public struct CurlTransport: FreshetTransport {
        private let driver: CurlDriver

        /// - Parameters:
        ///   - socketFile: The path of the socket file at which the gateway listens; `nil` for the host of the URL.
        ///   - authorities: The path of a PEM file with the CA certificates to trust instead of the system's.
        public init(socketFile: String? = nil, authorities: String? = nil) {
            self.driver = CurlDriver(socketFile: socketFile, authorities: authorities)
        }

        public func send(_ request: FreshetClient.Request) async throws -> FreshetClient.Response {
            let transfer = try CurlTransfer(request, driver: self.driver)
            let stream = transfer.chunks.stream
            let head = try await transfer.run()
            return FreshetClient.Response(status: head.status, headers: head.fields, body: .init(stream))
        }
    }

    /// Orders to the thread of a transport. Any thread may call.
    final class CurlDriver: Sendable {
        enum Command: Sendable {
            case start(CurlTransfer)
            /// The reader of a transfer that was paused has taken bytes.
            case resume(Int)
            case cancel(Int)
            /// The transport is released. No transfer runs then: each keeps the driver.
            case stop
        }

        /// What driver and thread share.
        private final class Shared: Sendable {
            // Proof: the thread alone uses it, but for `curl_multi_wakeup`, which any thread may call.
            nonisolated(unsafe) let multi: UnsafeMutableRawPointer
            private let commands = Mutex<[Command]>([])

            init(_ multi: UnsafeMutableRawPointer) {
                self.multi = multi
            }

            deinit { curl_multi_cleanup(self.multi) }

            func post(_ command: Command) {
                self.commands.withLock { $0.append(command) }
                curl_multi_wakeup(self.multi)
            }

            func take() -> [Command] {
                self.commands.withLock { commands in
                    defer { commands = [] }
                    return commands
                }
            }
        }

        private struct State: Sendable {
            var lastNumber = 0
            var shared: Shared?
        }

        let socketFile: String?
        let authorities: String?
        private let state = Mutex(State())

        init(socketFile: String?, authorities: String?) {
            self.socketFile = socketFile
            self.authorities = authorities
        }

        deinit { self.post(.stop) }

        /// A number for a transfer.
        func makeNumber() -> Int {
            self.state.withLock { state in
                state.lastNumber += 1
                return state.lastNumber
            }
        }

        /// Starts a transfer, and the thread with the first.
        ///
        /// - Throws: ``FreshetTransportError`` where there is no memory or no thread.
        func start(_ transfer: CurlTransfer) throws {
            try self.state.withLock { state in
                guard state.shared == nil else { return }
                guard curlIsReady, let multi = curl_multi_init() else {
                    throw FreshetTransportError("libcurl cannot be used", isUnsent: true)
                }
                let shared = Shared(multi)
                do throws(SystemError) {
                    try SystemThread.detach(name: "freshet-client") { Self.run(shared) }
                } catch {
                    throw FreshetTransportError("\(error)", isUnsent: true)
                }
                state.shared = shared
            }
            self.post(.start(transfer))
        }

        func post(_ command: Command) {
            self.state.withLock { $0.shared }?.post(command)
        }

        /// The thread.
        private static func run(_ shared: Shared) {
            var transfers: [Int: CurlTransfer] = [:]
            while true {
                for command in shared.take() {
                    switch command {
                    case .start(let transfer):
                        guard curl_multi_add_handle(shared.multi, transfer.easy) == CURLM_OK else {
                            transfer.ended(FreshetTransportError("libcurl refuses the request", isUnsent: true))
                            continue
                        }
                        transfers[transfer.number] = transfer
                    case .resume(let number):
                        // CURLPAUSE_CONT. Bytes that libcurl has kept come now, by the callback.
                        if let transfer = transfers[number] { curl_easy_pause(transfer.easy, 0) }
                    case .cancel(let number):
                        guard let transfer = transfers.removeValue(forKey: number) else { continue }
                        curl_multi_remove_handle(shared.multi, transfer.easy)
                        transfer.ended(CancellationError())
                    case .stop: return
                    }
                }
                var count: Int32 = 0
                curl_multi_perform(shared.multi, &count)
                while let message = curl_multi_info_read(shared.multi, &count) {
                    guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
                    let code = ccurl_message_result(message)
                    curl_multi_remove_handle(shared.multi, easy)
                    guard let number = CurlTransfer.number(of: easy) else { continue }
                    transfers.removeValue(forKey: number)?.ended(code)
                }
                // Ends early for libcurl's own timers, and when a command is posted.
                curl_multi_poll(shared.multi, nil, 0, 60_000, nil)
            }
        }
    }

    /// Whether libcurl is prepared; once for the process.
    private let curlIsReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK
#endif
