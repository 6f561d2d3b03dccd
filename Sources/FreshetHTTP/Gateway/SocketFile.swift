// The file that a unix socket leaves behind.

import Glibc

enum SocketFile {
    /// Removes a socket that this process made. Does nothing where there is none.
    static func remove(_ path: String) {
        unlink(path)
    }
}
