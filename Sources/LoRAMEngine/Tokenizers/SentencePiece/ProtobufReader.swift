/// Reads the fields of one Protocol Buffers message, front to back, without a schema.
///
/// Made for hostile input: every length is checked against what is left, and nothing is allocated for a field's payload.
/// Wire format: https://protobuf.dev/programming-guides/encoding/
struct ProtobufReader {
    struct Field {
        var number: Int
        /// Offset of the field's tag in the file, for messages.
        var offset: Int
        var value: Value
    }

    enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        /// A string, bytes or embedded message: its range in the file.
        case bytes(Range<Int>)
        case fixed32(UInt32)

        var name: String {
            switch self {
            case .varint: "a varint"
            case .fixed64: "a 64-bit value"
            case .bytes: "a length-delimited value"
            case .fixed32: "a 32-bit value"
            }
        }
    }

    struct Failure: Error {
        var offset: Int
        var expected: String
        var found: String
    }

    private let file: UnsafeBufferPointer<UInt8>
    private var position: Int
    private let end: Int

    /// - Parameter range: where the message lies in `file`; within its bounds.
    init(_ file: UnsafeBufferPointer<UInt8>, range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= file.count)
        self.file = file
        position = range.lowerBound
        end = range.upperBound
    }

    /// The next field; nil at the end of the message.
    mutating func next() throws(Failure) -> Field? {
        guard position < end else { return nil }
        let offset = position
        let tag = try varint()
        let number = tag >> 3
        guard number > 0, number < 1 << 29 else {
            throw Failure(offset: offset, expected: "a field number in 1 ..< 2^29", found: "\(number)")
        }
        let value: Value
        switch tag & 7 {
        case 0: value = .varint(try varint())
        case 1:
            var bits: UInt64 = 0
            for (shift, byte) in try take(8).enumerated() { bits |= UInt64(file[byte]) << UInt64(8 * shift) }
            value = .fixed64(bits)
        case 2:
            let lengthOffset = position
            let length = try varint()
            guard length <= UInt64(end - position) else {
                throw Failure(offset: lengthOffset, expected: "a length of at most \(end - position) bytes", found: "\(length)")
            }
            value = .bytes(try take(Int(length)))
        case 5:
            var bits: UInt32 = 0
            for (shift, byte) in try take(4).enumerated() { bits |= UInt32(file[byte]) << UInt32(8 * shift) }
            value = .fixed32(bits)
        case let type: throw Failure(offset: offset, expected: "wire type 0, 1, 2 or 5", found: "\(type)")
        }
        return Field(number: Int(number), offset: offset, value: value)
    }

    private mutating func take(_ count: Int) throws(Failure) -> Range<Int> {
        guard count <= end - position else {
            throw Failure(offset: position, expected: "\(count) more bytes", found: "\(end - position)")
        }
        defer { position += count }
        return position..<position + count
    }

    /// At most ten bytes of seven bits, least significant first.
    private mutating func varint() throws(Failure) -> UInt64 {
        let offset = position
        var value: UInt64 = 0
        for index in 0..<10 {
            guard position < end else { throw Failure(offset: offset, expected: "a whole varint", found: "the end of the message") }
            let byte = file[position]
            position += 1
            if index == 9, byte > 1 { break }
            value |= UInt64(byte & 0x7f) << UInt64(7 * index)
            if byte & 0x80 == 0 { return value }
        }
        throw Failure(offset: offset, expected: "a varint of 64 bits", found: "a longer one")
    }
}
