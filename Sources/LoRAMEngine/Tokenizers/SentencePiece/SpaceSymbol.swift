/// U+2581, which stands for a space in pieces.
enum SpaceSymbol {
    static let bytes: [UInt8] = [0xe2, 0x96, 0x81]

    @inline(__always)
    static func starts(_ text: UnsafePointer<UInt8>, at position: Int, count: Int) -> Bool {
        position + 3 <= count && text[position] == 0xe2 && text[position + 1] == 0x96 && text[position + 2] == 0x81
    }

    /// Whether a space symbol follows another character in `piece`.
    static func occursAfterOther(_ piece: ArraySlice<UInt8>) -> Bool {
        var rest = piece
        while rest.starts(with: bytes) { rest = rest.dropFirst(3) }
        return rest.indices.contains { rest[$0...].starts(with: bytes) }
    }
}
