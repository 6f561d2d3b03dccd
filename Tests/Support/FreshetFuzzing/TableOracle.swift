// Tables read byte by byte.

import JSON

/// The plain reader of tables.
package enum TableOracle {
    /// RFC 4180 byte by byte; nil where a quote does not close or text follows one that does.
    private static func records(_ bytes: [UInt8], separator: UInt8) -> [[[UInt8]]]? {
        let quote = UInt8(ascii: "\"")
        var records: [[[UInt8]]] = []
        var position = 0
        func ends(_ byte: UInt8) -> Bool { byte == separator || byte == 0x0A || byte == 0x0D }
        while true {
            while position < bytes.count, bytes[position] == 0x0A || bytes[position] == 0x0D { position += 1 }
            guard position < bytes.count else { return records }
            var record: [[UInt8]] = []
            while true {
                var field: [UInt8] = []
                if position < bytes.count, bytes[position] == quote {
                    position += 1
                    while true {
                        guard position < bytes.count else { return nil }
                        let byte = bytes[position]
                        position += 1
                        if byte == quote {
                            guard position < bytes.count, bytes[position] == quote else { break }
                            position += 1
                        }
                        field.append(byte)
                    }
                    guard position == bytes.count || ends(bytes[position]) else { return nil }
                } else {
                    while position < bytes.count, !ends(bytes[position]) {
                        field.append(bytes[position])
                        position += 1
                    }
                }
                record.append(field)
                guard position < bytes.count, bytes[position] == separator else { break }
                position += 1
            }
            records.append(record)
        }
    }

    /// The image as the plain reader has it; nil where the table is refused.
    package static func image(_ bytes: [UInt8], separator: UInt8) -> [UInt8]? {
        guard let records = self.records(bytes, separator: separator), let header = records.first,
            records.allSatisfy({ $0.count == header.count })
        else { return nil }
        var writer = JSONWriter()
        writer.array { writer in
            for record in records.dropFirst() {
                writer.object { writer in
                    for (name, field) in zip(header, record) {
                        writer.member(
                            String(decoding: name, as: UTF8.self),
                            String(decoding: field, as: UTF8.self)
                        )
                    }
                }
            }
        }
        return writer.text
    }

    /// Whether the table has nothing that the plain reader knows nothing of: columns without a name or with the same,
    /// another encoding, whitespace alone, a first line that names the separator.
    static func knows(_ bytes: [UInt8], separator: UInt8) -> Bool {
        guard String(validating: bytes, as: UTF8.self) != nil, !bytes.contains(0), bytes.first != 0xEF,
            !String(decoding: bytes.prefix(16), as: UTF8.self).lowercased().contains("sep="),
            bytes.contains(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }),
            let header = self.records(bytes, separator: separator)?.first
        else { return false }
        return !header.contains([]) && Set(header).count == header.count
    }
}
