// What the sockets of one shard are watched with.

import CLinux
import FreshetCore

/// An epoll instance, and how sockets are set up for it. A value; who makes it closes the instance.
struct EpollSet {
    let descriptor: Int32
    let settings: StreamSettings

    /// Has a socket reported under a mark, edges only.
    ///
    /// - Returns: `false` where it cannot be watched.
    func add(_ socket: Int32, as mark: UInt64) -> Bool {
        self.configure(socket)
        let events = CLINUX_EPOLLIN | CLINUX_EPOLLOUT | CLINUX_EPOLLRDHUP | CLINUX_EPOLLET
        return clinux_epoll_add(self.descriptor, socket, events, mark) == 0
    }

    /// Sets what a held stream needs; sockets of other families refuse some of it, which is no error.
    private func configure(_ socket: Int32) {
        _ = clinux_set_nodelay(socket, 1)
        _ = clinux_set_user_timeout(socket, Int32(clamping: self.settings.userTimeout.milliseconds))
        let third = Int32(clamping: max(1, self.settings.userTimeout.milliseconds / 3000))
        _ = clinux_set_keepalive(socket, third, third, 3)
        _ = clinux_set_notsent_lowat(socket, Int32(clamping: self.settings.unsentBytes))
        if let bytes = self.settings.sendBufferBytes {
            _ = clinux_set_send_buffer(socket, Int32(clamping: bytes))
        }
    }
}
