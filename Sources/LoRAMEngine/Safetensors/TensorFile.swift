/// The contents of a safetensors file, wherever its bytes come from: a mapped file, a compressed one, or a merge that is computed as it is
/// read. All readers of checkpoints go through this.
public protocol TensorFile: AnyObject, Sendable {
    /// The file on the disk, for error messages.
    var path: String { get }
    var header: SafetensorsHeader { get }
    /// The start of the safetensors file as it stands: length field and JSON text.
    var headerBytes: [UInt8] { get }

    /// Copies bytes of one tensor. Any number of threads may read at once.
    ///
    /// - Parameters:
    ///   - entry: index into `header.entries`.
    ///   - bytes: offsets within the tensor.
    /// - Throws: errors of the format.
    func read(_ entry: Int, _ bytes: Range<Int>, into destination: UnsafeMutableRawPointer) throws

    /// A whole tensor's bytes where they lie; where they lie nowhere yet, in memory of their own.
    func view(_ entry: Int) throws -> TensorView

    /// Says that these bytes are not needed again soon.
    func release(_ entry: Int, _ bytes: Range<Int>)

    /// Elements as Float.
    ///
    /// - Throws: `SafetensorsError.notFloatingPoint`, errors of the format.
    func copyFloats(_ entry: Int, _ elements: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws
}

extension TensorFile {
    /// In the order of their data.
    public var tensors: [TensorInfo] { header.entries.map(\.info) }
    public var metadata: [(key: String, value: String)] { header.metadata }
    /// Of the safetensors file.
    public var byteCount: Int { header.entries.last?.range.upperBound ?? header.dataStart }

    public func contains(_ name: String) -> Bool { header.index(of: name) != nil }

    /// - Throws: `SafetensorsError.missingTensor`.
    public func index(of name: String) throws -> Int {
        guard let index = header.index(of: name) else { throw SafetensorsError.missingTensor(path: path, tensor: name) }
        return index
    }

    /// - Throws: `SafetensorsError.missingTensor`, errors of reading.
    public func tensor(_ name: String) throws -> TensorView { try view(index(of: name)) }

    public func release(_ entry: Int, _ bytes: Range<Int>) {}

    public func view(_ entry: Int) throws -> TensorView {
        let info = header.entries[entry].info
        let buffer = ByteBuffer(count: info.byteCount)
        try read(entry, 0..<info.byteCount, into: buffer.base)
        return TensorView(info: info, bytes: UnsafeRawBufferPointer(start: buffer.base, count: info.byteCount), origin: path, owner: buffer)
    }

    public func copyFloats(_ entry: Int, _ elements: Range<Int>, into destination: UnsafeMutablePointer<Float>) throws {
        let info = header.entries[entry].info, width = info.dtype.byteCount
        if info.dtype == .f32 { return try read(entry, elements.lowerBound * 4..<elements.upperBound * 4, into: destination) }
        let pieceCount = 1 << 16
        let piece = ByteBuffer(count: width * min(pieceCount, elements.count))
        for start in stride(from: elements.lowerBound, to: elements.upperBound, by: pieceCount) {
            let count = min(pieceCount, elements.upperBound - start)
            try read(entry, start * width..<(start + count) * width, into: piece.base)
            let view = TensorView(
                info: TensorInfo(name: info.name, dtype: info.dtype, shape: [count]),
                bytes: UnsafeRawBufferPointer(start: piece.base, count: count * width), origin: path, owner: piece)
            try view.copyFloats(into: destination + (start - elements.lowerBound))
        }
    }
}
