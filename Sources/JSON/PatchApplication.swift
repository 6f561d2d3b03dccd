// Applies RFC 6902 patches. The patch may come from anybody: every failure is an error, never a trap, and work is
// bounded.

/// Why a patch could not be applied. Nothing has been changed then (RFC 6902 §5).
package struct PatchError: Error, Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        /// Not an array of operations as RFC 6902 §4 has them: a member missing, an unknown `op`, a bad pointer.
        case malformed
        /// A path that leads nowhere in the document, or an array position that is out of range.
        case noTarget
        /// A `test` that did not hold.
        case testFailed
        /// `from` names something around `path` (RFC 6902 §4.4).
        case moveIntoItself
        /// The result, or the work on the way, exceeds the limits.
        case tooLarge
    }

    package var reason: Reason
    /// The operation at fault, from 0; the number of operations where only the result as a whole is.
    package var operation: Int

    package init(reason: Reason, operation: Int) {
        self.reason = reason
        self.operation = operation
    }
}

extension PatchError: CustomStringConvertible {
    /// One line for a log or a problem's detail; it never quotes the patch or the document.
    package var description: String {
        let what =
            switch self.reason {
            case .malformed: "not a JSON Patch operation"
            case .noTarget: "the path names nothing in the document"
            case .testFailed: "the test does not hold"
            case .moveIntoItself: "a value cannot move into itself"
            case .tooLarge: "the result would be too large"
            }
        return "\(what) (operation \(self.operation))"
    }
}

extension Document {
    /// Applies a patch document (RFC 6902).
    ///
    /// - Parameters:
    ///   - patch: an array of operations.
    ///   - limits: what the result must keep to, as if it were parsed.
    /// - Returns: the changed document.
    /// - Throws: which operation failed, and why.
    package func applying(
        patch: Document,
        limits: ParseLimits = ParseLimits()
    ) throws(PatchError) -> Document {
        guard patch.root.kind == .array else { throw PatchError(reason: .malformed, operation: 0) }
        var draft = Draft(self.root, limits: limits)
        var position = 0
        for value in patch.root.elements {
            do throws(PatchFailure) {
                try draft.apply(PatchOperation(value))
            } catch {
                throw PatchError(reason: error.reason, operation: position)
            }
            position += 1
        }
        do throws(PatchFailure) {
            return try draft.document()
        } catch {
            throw PatchError(reason: error.reason, operation: position)
        }
    }
}

/// A reason on its way to an error that also says where.
struct PatchFailure: Error {
    var reason: PatchError.Reason
}

/// One operation (RFC 6902 §4).
private enum PatchOperation {
    case add(Pointer, Value)
    case remove(Pointer)
    case replace(Pointer, Value)
    case move(from: Pointer, Pointer)
    case copy(from: Pointer, Pointer)
    case test(Pointer, Value)

    init(_ value: Value) throws(PatchFailure) {
        guard let name = value["op"]?.utf8 else { throw PatchFailure(reason: .malformed) }
        let path = try Self.pointer(value, "path")
        switch String(decoding: name, as: UTF8.self) {
        case "add": self = .add(path, try Self.operand(value))
        case "remove": self = .remove(path)
        case "replace": self = .replace(path, try Self.operand(value))
        case "move": self = .move(from: try Self.pointer(value, "from"), path)
        case "copy": self = .copy(from: try Self.pointer(value, "from"), path)
        case "test": self = .test(path, try Self.operand(value))
        default: throw PatchFailure(reason: .malformed)
        }
    }

    private static func pointer(_ value: Value, _ name: String) throws(PatchFailure) -> Pointer {
        guard let text = value[name]?.utf8, let pointer = Pointer(utf8: text) else {
            throw PatchFailure(reason: .malformed)
        }
        return pointer
    }

    private static func operand(_ value: Value) throws(PatchFailure) -> Value {
        guard let operand = value["value"] else { throw PatchFailure(reason: .malformed) }
        return operand
    }
}

extension Draft {
    fileprivate mutating func apply(_ operation: PatchOperation) throws(PatchFailure) {
        switch operation {
        case .add(let path, let value):
            try self.add(self.makeCell(value), at: path)
        case .remove(let path):
            _ = try self.remove(at: path)
        case .replace(let path, let value):
            try self.replace(at: path, with: self.makeCell(value))
        case .move(let source, let path):
            guard source != path else {
                _ = try self.find(source)
                return
            }
            guard !source.isPrefix(of: path) else { throw PatchFailure(reason: .moveIntoItself) }
            try self.add(self.remove(at: source), at: path)
        case .copy(let source, let path):
            try self.add(self.copy(self.find(source)), at: path)
        case .test(let path, let value):
            guard try self.isEqual(self.find(path), to: value) else { throw PatchFailure(reason: .testFailed) }
        }
    }
}
