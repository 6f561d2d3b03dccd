// The file that a unix socket leaves behind.

import Glibc

enum SocketFile {
    /// Lets only the owner connect.
    static func restrict(_ path: String) {
        chmod(path, 0o600)
    }

    /// Removes a socket that this process made. Does nothing if absent.
    static func remove(_ path: String) {
        unlink(path)
    }
}
