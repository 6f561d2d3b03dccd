import CZlib

/// Makes gzip bodies for tests, with the library that undoes them.
enum Gzip {
    /// One gzip member that holds `bytes`.
    static func member(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var input = Array(bytes)
        var output = [UInt8](repeating: 0, count: input.count / 500 + input.count + 100)
        var stream = z_stream()
        precondition(czlib_deflate_init_gzip(&stream) == Z_OK, "Gzip.member: no memory")
        defer { deflateEnd(&stream) }
        let count = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output -> Int in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                precondition(deflate(&stream, Z_FINISH) == Z_STREAM_END, "Gzip.member: did not fit")
                return output.count - Int(stream.avail_out)
            }
        }
        return Array(output[..<count])
    }

    static func member(_ text: String) -> [UInt8] { self.member(text.utf8) }
}
