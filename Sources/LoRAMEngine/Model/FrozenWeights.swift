internal import CLoRAMKernels

/// Matrices that are not trained, in the type that they are stored in (NF4 among them), and norms in f32. Nothing is dequantized.
///
/// Unchecked: filled once, read by all threads.
final class FrozenWeights: @unchecked Sendable {
    /// Bytes outside of mapped files: of this process, or shared by the ranks of its node.
    let byteCount: Int
    private let memory: WeightMemory
    private let items: [String: WeightPlan.Item]
    private let tiesHead: Bool

    /// All ranks that share memory call this together.
    ///
    /// - Throws: `CheckpointError` for missing, misshapen or non-finite tensors; `QuantizationError`; errors of the files; `MemoryError`.
    init(source: any TensorSource, tensors: [(name: String, shape: [Int])], storage: WeightStorage, pool: ThreadPool) throws {
        var made: WeightPlan?
        try storage.together { made = try WeightPlan(source: source, tensors: tensors, storage: storage) }
        let plan = made!
        let memory = try storage.allocate(plan.layout)
        try storage.together { try plan.load(from: source, into: memory, storage: storage, pool: pool) }
        self.memory = memory
        byteCount = plan.layout.byteCount
        items = Dictionary(uniqueKeysWithValues: plan.items.map { ($0.name, $0) })
        tiesHead = source.config.tiesWordEmbeddings
    }

    /// The two ends of a tied pair are one tensor.
    static func storedName(_ name: String, tied: Bool) -> String { tied && name == WeightName.lmHead ? WeightName.embedding : name }

    private func item(_ name: String) -> WeightPlan.Item { items[Self.storedName(name, tied: tiesHead)]! }

    /// A norm's gain.
    func vector(_ name: String) -> UnsafePointer<Float> {
        guard case .vector(let slice) = item(name).form else { preconditionFailure("\(name) is no vector") }
        return UnsafePointer(memory.pointer(slice).assumingMemoryBound(to: Float.self))
    }

    func matrix(_ name: String) -> WeightMatrix {
        let item = item(name), rows = item.shape[0], columns = item.shape[1]
        switch item.form {
        case .vector: preconditionFailure("\(name) is no matrix")
        case .mapped(let view):
            return WeightMatrix(view.bytes.baseAddress!, element: view.dtype.element!, rows: rows, columns: columns)
        case .copied(let slice, let dtype):
            return WeightMatrix(memory.pointer(slice), element: dtype.element!, rows: rows, columns: columns)
        case .mappedNF4(let tensor):
            return WeightMatrix(nf4: tensor.codes, scales: tensor.scales.c, dtype: tensor.dtype, rows: rows, columns: columns)
        case .copiedNF4(let slices, let tensor):
            return matrix(slices, tensor.dtype, rows: rows, columns: columns)
        case .quantized(let slices, let dtype):
            return matrix(slices, dtype, rows: rows, columns: columns)
        }
    }

    private func matrix(_ slices: NF4Slices, _ dtype: DType, rows: Int, columns: Int) -> WeightMatrix {
        WeightMatrix(nf4: memory.pointer(slices.codes), scales: slices.scales(in: memory).c, dtype: dtype, rows: rows, columns: columns)
    }

    /// Hash of names, shapes and both ends of each tensor's bytes: another file, another shape or another way to quantize shows; a full
    /// reading would cost as much as loading.
    func sampleHash() -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ bytes: UnsafeRawBufferPointer) { for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 } }
        func addEnds(_ base: UnsafeRawPointer, _ byteCount: Int) {
            let sample = min(byteCount, 4096)
            add(UnsafeRawBufferPointer(start: base, count: sample))
            add(UnsafeRawBufferPointer(start: base + byteCount - sample, count: sample))
        }
        for name in items.keys.sorted() {
            let item = items[name]!, count = item.shape.reduce(1, *)
            var text = "\(name) \(item.shape)"
            text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
            switch item.form {
            case .vector(let slice): addEnds(memory.pointer(slice), 4 * count)
            case .mapped(let view): view.withBytes { addEnds($0.baseAddress!, $0.count) }
            case .copied(let slice, let dtype): addEnds(memory.pointer(slice), dtype.byteCount * count)
            case .mappedNF4(let tensor): withExtendedLifetime(tensor) { addEnds(tensor.codes, NF4Layout.codeByteCount(count)) }
            case .copiedNF4(let slices, _), .quantized(let slices, _): addEnds(memory.pointer(slices.codes), NF4Layout.codeByteCount(count))
            }
        }
        return hash
    }
}
