internal import CLoRAMKernels

/// Where a stage's frozen matrices are.
public struct WeightStorage: Sendable, Equatable {
    public enum Place: String, Sendable, CaseIterable {
        /// In the checkpoint's mapped files: the page cache serves all ranks of a node.
        case mapped
        /// In this process's memory, in the checkpoint's own type.
        case resident
    }

    public var place: Place

    public init(place: Place = .mapped) { self.place = place }
}

/// Matrices that are not trained, in the type that they are stored in (NF4 among them), and norms in f32. Nothing is converted as a whole.
///
/// Unchecked: filled once, read by all threads.
final class FrozenWeights: @unchecked Sendable {
    /// Bytes of this process's own memory; mapped files are not counted.
    let byteCount: Int
    private let arena: Arena
    private var vectors: [String: UnsafePointer<Float>] = [:]
    private var matrices: [String: WeightMatrix] = [:]
    /// Keep mapped bytes alive.
    private var views: [TensorView] = []
    private var quantized: [NF4Tensor] = []

    /// - Throws: `CheckpointError` for missing, misshapen or non-finite tensors; errors of the files; `MemoryError`.
    init(source: any TensorSource, tensors: [(name: String, shape: [Int])], storage: WeightStorage) throws {
        let checkpoint = source as? Checkpoint, config = source.config
        // The two ends of a tied pair are one tensor.
        func stored(_ name: String) -> String { config.tiesWordEmbeddings && name == WeightName.lmHead ? WeightName.embedding : name }
        var layout = ArenaLayout()
        var slices: [String: ArenaLayout.Slice] = [:], types: [String: DType] = [:]
        for (name, shape) in tensors where slices[stored(name)] == nil {
            if shape.count == 1 {
                slices[name] = layout.reserve(shape[0])
                continue
            }
            // NF4 is used where the file has it, whatever its alignment.
            if try checkpoint?.nf4(stored(name), shape: shape) != nil { continue }
            let type = try checkpoint?.locateWeight(stored(name), shape: shape).info.dtype ?? config.dtype
            types[name] = type
            guard checkpoint == nil || storage.place == .resident else { continue }
            slices[stored(name)] = layout.reserve(shape.reduce(1, *) * type.byteCount, of: UInt8.self)
        }
        arena = try Arena(layout)
        byteCount = arena.byteCount

        for (name, shape) in tensors {
            if shape.count == 1 {
                let pointer: UnsafeMutablePointer<Float> = arena.pointer(slices[name]!)
                try source.copyFloats(name, shape: shape, rows: nil, into: pointer)
                vectors[name] = UnsafePointer(pointer)
            } else if let known = matrices[stored(name)] {
                matrices[name] = known
            } else if let tensor = try checkpoint?.nf4(stored(name), shape: shape) {
                try tensor.requireFiniteScales()
                quantized.append(tensor)
                matrices[name] = WeightMatrix(nf4: tensor.codes, scales: tensor.scales.c, rows: shape[0], columns: shape[1])
            } else if let checkpoint {
                let view = try checkpoint.weight(stored(name), shape: shape)
                try Self.checkFinite(checkpoint, stored(name), shape)
                var bytes = view.bytes.baseAddress!
                if let slice = slices[stored(name)] {
                    let copy = UnsafeMutableRawPointer(arena.pointer(slice, as: UInt8.self))
                    copy.copyMemory(from: bytes, byteCount: view.bytes.count)
                    bytes = UnsafeRawPointer(copy)
                } else {
                    views.append(view)
                }
                matrices[name] = WeightMatrix(bytes, element: view.dtype.element!, rows: shape[0], columns: shape[1])
            } else {
                let bytes = UnsafeMutableRawPointer(arena.pointer(slices[stored(name)]!, as: UInt8.self))
                try Self.generate(source, stored(name), shape, types[name]!, into: bytes)
                matrices[name] = WeightMatrix(bytes, element: types[name]!.element!, rows: shape[0], columns: shape[1])
            }
        }
    }

    func vector(_ name: String) -> UnsafePointer<Float> { vectors[name]! }
    func matrix(_ name: String) -> WeightMatrix { matrices[name]! }

    /// Rows read at a time: 4 MiB of floats.
    private static func rowsAtOnce(_ shape: [Int]) -> Int { max(1, (1 << 20) / shape[1]) }

    /// Reading as Float is what finds NaN and infinity; it also brings the pages in.
    private static func checkFinite(_ checkpoint: Checkpoint, _ name: String, _ shape: [Int]) throws {
        try forEachPiece(checkpoint, name, shape) { _, _ in }
    }

    private static func generate(_ source: any TensorSource, _ name: String, _ shape: [Int], _ type: DType, into bytes: UnsafeMutableRawPointer) throws {
        try forEachPiece(source, name, shape) { rows, floats in
            let first = rows.lowerBound * shape[1], count = rows.count * shape[1]
            switch type {
            case .bf16: FloatConversion.bf16(from: floats, count: count, into: bytes + first * 2)
            case .f16: FloatConversion.f16(from: floats, count: count, into: bytes + first * 2)
            default: (bytes + first * 4).copyMemory(from: floats, byteCount: count * 4)
            }
        }
    }

    private static func forEachPiece(
        _ source: any TensorSource, _ name: String, _ shape: [Int], _ body: (Range<Int>, UnsafePointer<Float>) throws -> Void
    ) throws {
        let height = rowsAtOnce(shape)
        let buffer = UnsafeMutablePointer<Float>.allocate(capacity: min(height, shape[0]) * shape[1])
        defer { buffer.deallocate() }
        for start in stride(from: 0, to: shape[0], by: height) {
            let rows = start..<min(start + height, shape[0])
            try source.copyFloats(name, shape: shape, rows: rows, into: buffer)
            try body(rows, buffer)
        }
    }
}
