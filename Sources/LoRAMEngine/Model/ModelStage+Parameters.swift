internal import CLoRAMKernels

extension ModelStage {
    /// Adds the two gradients of a tied matrix (embedding and head) where this stage holds both ends, and gives both ends the sum.
    ///
    /// Both ends are trained as copies of one another: with the same gradient and the same moments they stay equal, whether they
    /// live on one stage or on the first and the last of several.
    ///
    /// - Parameter parts: elements of the matrix, for an optimizer that has only these; nil: all of them.
    public func combineTiedGradients(_ parts: [Range<Int>]? = nil) {
        guard let gradients else { return }
        for head in layout.tensors {
            guard let name = head.tiedTo, let embedding = layout.tensor(named: name) else { continue }
            for part in parts ?? [0..<head.count] {
                threadPool.runBlocks(part.count, of: 1 << 16) { range, _ in
                    let start = part.lowerBound + range.lowerBound
                    let a = gradients + embedding.offset + start, b = gradients + head.offset + start
                    loram_sum(a, a, b, range.count)
                    b.update(from: a, count: range.count)
                }
            }
        }
    }

    /// Sets this stage's LoRA factors from an adapter. Throws `AdapterError` for a missing tensor or another shape.
    public func loadParameters(from adapter: Adapter) throws {
        try weights.fill(from: adapter)
    }
}
