/// Writes a safetensors file front to back: all tensors are declared first, then their bytes are streamed in that order.
///
/// The header is padded with spaces so that the data starts at a multiple of 4096 bytes. The file has its name only after
/// `finish()`; a writer that is dropped before leaves nothing behind.
public final class SafetensorsWriter {
    public static let dataAlignment = 4096

    public let path: String
    public let tensors: [TensorInfo]
    private let file: OutputFile
    /// Tensors whose bytes are given whole and go behind all others, with the most that they may take.
    private let deferred: [TensorInfo]
    private var deferredBytes: [String: [UInt8]] = [:]
    private let metadata: [(key: String, value: String)]
    private let headerByteCount: Int
    /// Tensor that takes the next bytes, and how many it still wants.
    private var current = 0
    private var remaining = 0
    private var conversion: [UInt8] = []

    /// - Parameters:
    ///   - tensors: names must differ; their data follow in this order.
    ///   - deferred: one-dimensional U8 tensors whose lengths are not known yet: their shapes are upper bounds, `setDeferred` gives
    ///     the bytes.
    ///   - metadata: `format: pt` is what Hugging Face's readers look for.
    /// - Throws: `FileError`, `SafetensorsError.duplicateName`, `.shapeTooLarge`, `.headerTooLong`.
    public init(
        path: String, tensors: [TensorInfo], deferred: [TensorInfo] = [], metadata: [(key: String, value: String)] = [("format", "pt")]
    ) throws {
        precondition(deferred.allSatisfy { $0.dtype == .u8 && $0.shape.count == 1 }, "a deferred tensor is a list of bytes")
        self.path = path
        self.tensors = tensors
        self.deferred = deferred
        self.metadata = metadata
        // Shorter tensors make no longer header: the final one fits where this one stands.
        let header = try Self.header(path: path, tensors: tensors + deferred, metadata: metadata)
        headerByteCount = header.count
        file = try OutputFile(path: path)
        try file.write(header)
        remaining = tensors.first?.byteCount ?? 0
        skipComplete()
    }

    /// Length field and JSON text, ready to write.
    ///
    /// - Parameter minByteCount: what the header takes at least, a multiple of the alignment.
    static func header(
        path: String, tensors: [TensorInfo], metadata: [(key: String, value: String)], minByteCount: Int = 0
    ) throws -> [UInt8] {
        var members: [JSONMember] = []
        if !metadata.isEmpty {
            members.append(JSONMember("__metadata__", .object(metadata.map { JSONMember($0.key, .string($0.value)) })))
        }
        var names: Set<String> = ["__metadata__"]
        var offset = 0
        for tensor in tensors {
            guard names.insert(tensor.name).inserted else {
                throw SafetensorsError.duplicateName(path: path, tensor: tensor.name)
            }
            guard let count = TensorInfo.checkedByteCount(tensor.shape, tensor.dtype),
                case let (end, overflows) = offset.addingReportingOverflow(count), !overflows
            else { throw SafetensorsError.shapeTooLarge(path: path, tensor: tensor.name, shape: tensor.shape) }
            members.append(
                JSONMember(
                    tensor.name,
                    [
                        "dtype": .string(tensor.dtype.rawValue),
                        "shape": .array(tensor.shape.map { .integer($0) }),
                        "data_offsets": [.integer(offset), .integer(end)],
                    ]))
            offset = end
        }
        let text = JSONValue.object(members).serializedBytes()
        let total = max(minByteCount, (8 + text.count + dataAlignment - 1) / dataAlignment * dataAlignment)
        guard total - 8 <= SafetensorsHeader.maxHeaderByteCount else {
            throw SafetensorsError.headerTooLong(
                path: path, byteCount: UInt64(total - 8), limit: SafetensorsHeader.maxHeaderByteCount)
        }
        var header = withUnsafeBytes(of: UInt64(total - 8).littleEndian) { Array($0) }
        header.append(contentsOf: text)
        header.append(contentsOf: repeatElement(0x20, count: total - header.count))
        return header
    }

