/// The quantization state that bitsandbytes stores with each weight, as JSON in the tensor `X.weight.quant_state.bitsandbytes__nf4`.
struct NF4State: Equatable {
    /// The text has about 200 bytes; far more of them is no state.
    static let maxByteCount = 1 << 14
    private static let keys: Set<String> = [
        "quant_type", "blocksize", "dtype", "shape", "nested_blocksize", "nested_dtype", "nested_offset",
    ]

    /// Type to which dequantized values are rounded.
    var dtype: DType
    /// Of the weight, [out, in].
    var shape: [Int]
    /// With double quantization: what is added to each decoded scale.
    var nestedOffset: Float?

    init(dtype: DType, shape: [Int], nestedOffset: Float?) {
        self.dtype = dtype
        self.shape = shape
        self.nestedOffset = nestedOffset
    }

    /// Reads a state in any order of keys.
    ///
    /// - Parameter tensor: the weight's name, for errors.
    /// - Throws: `QuantizationError.badState`.
    init(_ bytes: UnsafeRawBufferPointer, tensor: String, path: String) throws {
        func bad(_ item: String, _ expected: String, _ found: String) -> QuantizationError {
            .badState(path: path, tensor: tensor, item: item, expected: expected, found: found)
        }
        guard bytes.count <= Self.maxByteCount else { throw bad("length", "at most \(Self.maxByteCount) bytes", "\(bytes.count)") }
        let json: JSONValue
        do {
            json = try JSONValue.parse(bytes, depthLimit: 4)
        } catch {
            throw bad("text", "JSON", "\(error)")
        }
        guard case .object(let members) = json else { throw bad("text", "an object", json.kindDescription) }
        func shown(_ value: JSONValue?) -> String {
            guard let value else { return "none" }
            let text = value.serialized()
            return text.utf8.count > 60 ? value.kindDescription : text
        }
        func require(_ key: String, is expected: JSONValue) throws {
            guard json[key] == expected else { throw bad(key, expected.serialized(), shown(json[key])) }
        }
        // bitsandbytes refuses keys it does not know: they could change what the codes mean.
        for member in members where !Self.keys.contains(member.key) { throw bad("keys", "those of NF4", member.key.debugDescription) }
        try require("quant_type", is: "nf4")
        try require("blocksize", is: .integer(NF4Layout.blockSize))
        guard let dtype = json["dtype"]?.stringValue.flatMap({ DType(torchName: $0) }) else {
            throw bad("dtype", "float32, float16 or bfloat16", shown(json["dtype"]))
        }
        let dimensions = json["shape"]?.arrayValue?.map(\.intValue)
        guard let dimensions, !dimensions.isEmpty, dimensions.count <= 8, dimensions.allSatisfy({ ($0 ?? 0) > 0 }) else {
            throw bad("shape", "a list of positive integers", shown(json["shape"]))
        }
        self.init(dtype: dtype, shape: dimensions.compactMap { $0 }, nestedOffset: nil)
        guard ["nested_blocksize", "nested_dtype", "nested_offset"].contains(where: { json[$0] != nil }) else { return }
        try require("nested_blocksize", is: .integer(NF4Layout.nestedBlockSize))
        try require("nested_dtype", is: "float32")
        guard let offset = json["nested_offset"]?.doubleValue.map({ Float($0) }), offset.isFinite else {
            throw bad("nested_offset", "a finite number", shown(json["nested_offset"]))
        }
        nestedOffset = offset
    }

    /// The bytes that bitsandbytes writes: Python's JSON, with a space after each separator.
    var bytes: [UInt8] {
        var text = "{\"quant_type\": \"nf4\", \"blocksize\": \(NF4Layout.blockSize), \"dtype\": \"\(dtype.torchName ?? "float32")\", "
        text += "\"shape\": [\(shape.map(String.init).joined(separator: ", "))]"
        if let nestedOffset {
            // The shortest text of the widened number, which is what Python prints.
            text += ", \"nested_blocksize\": \(NF4Layout.nestedBlockSize), \"nested_dtype\": \"float32\", \"nested_offset\": \(Double(nestedOffset))"
        }
        return Array((text + "}").utf8)
    }

    /// A bound on `bytes.count` that holds for every offset.
    var maxByteCount: Int {
        guard nestedOffset != nil else { return bytes.count }
        // -1.2345678901234567e-308: no Double has more characters.
        return NF4State(dtype: dtype, shape: shape, nestedOffset: 0).bytes.count + 24
    }
}

/// Sizes of an NF4 tensor's parts.
enum NF4Layout {
    static let blockSize = 64
    static let nestedBlockSize = 256

    /// Two codes a byte; an odd last element has a byte of its own.
    static func codeByteCount(_ elementCount: Int) -> Int { elementCount / 2 + elementCount % 2 }
    static func blockCount(_ elementCount: Int) -> Int { elementCount / blockSize + (elementCount % blockSize > 0 ? 1 : 0) }
    static func nestedBlockCount(_ elementCount: Int) -> Int {
        let blocks = blockCount(elementCount)
        return blocks / nestedBlockSize + (blocks % nestedBlockSize > 0 ? 1 : 0)
    }
}
