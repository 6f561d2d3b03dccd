// What a 304 leaves out because it has not changed, and so stays in force (RFC 9111 §3.2).

import HTTPFields

/// The fields of the last good answer that say how long it is fresh, as later 304s renewed them.
struct AnswerLifetime: Sendable {
    private var stored = StoredFields(received: [])

    /// A good answer with a body.
    mutating func replaced(by fields: [HeaderField]) {
        guard !self.isRepeated(by: fields) else { return }
        self.stored = StoredFields(received: fields.filter(\.isAboutLifetime))
    }

    /// A 304 for the value that is there.
    ///
    /// - Returns: Its fields, with those that it left out.
    mutating func renewed(by fields: [HeaderField]) -> [HeaderField] {
        guard !self.isRepeated(by: fields) else { return fields }
        self.stored.notModified(received: fields.filter(\.isAboutLifetime))
        return self.stored.fields + fields.filter { !$0.isAboutLifetime }
    }

    /// Whether an answer says of its lifetime what is known already.
    private func isRepeated(by fields: [HeaderField]) -> Bool {
        fields.lazy.filter(\.isAboutLifetime).elementsEqual(self.stored.fields)
    }
}

extension HeaderField {
    /// The fields of an answer that a 304 may leave out because they have not changed.
    fileprivate var isAboutLifetime: Bool {
        // By length first: this is asked of every field of every answer.
        switch self.name.count {
        case 13: self.name.elementsEqual("cache-control".utf8)
        case 7: self.name.elementsEqual("expires".utf8)
        case 4: self.name.elementsEqual("vary".utf8)
        case _: false
        }
    }
}
