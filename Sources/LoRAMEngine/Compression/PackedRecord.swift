/// Where the frames of one packed safetensors file lie: what checkpoint.json says of it.
package struct PackedRecord: Sendable, Equatable {
    /// A tensor, or the file's header: its frames follow one another, and sections follow one another in the order of the data.
    struct Section: Sendable, Equatable {
        /// nil: length field and JSON text at the start of the file.
        var tensor: TensorInfo?
        var byteCount: Int
        /// Stored size of each plane, frame after frame.
        var sizes: [Int] = []
        /// XXH64 of each frame as it is stored.
        var hashes: [UInt64] = []

        var dtype: DType { tensor?.dtype ?? .u8 }
    }

    /// Of the safetensors file.
    var name: String
    var byteCount: Int
    /// Of that file's bytes; nil if it was not wanted.
    var sha256: String?
    var codec: Codec
    var storedByteCount: Int
    /// Frames hold this many bytes, the last of a section what is left.
    var frameByteCount: Int
    /// Empty with codec `none`.
    var sections: [Section]

    var storedName: String { name + codec.suffix }

    func format(_ section: Int) -> FrameFormat { FrameFormat(codec: codec, dtype: sections[section].dtype) }
}

// MARK: - JSON

extension PackedRecord {
    var json: JSONValue {
        var json: JSONValue = [
            "name": .string(name), "stored_name": .string(storedName), "bytes": .integer(byteCount), "stored_bytes": .integer(storedByteCount),
        ]
        if let sha256 { json["sha256"] = .string(sha256) }
        json["sections"] = .array(
            sections.map { section in
                var item: JSONValue = ["tensor": .null]
                if let tensor = section.tensor {
                    item = [
                        "tensor": .string(tensor.name), "dtype": .string(tensor.dtype.rawValue), "shape": .array(tensor.shape.map { .integer($0) }),
                    ]
                }
                item["bytes"] = .integer(section.byteCount)
                item["stored"] = .array(section.sizes.map { .integer($0) })
                item["xxh64"] = .string(section.hashes.map(Self.hexadecimal).joined())
                return item
            })
        return json
    }

    /// Reads and checks a record: frames add up to the stored file, sections to the safetensors file.
    ///
    /// - Parameter path: of checkpoint.json.
    /// - Throws: `CompressionError.badIndex`.
    init(json: JSONValue, codec: Codec, frameByteCount: Int, path: String) throws {
        let fields = IndexFields(json, path: path, prefix: "files")
        name = try fields.fileName("name")
        let named = fields.named(name)
        self.codec = codec
        self.frameByteCount = frameByteCount
        byteCount = try named.count("bytes")
        storedByteCount = try named.count("stored_bytes")
        sha256 = try named.hash("sha256")
        sections = []
        let storedName = try named.fileName("stored_name")
        guard storedName == name + codec.suffix else { throw named.error("stored_name", "\(name)\(codec.suffix)", storedName) }
        guard codec != .none else { return }
        var total = 0, stored = 0
        for item in try named.array("sections") {
            let section = try Self.section(item, codec: codec, frameByteCount: frameByteCount, fields: named)
            guard section.tensor == nil ? sections.isEmpty : !sections.isEmpty else { throw named.error("sections", "the header first, and once", "another order") }
            sections.append(section)
            let (sum, overflows) = total.addingReportingOverflow(section.byteCount)
            guard !overflows else { throw named.error("sections", "sizes that can be counted", "\(section.byteCount)") }
            total = sum
            stored = section.sizes.reduce(stored) { $0 + $1 }
        }
        guard total == byteCount else { throw named.error("sections", "\(byteCount) bytes in all", "\(total)") }
        // What zstd's seekable format has at the end may follow.
        guard codec == .planes ? stored == storedByteCount : stored <= storedByteCount else {
            throw named.error("sections", "\(storedByteCount) stored bytes in all", "\(stored)")
        }
    }

