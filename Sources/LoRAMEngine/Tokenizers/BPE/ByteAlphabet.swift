/// The printable character that stands for each byte in the vocabulary of a byte-level tokenizer (GPT-2's table): printable Latin-1
/// as it is, the other 68 bytes as U+0100 and on, in their order.
enum ByteAlphabet {
    static let scalars: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (UInt32(0)..<256).map { byte in
            if (0x21...0x7e).contains(byte) || (0xa1...0xac).contains(byte) || (0xae...0xff).contains(byte) { return Unicode.Scalar(byte)! }
            defer { next += 1 }
            return Unicode.Scalar(next)!
        }
    }()

    private static let bytesByScalar: [UInt8?] = {
        var table = [UInt8?](repeating: nil, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { table[Int(scalar.value)] = UInt8(byte) }
        return table
    }()

    /// The bytes that a token's text stands for; nil if it has a character that stands for none.
    static func bytes(of text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            guard scalar.value < 0x144, let byte = bytesByScalar[Int(scalar.value)] else { return nil }
            bytes.append(byte)
        }
        return bytes
    }
}
