// From what SQLite and the system say to a reason that the gateway can act on.

import FreshetCore
import GRDB
import GRDBSQLite
import Glibc

/// A row that is not what was written, or is missing.
struct DamagedRow: Error {
    /// What was found, without its contents.
    var what: String
}

/// A row that is what was written, and of no use: another gateway may have written anything into the stream that it is from.
struct UnusableText: Error {
    /// What was found, without its contents.
    var what: String
}

extension StoreError {
    /// `connection`: where the error arose, for the system's error behind it.
    init(_ error: any Error, path: String, connection: OpaquePointer? = nil) {
        switch error {
        case let error as StoreError:
            self = error
        case let error as DamagedRow:
            self.init(.corrupt, "\(path) is damaged: \(error.what)")
        case let error as UnusableText:
            self.init(.unusable, "\(path): \(error.what)")
        case let error as DatabaseError:
            self.init(error, path: path, errno: connection.map { sqlite3_system_errno($0) } ?? 0)
        case _:
            self.init(.io, "\(path): \(error)")
        }
    }

    private init(_ error: DatabaseError, path: String, errno: CInt) {
        let code = error.extendedResultCode
        let text = "SQLite result \(code.rawValue), \(error.message ?? "no message")"
        switch code.primaryResultCode {
        case .SQLITE_FULL:
            self.init(.full, "\(path): no space is left (\(text)); make room or lower log.max_bytes")
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
            self.init(.readOnly, "\(path) cannot be written (\(text)); check owner, mode and mount options")
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(.locked, "\(path) is locked by another program (\(text)); end that program")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT, .SQLITE_ERROR, .SQLITE_CONSTRAINT, .SQLITE_MISMATCH:
            // The last three: the statements are right, so the tables are not what they were made.
            self.init(.corrupt, "\(path) is damaged (\(text))")
        case .SQLITE_IOERR, .SQLITE_CANTOPEN:
            self = Self.system(errno, ofSharedIndex: code == .SQLITE_IOERR_SHMSIZE, path: path, text: text)
        case .SQLITE_MISUSE:
            self.init(.closed, "\(path) is closed")
        case _:
            self.init(.io, "\(path): \(text)")
        }
    }

    private static func system(_ errno: CInt, ofSharedIndex: Bool, path: String, text: String) -> StoreError {
        let reason = errno == 0 ? text : "\(text), \(String(cString: strerror(errno)))"
        switch errno {
        case ENOSPC, EDQUOT:
            return StoreError(.full, "\(path): no space is left (\(reason)); make room or lower log.max_bytes")
        case EROFS, EACCES, EPERM:
            return StoreError(.readOnly, "\(path) cannot be written (\(reason)); check owner, mode and mount options")
        case _ where ofSharedIndex:
            // The shared index could not grow: SQLite touches each page of it, so that the disk says no here and not
            // by a signal later.
            return StoreError(.full, "\(path): no space is left (\(reason)); make room or lower log.max_bytes")
        case _:
            return StoreError(.io, "\(path): the disk failed (\(reason)); check the system's log")
        }
    }
}

extension DatabaseQueue {
    /// Runs `body` on the connection, on the calling thread, with errors turned into reasons.
    func perform<Value>(at path: String, _ body: (Database) throws -> Value) throws(StoreError) -> Value {
        let result: Result<Value, StoreError> = self.inDatabase { database in
            do {
                return .success(try body(database))
            } catch {
                return .failure(StoreError(error, path: path, connection: database.sqliteConnection))
            }
        }
        return try result.get()
    }
}
