/// The checked table of contents of a safetensors file (format: 8 bytes little-endian header length, JSON header, data).
///
/// Everything that a reader later relies on is checked here: the header's length against the file and the format's cap, every
/// tensor's bytes against its type and shape, and that the tensors cover the data section without overlap or hole, as the
/// reference implementation demands.
public struct SafetensorsHeader: Sendable {
    public struct Entry: Sendable, Equatable {
        public var info: TensorInfo
        /// Offsets from the start of the file.
        public var range: Range<Int>
    }

    /// The format's cap on the length of the JSON header.
    public static let maxHeaderByteCount = 100_000_000

    /// In the order of their data.
    public let entries: [Entry]
    /// `__metadata__`, in the file's order.
    public let metadata: [(key: String, value: String)]
    /// Offset of the data section from the start of the file.
    public let dataStart: Int
    private let indexByName: [String: Int]

    /// Reads the header at the start of `file`, which is the whole file; data bytes are not touched.
    ///
    /// - Throws: `SafetensorsError` that names `path`.
    public init(file: UnsafeRawBufferPointer, path: String) throws {
        try self.init(prefix: file, fileByteCount: file.count, path: path)
    }

    /// Index into `entries`; nil for a name that is not there.
    public func index(of name: String) -> Int? { indexByName[name] }

    /// - Parameters:
    ///   - file: the start of the file, with the whole header.
    ///   - fileByteCount: of the whole file.
    /// - Throws: `SafetensorsError` that names `path`.
    init(prefix file: UnsafeRawBufferPointer, fileByteCount: Int, path: String) throws {
        guard file.count >= 8 else { throw SafetensorsError.tooShort(path: path, byteCount: file.count) }
        let length = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
        guard length <= UInt64(Self.maxHeaderByteCount) else {
            throw SafetensorsError.headerTooLong(path: path, byteCount: length, limit: Self.maxHeaderByteCount)
        }
        guard length <= UInt64(file.count - 8) else {
            throw SafetensorsError.headerBeyondFile(path: path, byteCount: length, fileByteCount: file.count)
        }
        dataStart = 8 + Int(length)
        let text = UnsafeRawBufferPointer(rebasing: file[8..<dataStart])
        guard text.first == UInt8(ascii: "{") else {
            let found = text.first.map { "byte \($0)" } ?? "no header"
            throw SafetensorsError.malformedHeader(path: path, item: "start", expected: "'{'", found: found)
        }
        let document: JSONValue
        do {
            document = try JSONValue.parse(text)
        } catch let error as JSONError {
            throw SafetensorsError.headerNotJSON(path: path, error)
        }

        let dataCount = fileByteCount - dataStart
        var entries: [Entry] = []
        var metadata: [(key: String, value: String)] = []
        for member in document.objectMembers ?? [] {
            if member.key == "__metadata__" {
                metadata = try Self.metadata(member.value, path: path)
            } else {
                entries.append(try Self.entry(member, dataStart: dataStart, dataCount: dataCount, path: path))
            }
        }
        // Equal starts happen with empty tensors: these come before the one that begins there.
        entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        try Self.checkCoverage(entries, dataStart: dataStart, dataCount: dataCount, path: path)
        var indexByName = [String: Int](minimumCapacity: entries.count)
        for (index, entry) in entries.enumerated() {
            // The header's keys differ byte by byte; two spellings of one Unicode text still meet here.
            guard indexByName.updateValue(index, forKey: entry.info.name) == nil else {
                throw SafetensorsError.duplicateName(path: path, tensor: entry.info.name)
            }
        }
        self.indexByName = indexByName
        self.entries = entries
        self.metadata = metadata
    }

    private static func metadata(_ value: JSONValue, path: String) throws -> [(key: String, value: String)] {
        guard case .object(let members) = value else {
            throw SafetensorsError.malformedHeader(
                path: path, item: "__metadata__", expected: "an object", found: value.kindDescription)
        }
        return try members.map { member in
            guard case .string(let text) = member.value else {
                throw SafetensorsError.malformedHeader(
                    path: path, item: "__metadata__.\(member.key)", expected: "a string", found: member.value.kindDescription)
            }
            return (member.key, text)
        }
    }

    private static func entry(_ member: JSONMember, dataStart: Int, dataCount: Int, path: String) throws -> Entry {
        let name = member.key
        func malformed(_ item: String, expected: String, found: String) -> SafetensorsError {
            .malformedHeader(path: path, item: "tensor \(name)\(item)", expected: expected, found: found)
        }
        guard case .object(let fields) = member.value else {
            throw malformed("", expected: "an object", found: member.value.kindDescription)
        }
        for field in fields where !["dtype", "shape", "data_offsets"].contains(field.key) {
            throw malformed("", expected: "dtype, shape and data_offsets", found: "\(field.key) too")
        }
        guard case .string(let typeName)? = member.value["dtype"] else {
            throw malformed(": dtype", expected: "a string", found: member.value["dtype"]?.kindDescription ?? "none")
        }
        guard let dtype = DType(rawValue: typeName) else {
            throw SafetensorsError.unknownDType(path: path, tensor: name, found: typeName)
        }
        func counts(_ key: String) throws -> [Int] {
            guard case .array(let elements)? = member.value[key] else {
                throw malformed(": \(key)", expected: "an array", found: member.value[key]?.kindDescription ?? "none")
            }
            return try elements.map { element in
                guard case .integer(let count) = element, count >= 0 else {
                    throw malformed(": \(key)", expected: "non-negative integers", found: element.serialized())
                }
                return count
            }
        }
        let shape = try counts("shape")
        let offsets = try counts("data_offsets")
        guard offsets.count == 2, offsets[0] <= offsets[1] else {
            throw malformed(": data_offsets", expected: "a start and an end", found: "\(offsets)")
        }
        guard let expected = TensorInfo.checkedByteCount(shape, dtype) else {
            throw SafetensorsError.shapeTooLarge(path: path, tensor: name, shape: shape)
        }
        guard offsets[1] - offsets[0] == expected else {
            throw SafetensorsError.wrongByteCount(
                path: path, tensor: name, dtype: dtype, shape: shape, expected: expected, found: offsets[1] - offsets[0])
        }
        guard offsets[1] <= dataCount else {
            throw SafetensorsError.beyondFile(path: path, tensor: name, end: offsets[1], dataByteCount: dataCount)
        }
        return Entry(
            info: TensorInfo(name: name, dtype: dtype, shape: shape), range: dataStart + offsets[0]..<dataStart + offsets[1])
    }

    private static func checkCoverage(_ entries: [Entry], dataStart: Int, dataCount: Int, path: String) throws {
        var end = dataStart
        for entry in entries {
            let start = entry.range.lowerBound
            guard start >= end else {
                throw SafetensorsError.overlap(
                    path: path, tensor: entry.info.name, offset: start - dataStart, end: end - dataStart)
            }
            guard start == end else {
                throw SafetensorsError.gap(path: path, start: end - dataStart, end: start - dataStart)
            }
            end = entry.range.upperBound
        }
        guard end == dataStart + dataCount else {
            throw SafetensorsError.gap(path: path, start: end - dataStart, end: dataCount)
        }
    }
}
