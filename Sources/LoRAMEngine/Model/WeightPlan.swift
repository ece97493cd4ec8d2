import Synchronization

/// What becomes of each frozen tensor of a stage: where it lies, in what form, and the memory that this takes. Made from headers
/// alone, the same on all ranks that hold the stage.
struct WeightPlan {
    enum Form {
        /// f32.
        case vector(ArenaLayout.Slice)
        /// Where it lies in the file.
        case mapped(TensorView)
        /// In memory, in this type.
        case copied(ArenaLayout.Slice, DType)
        case mappedNF4(NF4Tensor)
        case copiedNF4(NF4Slices, NF4Tensor)
        /// NF4 made from plain values of this type while loading.
        case quantized(NF4Slices, DType)
    }

    struct Item {
        let name: String
        let shape: [Int]
        let form: Form
    }

    let items: [Item]
    let layout: ArenaLayout

    /// - Throws: `CheckpointError`, `QuantizationError`, errors of opening files.
    init(source: any TensorSource, tensors: [(name: String, shape: [Int])], storage: WeightStorage) throws {
        let checkpoint = source as? Checkpoint, config = source.config
        var layout = ArenaLayout(), items: [Item] = [], seen: Set<String> = []
        for (name, shape) in tensors {
            let name = FrozenWeights.storedName(name, tied: config.tiesWordEmbeddings)
            guard seen.insert(name).inserted else { continue }
            let count = shape.reduce(1, *)
            let form: Form
            if shape.count == 1 {
                form = .vector(layout.reserve(count))
            } else if let tensor = try checkpoint?.nf4(name, shape: shape) {
                // NF4 is used where the file has it, whatever its alignment.
                form = storage.isMapped
                    ? .mappedNF4(tensor) : .copiedNF4(NF4Slices(&layout, elementCount: count, double: tensor.isDoubleQuantized), tensor)
            } else if let quantizer = storage.quantizer, name != WeightName.embedding, name != WeightName.lmHead {
                form = .quantized(
                    NF4Slices(&layout, elementCount: count, double: quantizer.double),
                    try checkpoint?.locateWeight(name, shape: shape).info.dtype ?? config.dtype)
            } else {
                let place = try checkpoint?.locateWeight(name, shape: shape)
                let stored = place?.info.dtype ?? config.dtype, dtype = storage.quantizer == nil ? stored : .bf16
                // A packed file has no bytes to map.
                if let place, let file = place.file as? SafetensorsFile, storage.isMapped, dtype == stored {
                    form = .mapped(file.view(place.entry))
                } else {
                    form = .copied(layout.reserve(count * dtype.byteCount, of: UInt8.self), dtype)
                }
            }
            items.append(Item(name: name, shape: shape, form: form))
        }
        self.items = items
        self.layout = layout
    }
}

/// Where the parts of an NF4 tensor lie in memory. The offset of double quantization is among them, for those who did not make it.
struct NF4Slices {
    let codes, absmax: ArenaLayout.Slice
    let nested: (absmax: ArenaLayout.Slice, map: ArenaLayout.Slice, offset: ArenaLayout.Slice)?

    init(_ layout: inout ArenaLayout, elementCount: Int, double: Bool) {
        let blocks = NF4Layout.blockCount(elementCount)
        codes = layout.reserve(NF4Layout.codeByteCount(elementCount), of: UInt8.self)
        absmax = layout.reserve(double ? blocks : 4 * blocks, of: UInt8.self)
        nested = double
            ? (layout.reserve(NF4Layout.nestedBlockCount(elementCount)), layout.reserve(NF4Kernels.dynamicMap.count), layout.reserve(1)) : nil
    }

    func scales(in memory: WeightMemory) -> NF4Tensor.Scales {
        NF4Tensor.Scales(
            absmax: UnsafeRawPointer(memory.pointer(absmax)), nestedAbsmax: nested.map { UnsafeRawPointer(memory.pointer($0.absmax)) },
            nestedMap: nested.map { UnsafeRawPointer(memory.pointer($0.map)) },
            nestedOffset: nested.map { memory.pointer($0.offset).load(as: Float.self) } ?? 0)
    }

    func fill(from tensor: NF4Tensor, in memory: WeightMemory) {
        func copy(_ slice: ArenaLayout.Slice, _ bytes: UnsafeRawPointer) {
            memory.pointer(slice).copyMemory(from: bytes, byteCount: slice.byteCount)
        }
        withExtendedLifetime(tensor) {
            copy(codes, tensor.codes)
            copy(absmax, tensor.scales.absmax)
            guard let nested, let nestedAbsmax = tensor.scales.nestedAbsmax, let map = tensor.scales.nestedMap else { return }
            copy(nested.absmax, nestedAbsmax)
            copy(nested.map, map)
            memory.pointer(nested.offset).storeBytes(of: tensor.scales.nestedOffset, as: Float.self)
        }
    }
}

