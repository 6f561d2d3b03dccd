// Columns of rows from a file that may hold anything: GRDB's own subscripts trap where a type does not fit.

import Foundation
import GRDB

extension Row {
    /// - Throws: ``DamagedRow`` where the column is no integer.
    func integer(_ index: Int) throws -> Int64 {
        guard let value = try self.optionalInteger(index) else {
            throw DamagedRow(what: "a column that must be a number is empty")
        }
        return value
    }

    func optionalInteger(_ index: Int) throws -> Int64? {
        let value: DatabaseValue = self[index]
        switch value.storage {
        case .int64(let number): return number
        case .null: return nil
        case .double, .string, .blob: throw DamagedRow(what: "a column that must be a number is not")
        }
    }

    /// A number that was written as the same bits of a signed one.
    func sequence(_ index: Int) throws -> UInt64 {
        UInt64(bitPattern: try self.integer(index))
    }

    /// The bytes of a column, copied; also those of text.
    func bytes(_ index: Int) throws -> [UInt8]? {
        let value: DatabaseValue = self[index]
        switch value.storage {
        case .null: return nil
        case .blob(let data): return [UInt8](data)
        case .string(let text): return Array(text.utf8)
        case .int64, .double: throw DamagedRow(what: "a column that must be bytes is a number")
        }
    }

    func text(_ index: Int) throws -> String {
        guard let bytes = try self.bytes(index), let text = String(validating: bytes, as: UTF8.self) else {
            throw DamagedRow(what: "a column that must be text is not")
        }
        return text
    }
}

extension Optional<[UInt8]> {
    /// As a column.
    var data: Data? { self.map { Data($0) } }
}
