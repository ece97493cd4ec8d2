/// A plain weight in pieces of whole NF4 blocks: through one buffer.
struct WeightPieces {
    /// Elements of a piece, a multiple of 64: some MiB.
    static let elementCount = 1 << 20

    let name: String
    let shape: [Int]
    /// Of the bytes that `forEach` hands out.
    let dtype: DType
    /// Of the weight as it is stored.
    let storedDType: DType
    let origin: String
    private let source: any TensorSource
    /// nil for a generated weight.
    private let place: (file: any TensorFile, entry: Int)?

    /// - Throws: `CheckpointError` for a weight that is missing, of another shape or type, or quantized.
    init(name: String, shape: [Int], source: any TensorSource) throws {
        self.name = name
        self.shape = shape
        self.source = source
        if let checkpoint = source as? Checkpoint {
            let (file, entry, info) = try checkpoint.locateWeight(name, shape: shape)
            (dtype, storedDType, origin, place) = (info.dtype, info.dtype, file.path, (file, entry))
        } else {
            (dtype, storedDType, origin, place) = (.f32, source.config.dtype, name, nil)
        }
    }

    var elementCount: Int { shape.reduce(1, *) }

    /// Calls `body` with the bytes of each piece and the range of its elements, in order. Every piece but the last is a multiple of 64
    /// elements; pages of a file are given back when their piece is done.
    ///
    /// - Throws: errors of `body` and of the source.
    func forEach(_ body: (UnsafeRawPointer, Range<Int>) throws -> Void) throws {
        if let place {
            let width = dtype.byteCount, buffer = ByteBuffer(count: width * min(Self.elementCount, elementCount))
            for start in stride(from: 0, to: elementCount, by: Self.elementCount) {
                let elements = start..<min(start + Self.elementCount, elementCount)
                let bytes = elements.lowerBound * width..<elements.upperBound * width
                try place.file.read(place.entry, bytes, into: buffer.base)
                place.file.release(place.entry, bytes)
                try body(UnsafeRawPointer(buffer.base), elements)
            }
        } else {
            try forEachGenerated(body)
        }
    }

    /// Rows end in mid-block: what is left of one group of rows goes before the next.
    private func forEachGenerated(_ body: (UnsafeRawPointer, Range<Int>) throws -> Void) throws {
        let width = shape.dropFirst().reduce(1, *), rowsAtOnce = max(1, Self.elementCount / max(width, 1))
        let buffer = UnsafeMutablePointer<Float>.allocate(capacity: rowsAtOnce * width + NF4Layout.blockSize)
        defer { buffer.deallocate() }
        var first = 0, filled = 0
        for start in stride(from: 0, to: shape[0], by: rowsAtOnce) {
            let rows = start..<min(start + rowsAtOnce, shape[0])
            try source.copyFloats(name, shape: shape, rows: rows, into: buffer + filled)
            filled += rows.count * width
            let whole = rows.upperBound == shape[0] ? filled : filled / NF4Layout.blockSize * NF4Layout.blockSize
            if whole > 0 { try body(UnsafeRawPointer(buffer), first..<first + whole) }
            buffer.update(from: buffer + whole, count: filled - whole)
            (first, filled) = (first + whole, filled - whole)
        }
    }
}
