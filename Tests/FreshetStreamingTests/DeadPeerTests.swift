// Peers that are gone without a word: a NAT forgot them, a cable was pulled. Nothing comes, not even a reset.

import CLinux
import FreshetCore
import FreshetStreaming
import Glibc
import Testing

extension StreamingTests {
    @Suite("A peer that is gone without a word")
    struct DeadPeerTests {
        /// Makes the kernel drop all that arrives for this socket, before TCP sees it: no byte is acknowledged any more.
        private func cutOff(_ client: StreamClient) throws {
            /// As `struct sock_filter` and `struct sock_fprog` of linux/filter.h.
            struct Instruction {
                var code: UInt16
                var jumpTrue: UInt8 = 0
                var jumpFalse: UInt8 = 0
                var operand: UInt32
            }
            struct Program {
                var count: UInt16
                var instructions: UnsafeMutablePointer<Instruction>
            }
            let (attachFilter, returnConstant): (Int32, UInt16) = (26, 6)
            var accepted = Instruction(code: returnConstant, operand: 0)
            let result = withUnsafeMutablePointer(to: &accepted) { pointer in
                var program = Program(count: 1, instructions: pointer)
                return setsockopt(
                    client.descriptor,
                    SOL_SOCKET,
                    attachFilter,
                    &program,
                    socklen_t(MemoryLayout<Program>.size)
                )
            }
            try #require(result == 0, "SO_ATTACH_FILTER: \(errno)")
        }

        @Test("F47: is found by its silence, or by what it does not acknowledge", arguments: [false, true])
        func vanished(isWrittenTo: Bool) throws {
            let fixture = try StreamFixture { $0.userTimeout = .seconds(1) }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let client = try fixture.subscribe(to: [source])
            let healthy = try fixture.subscribe(to: [source])
            #expect(client.receive(events: 1) && healthy.receive(events: 1))
            try self.cutOff(client)
            if isWrittenTo { try fixture.publish(1, of: source, hasPatch: false) }
            #expect(eventually { fixture.server.statistics.closes["gone"] == 1 })
            #expect(eventually { fixture.server.statistics.subscribers == 1 })
            #expect(eventually { fixture.hub.report(of: source)?.subscribers == 1 })
            try fixture.publish(2, of: source, hasPatch: isWrittenTo)
            #expect(healthy.receive(through: isWrittenTo ? 2 : 1))
        }

        @Test("F47: is given up by the kernel after the time that is set, a minute unless told otherwise")
        func options() throws {
            let settings = StreamSettings(shards: 1)
            #expect(settings.userTimeout == .seconds(60))
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let (client, server) = try fixture.subscribeWithServerEnd(to: [source])
            #expect(client.receive(events: 1))
            func option(_ level: Int32, _ name: Int32) -> Int32 {
                var value: Int32 = -1
                var size = socklen_t(MemoryLayout<Int32>.size)
                return getsockopt(server, level, name, &value, &size) == 0 ? value : -1
            }
            let tcp = Int32(IPPROTO_TCP)
            #expect(option(tcp, TCP_USER_TIMEOUT) == 60_000)
            #expect(option(SOL_SOCKET, SO_KEEPALIVE) == 1)
            #expect(option(tcp, TCP_KEEPIDLE) == 20)
            #expect(option(tcp, TCP_KEEPINTVL) == 20)
            #expect(option(tcp, TCP_KEEPCNT) == 3)
            #expect(option(tcp, TCP_NODELAY) == 1)
        }
    }
}
