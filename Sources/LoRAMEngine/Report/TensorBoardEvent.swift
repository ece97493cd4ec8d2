/// One record of a TensorBoard event file: TFRecord framing around the protocol buffer `tensorflow.Event`.
///
/// A record is the length (u64), its checksum, the bytes, their checksum; checksums are masked CRC-32C; all little-endian.
public struct TensorBoardEvent: Sendable, Equatable {
    public enum Content: Sendable, Equatable {
        /// Opens every file.
        case version
        /// A start or restart: what an earlier one wrote of this step or a later one is dropped by readers.
        case start
        case scalars([(tag: String, value: Double)])

        public static func == (a: Content, b: Content) -> Bool { a.fields == b.fields }
    }

    /// Seconds since 1970.
    public var wallTime: Double
    public var step: Int
    public var content: Content

    public init(wallTime: Double, step: Int, content: Content) {
        self.wallTime = wallTime
        self.step = step
        self.content = content
    }

    /// The bytes to append to the file.
    public var record: [UInt8] {
        let event = ProtocolBuffer.fixed64(1, wallTime.bitPattern) + ProtocolBuffer.varint(2, UInt64(bitPattern: Int64(step))) + content.fields
        let length = ProtocolBuffer.littleEndian(UInt64(event.count))
        return length + ProtocolBuffer.littleEndian(CRC32C.masked(length)) + event + ProtocolBuffer.littleEndian(CRC32C.masked(event))
    }
}

extension TensorBoardEvent.Content {
    fileprivate var fields: [UInt8] {
        switch self {
        case .version: ProtocolBuffer.bytes(3, Array("brain.Event:2".utf8))
        case .start: ProtocolBuffer.bytes(7, ProtocolBuffer.varint(1, 1))
        case .scalars(let values):
            ProtocolBuffer.bytes(
                5,
                values.flatMap { tag, value in
                    ProtocolBuffer.bytes(1, ProtocolBuffer.bytes(1, Array(tag.utf8)) + ProtocolBuffer.fixed32(2, Float(value).bitPattern))
                })
        }
    }
}

/// The few field types that an event has.
private enum ProtocolBuffer {
    static func littleEndian<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    static func varint(_ field: Int, _ value: UInt64) -> [UInt8] { number(UInt64(field) << 3) + number(value) }
    static func fixed64(_ field: Int, _ bits: UInt64) -> [UInt8] { number(UInt64(field) << 3 | 1) + littleEndian(bits) }
    static func fixed32(_ field: Int, _ bits: UInt32) -> [UInt8] { number(UInt64(field) << 3 | 5) + littleEndian(bits) }
    static func bytes(_ field: Int, _ bytes: [UInt8]) -> [UInt8] { number(UInt64(field) << 3 | 2) + number(UInt64(bytes.count)) + bytes }

    private static func number(_ value: UInt64) -> [UInt8] {
        var rest = value, bytes: [UInt8] = []
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }
}

/// CRC-32 with Castagnoli's polynomial.
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
    }

    static func checksum(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~0) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
    }

    /// As TFRecord stores it: rotated and offset, so that checksums of data that hold checksums stay apart.
    static func masked(_ bytes: [UInt8]) -> UInt32 {
        let value = checksum(bytes)
        return (value >> 15 | value << 17) &+ 0xA282_EAD8
    }
}
