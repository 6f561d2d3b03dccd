// The file that a unix socket leaves behind.

import Glibc

enum SocketFile {
    /// Lets nobody but the owner connect.
    static func restrict(_ path: String) {
        chmod(path, 0o600)
    }

    /// Removes a socket that this process made. Does nothing where there is none.
    static func remove(_ path: String) {
        unlink(path)
    }
}
