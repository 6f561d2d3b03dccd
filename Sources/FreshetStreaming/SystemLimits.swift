// What the machine allows this process: cores and open files.

import CLinux
import Glibc
import System

/// Limits of the process that bound how many streams it can hold.
package enum SystemLimits {
    /// Processors online, at least 1.
    package static var cores: Int {
        SystemThread.processors
    }

    /// The soft limit of open files (RLIMIT_NOFILE); 1024 where it cannot be read.
    package static var openFiles: Int {
        var soft: Int64 = 0
        var hard: Int64 = 0
        guard clinux_get_file_limit(&soft, &hard) == 0 else { return 1024 }
        return Int(clamping: soft)
    }

    /// Raises the soft limit of open files to the hard one, for which no privilege is needed.
    ///
    /// - Returns: The soft limit that holds now.
    @discardableResult
    package static func raiseOpenFiles() -> Int {
        var soft: Int64 = 0
        var hard: Int64 = 0
        if clinux_get_file_limit(&soft, &hard) == 0, soft < hard {
            _ = clinux_set_file_limit(hard)
        }
        return self.openFiles
    }
}