    private static func section(_ json: JSONValue, codec: Codec, frameByteCount: Int, fields: IndexFields) throws -> Section {
        let item = IndexFields(json, path: fields.path, prefix: "\(fields.prefix): section")
        var section = Section(tensor: nil, byteCount: try item.count("bytes"))
        if let name = json["tensor"]?.stringValue {
            guard let dtype = json["dtype"]?.stringValue.flatMap(DType.init(rawValue:)) else {
                throw item.error("dtype of \(name)", "a safetensors type", json["dtype"]?.serialized() ?? "none")
            }
            let shape = try item.counts("shape")
            guard TensorInfo.checkedByteCount(shape, dtype) == section.byteCount else {
                throw item.error("bytes of \(name)", "what \(dtype.rawValue) \(shape) takes", "\(section.byteCount)")
            }
            section.tensor = TensorInfo(name: name, dtype: dtype, shape: shape)
        }
        let format = FrameFormat(codec: codec, dtype: section.dtype)
        let frames = FrameFormat.frameCount(of: section.byteCount, frameByteCount: frameByteCount)
        section.sizes = try item.counts("stored")
        let limit = FrameEncoder.capacity(byteCount: frameByteCount)
        guard section.sizes.count == frames * format.planeCount, (0..<frames).allSatisfy({ section.sizes[$0 * format.planeCount..<($0 + 1) * format.planeCount].reduce(0, +) <= limit })
        else {
            throw item.error("stored", "\(frames) frames of \(format.planeCount) planes", "\(section.sizes.count) sizes")
        }
        let digits = Array(try item.text("xxh64").utf8)
        guard digits.count == frames * 16, let hashes = hashes(digits) else {
            throw item.error("xxh64", "\(frames) times 16 lower-case hexadecimal digits", "\(digits.count) characters")
        }
        section.hashes = hashes
        return section
    }

    private static func hexadecimal(_ hash: UInt64) -> String {
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func hashes(_ digits: [UInt8]) -> [UInt64]? {
        var result: [UInt64] = []
        result.reserveCapacity(digits.count / 16)
        var value: UInt64 = 0
        for (index, digit) in digits.enumerated() {
            switch digit {
            case 0x30...0x39: value = value << 4 | UInt64(digit - 0x30)
            case 0x61...0x66: value = value << 4 | UInt64(digit - 0x61 + 10)
            default: return nil
            }
            if index % 16 == 15 { result.append(value) }
        }
        return result
    }
}

/// Reads members of checkpoint.json; what is wrong is named by its place.
struct IndexFields {
    let json: JSONValue
    let path: String
    let prefix: String

    init(_ json: JSONValue, path: String, prefix: String) {
        self.json = json
        self.path = path
        self.prefix = prefix
    }

    func named(_ name: String) -> IndexFields { IndexFields(json, path: path, prefix: "\(prefix): \(name)") }

    func error(_ key: String, _ expected: String, _ found: String) -> CompressionError {
        .badIndex(path: path, item: prefix.isEmpty ? key : "\(prefix): \(key)", expected: expected, found: found)
    }

    func text(_ key: String) throws -> String {
        guard let text = json[key]?.stringValue else { throw error(key, "a string", json[key]?.kindDescription ?? "none") }
        return text
    }

    func count(_ key: String) throws -> Int {
        // Beyond 2^56 sums could overflow, and no file is.
        guard case .integer(let count)? = json[key], count >= 0, count < 1 << 56 else {
            throw error(key, "a non-negative integer", json[key]?.serialized() ?? "none")
        }
        return count
    }

    func array(_ key: String) throws -> [JSONValue] {
        guard let array = json[key]?.arrayValue else { throw error(key, "an array", json[key]?.kindDescription ?? "none") }
        return array
    }

    /// Non-negative integers, each small enough that a sum of them cannot overflow.
    func counts(_ key: String) throws -> [Int] {
        try array(key).map { element in
            guard case .integer(let count) = element, count >= 0, count < 1 << 48 else { throw error(key, "non-negative integers", element.serialized()) }
            return count
        }
    }

    /// A name without a path in it, which could reach out of the directory.
    func fileName(_ key: String) throws -> String {
        let name = try text(key)
        guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")), !name.utf8.contains(0), name != ".", name != ".." else {
            throw error(key, "a plain file name", name.debugDescription)
        }
        return name
    }

    func hash(_ key: String) throws -> String? {
        guard let value = json[key] else { return nil }
        guard let text = value.stringValue, ContentHash.isSHA256(text) else { throw error(key, "a SHA-256", value.serialized()) }
        return text
    }
}
