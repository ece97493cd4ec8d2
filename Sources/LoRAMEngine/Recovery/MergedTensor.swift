internal import CLoRAMKernels

/// One merged weight, computed where it is asked for: bf16(float(W) + s B A), rounded once.
///
/// The bits depend on W, A, B and s alone: see `loram_merge_row`.
final class MergedTensor: Sendable {
    /// [out, in] of the weight.
    let shape: [Int]
    let module: AdapterModule
    /// The base's weight: of a tied head the embedding.
    private let source: String
    private let base: Checkpoint
    private let adapter: Adapter
    private let mask: (any DeltaMask)?
    private let factors: LeasedFactors
    private let scratch: LeasePool<Scratch>

    /// Elements at a time.
    static let pieceCount = 1 << 15

    init(
        module: AdapterModule, shape: [Int], source: String, base: Checkpoint, adapter: Adapter, mask: (any DeltaMask)?, factors: LeasedFactors,
        scratch: LeasePool<Scratch>
    ) {
        self.module = module
        self.shape = shape
        self.source = source
        self.base = base
        self.adapter = adapter
        self.mask = mask
        self.factors = factors
        self.scratch = scratch
    }

    /// Buffers of one thread.
    final class Scratch: @unchecked Sendable {
        let weights = UnsafeMutablePointer<Float>.allocate(capacity: pieceCount)
        let multipliers = UnsafeMutablePointer<Float>.allocate(capacity: pieceCount)

        deinit {
            weights.deallocate()
            multipliers.deallocate()
        }
    }

    /// - Parameter elements: of the weight, row-major.
    /// - Throws: `CheckpointError` for a NaN or infinity in the base; errors of its files.
    func copy(_ elements: Range<Int>, into destination: UnsafeMutablePointer<UInt16>) throws {
        let pair = try factors.of(module, adapter)
        try scratch.with { scratch in
            for start in stride(from: elements.lowerBound, to: elements.upperBound, by: Self.pieceCount) {
                let piece = start..<min(start + Self.pieceCount, elements.upperBound)
                try base.copyFloats(source, shape: shape, elements: piece, into: scratch.weights)
                let name = "\(module.site.modulePath(layer: module.layer)).weight"
                let masked = try mask?.copyMultipliers(name, piece, into: scratch.multipliers) ?? false
                merge(piece, scratch, pair, masked: masked, into: destination + (start - elements.lowerBound))
            }
        }
    }

    /// Gives pages of the base's file back.
    func release(_ elements: Range<Int>) {
        guard let (file, entry) = try? base.locate(source) else { return }
        guard base.isNF4(source) else {
            let width = file.header.entries[entry].info.dtype.byteCount
            return file.release(entry, elements.lowerBound * width..<elements.upperBound * width)
        }
        file.release(entry, elements.lowerBound / 2..<elements.upperBound / 2)
        // The scales are small: they go at the end.
        guard elements.upperBound == shape.reduce(1, *) else { return }
        for part in NF4Tensor.Part.allCases {
            guard let (file, entry) = try? base.locate(source + part.rawValue) else { continue }
            file.release(entry, 0..<file.header.entries[entry].info.byteCount)
        }
    }

    private func merge(_ elements: Range<Int>, _ scratch: Scratch, _ pair: FactorPair, masked: Bool, into out: UnsafeMutablePointer<UInt16>) {
        let width = shape[1], rank = adapter.lora.rank
        var at = elements.lowerBound
        while at < elements.upperBound {
            let row = at / width, column = at % width, offset = at - elements.lowerBound
            let count = min(width - column, elements.upperBound - at)
            loram_merge_row(
                out + offset, scratch.weights + offset, pair.b_OR + row * rank, pair.a_RI + column, width, Int32(rank), adapter.lora.scale,
                masked ? scratch.multipliers + offset : nil, count)
            at += count
        }
    }
}
