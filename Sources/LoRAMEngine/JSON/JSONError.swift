/// Why a text is not JSON, and at which byte. Callers wrap it with the name of the file.
public enum JSONError: DiagnosedError, Equatable {
    case unexpectedEnd(expected: String, offset: Int)
    case unexpectedByte(UInt8, expected: String, offset: Int)
    case duplicateKey(String, offset: Int)
    /// Arrays and objects nest deeper than the reader allows.
    case tooDeep(limit: Int, offset: Int)
    case invalidUTF8(offset: Int)
    /// A backslash sequence that JSON does not have, or a surrogate without its partner.
    case invalidEscape(offset: Int)
    /// A number whose magnitude no Double holds.
    case numberOutOfRange(offset: Int)
    case trailingBytes(offset: Int)

    /// Position in the text at which reading stopped.
    public var offset: Int {
        switch self {
        case .unexpectedEnd(_, let offset), .unexpectedByte(_, _, let offset), .duplicateKey(_, let offset),
            .tooDeep(_, let offset), .invalidUTF8(let offset), .invalidEscape(let offset),
            .numberOutOfRange(let offset), .trailingBytes(let offset):
            offset
        }
    }

    public var description: String { text.singleLine }

    private var text: String {
        switch self {
        case .unexpectedEnd(let expected, let offset):
            "invalid JSON at byte \(offset): expected \(expected), found the end of the text"
        case .unexpectedByte(let byte, let expected, let offset):
            "invalid JSON at byte \(offset): expected \(expected), found \(Self.name(of: byte))"
        case .duplicateKey(let key, let offset):
            "invalid JSON at byte \(offset): expected every key of an object once, found \(key.debugDescription) again"
        case .tooDeep(let limit, let offset):
            "invalid JSON at byte \(offset): expected at most \(limit) nested arrays and objects, found more"
        case .invalidUTF8(let offset):
            "invalid JSON at byte \(offset): expected UTF-8 text, found a byte sequence that is not"
        case .invalidEscape(let offset):
            "invalid JSON at byte \(offset): expected a valid escape sequence after a backslash, found another"
        case .numberOutOfRange(let offset):
            "invalid JSON at byte \(offset): expected a number within the range of a double, found a larger one"
        case .trailingBytes(let offset):
            "invalid JSON at byte \(offset): expected the end of the text after one value, found more"
        }
    }

    private static func name(of byte: UInt8) -> String {
        let isPrintable = byte > 0x20 && byte < 0x7f
        return isPrintable ? "'\(Character(Unicode.Scalar(byte)))'" : "byte \(byte)"
    }
}