// MARK: - Loading

extension WeightPlan {
    /// Elements of a piece: 4 MiB of floats, a buffer of each thread.
    private static let pieceElementCount = 1 << 20

    /// Rows of a plain tensor that one thread reads, checks and, unless it stays in its file, stores.
    private struct Piece {
        let item: Item
        let rows: Range<Int>
    }

    /// Fills this process's share of the memory, and checks every value that it reads for NaN and infinity. All shares are whole pieces, so
    /// that members on different NUMA domains spread the pages over them.
    ///
    /// - Throws: the error of the first piece that has one.
    func load(from source: any TensorSource, into memory: WeightMemory, storage: WeightStorage, pool: ThreadPool) throws {
        var pieces: [Piece] = []
        for item in items {
            switch item.form {
            case .vector, .mapped, .copied:
                let height = max(1, Self.pieceElementCount / item.shape.dropFirst().reduce(1, *))
                for start in stride(from: 0, to: item.shape[0], by: height) {
                    pieces.append(Piece(item: item, rows: start..<min(start + height, item.shape[0])))
                }
            case .mappedNF4(let tensor): try tensor.requireFiniteScales()
            case .copiedNF4, .quantized: break
            }
        }
        let share = storage.member
        try load(pieces.enumerated().filter { $0.offset % share.count == share.index }.map(\.element), from: source, into: memory, storage, pool)
        let nf4 = items.filter { if case .copiedNF4 = $0.form { true } else if case .quantized = $0.form { true } else { false } }
        for (index, item) in nf4.enumerated() where index % share.count == share.index {
            if case .copiedNF4(let slices, let tensor) = item.form {
                try tensor.requireFiniteScales()
                slices.fill(from: tensor, in: memory)
            } else if case .quantized(let slices, _) = item.form, let quantizer = storage.quantizer {
                slices.fill(from: try quantizer.quantize(item.name, shape: item.shape, from: source, pool: pool), in: memory)
            }
        }
    }

    private func load(_ pieces: [Piece], from source: any TensorSource, into memory: WeightMemory, _ storage: WeightStorage, _ pool: ThreadPool) throws {
        guard let largest = pieces.map({ $0.rows.count * $0.item.shape.dropFirst().reduce(1, *) }).max() else { return }
        var layout = ArenaLayout()
        let slices = (0..<pool.threadCount).map { _ in layout.reserve(largest) }
        let buffers = try Arena(layout)
        let failure = Mutex<(index: Int, error: any Error)?>(nil)
        pool.run(pieces.count) { index, worker in
            do {
                try load(pieces[index], from: source, into: memory, rounds: storage.quantizer != nil, buffer: buffers.pointer(slices[worker]))
            } catch {
                failure.withLock { if index < $0?.index ?? .max { $0 = (index, error) } }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure.error }
    }

    private func load(
        _ piece: Piece, from source: any TensorSource, into memory: WeightMemory, rounds: Bool, buffer: UnsafeMutablePointer<Float>
    ) throws {
        let item = piece.item, width = item.shape.dropFirst().reduce(1, *), count = piece.rows.count * width, first = piece.rows.lowerBound * width
        // Reading as Float is what finds NaN and infinity; for a mapped tensor it also brings the pages in.
        try source.copyFloats(item.name, shape: item.shape, rows: piece.rows, into: buffer)
        if rounds {
            FloatConversion.round(buffer, count: count, to: .bf16)
            if let element = FloatConversion.firstNonFinite(buffer, count: count) {
                throw CheckpointError.nonFinite(path: (try? (source as? Checkpoint)?.locate(item.name).file.path) ?? "weights", tensor: item.name, element: first + element)
            }
        }
        switch item.form {
        case .vector(let slice): (memory.pointer(slice) + 4 * first).copyMemory(from: buffer, byteCount: 4 * count)
        case .copied(let slice, .bf16): FloatConversion.bf16(from: buffer, count: count, into: memory.pointer(slice) + 2 * first)
        case .copied(let slice, .f16): FloatConversion.f16(from: buffer, count: count, into: memory.pointer(slice) + 2 * first)
        case .copied(let slice, _): (memory.pointer(slice) + 4 * first).copyMemory(from: buffer, byteCount: 4 * count)
        case .mapped, .mappedNF4, .copiedNF4, .quantized: break
        }
    }
}