    /// Appends bytes to tensor `name`, which must be the next unfinished one; a tensor may come in any number of pieces.
    ///
    /// - Throws: `SafetensorsError.writtenOutOfOrder`, `FileError.cannotWrite`.
    public func append(_ bytes: UnsafeRawBufferPointer, to name: String) throws {
        if bytes.isEmpty { return }
        guard current < tensors.count, tensors[current].name == name else {
            throw SafetensorsError.writtenOutOfOrder(path: path, expected: expectation, found: "bytes of tensor \(name)")
        }
        guard bytes.count <= remaining else {
            throw SafetensorsError.writtenOutOfOrder(path: path, expected: expectation, found: "\(bytes.count) bytes")
        }
        try file.write(bytes)
        remaining -= bytes.count
        skipComplete()
    }

    /// Appends floats to tensor `name`, converted to its declared type (F32, BF16 or F16; rounded to nearest, ties to even).
    ///
    /// - Throws: as `append`, and `SafetensorsError.notFloatingPoint`.
    public func append(floats values: UnsafePointer<Float>, count: Int, to name: String) throws {
        guard count > 0 else { return }
        guard current < tensors.count, tensors[current].name == name else {
            throw SafetensorsError.writtenOutOfOrder(path: path, expected: expectation, found: "floats of tensor \(name)")
        }
        let dtype = tensors[current].dtype
        if dtype == .f32 { return try append(UnsafeRawBufferPointer(start: values, count: count * 4), to: name) }
        guard dtype == .bf16 || dtype == .f16 else {
            throw SafetensorsError.notFloatingPoint(path: path, tensor: name, dtype: dtype)
        }
        let pieceCount = 1 << 18
        if conversion.isEmpty { conversion = [UInt8](repeating: 0, count: 2 * pieceCount) }
        var done = 0
        while done < count {
            let piece = min(pieceCount, count - done)
            try conversion.withUnsafeMutableBytes { buffer in
                let output = buffer.baseAddress!
                if dtype == .bf16 {
                    FloatConversion.bf16(from: values + done, count: piece, into: output)
                } else {
                    FloatConversion.f16(from: values + done, count: piece, into: output)
                }
                try append(UnsafeRawBufferPointer(start: output, count: 2 * piece), to: name)
            }
            done += piece
        }
    }

    /// The bytes of a deferred tensor, at any time before `finish()`.
    ///
    /// - Throws: `SafetensorsError.writtenOutOfOrder` for one that was not declared, or for more bytes than were.
    public func setDeferred(_ bytes: [UInt8], _ name: String) throws {
        guard let info = deferred.first(where: { $0.name == name }), bytes.count <= info.byteCount else {
            throw SafetensorsError.writtenOutOfOrder(path: path, expected: "a deferred tensor within its bound", found: "\(bytes.count) bytes of \(name)")
        }
        deferredBytes[name] = bytes
    }

    /// Appends the deferred tensors and corrects their lengths in the header.
    private func writeDeferred() throws {
        if deferred.isEmpty { return }
        var exact: [TensorInfo] = []
        for info in deferred {
            guard let bytes = deferredBytes[info.name] else {
                throw SafetensorsError.writtenOutOfOrder(path: path, expected: "bytes of tensor \(info.name)", found: "the end")
            }
            exact.append(TensorInfo(name: info.name, dtype: info.dtype, shape: [bytes.count]))
            try file.write(bytes)
        }
        try file.overwrite(try Self.header(path: path, tensors: tensors + exact, metadata: metadata, minByteCount: headerByteCount), at: 0)
    }

    /// Syncs the file and gives it its name.
    ///
    /// - Throws: `SafetensorsError.writtenOutOfOrder` if bytes are missing; `FileError.cannotWrite`.
    public func finish() throws {
        guard current == tensors.count else {
            throw SafetensorsError.writtenOutOfOrder(path: path, expected: expectation, found: "the end")
        }
        try writeDeferred()
        try file.finish()
    }

    /// Goes on to the next tensor that wants bytes.
    private func skipComplete() {
        while current < tensors.count, remaining == 0 {
            current += 1
            if current < tensors.count { remaining = tensors[current].byteCount }
        }
    }

    private var expectation: String {
        current < tensors.count ? "\(remaining) more bytes of tensor \(tensors[current].name)" : "the end, all tensors being complete"
    }
}
