/// Prunes the linear layers of one decoder layer in place, from the sums of their inputs' moments.
public struct LayerSparsifier: Sendable {
    public let score: WeightScore
    public let sparsity: Sparsity
    /// Sequences that the moments were summed over.
    public let sampleCount: Int

    public init(score: WeightScore, sparsity: Sparsity, sampleCount: Int) {
        self.score = score
        self.sparsity = sparsity
        self.sampleCount = sampleCount
    }

    /// - Parameters:
    ///   - layer: named in errors.
    ///   - weights: [out, in] of every site of `LinearSite.inLayer`, f32.
    ///   - moments: of every input group, as `InputMoments` sums them; overwritten. Nil for magnitude.
    /// - Returns: the masks.
    /// - Throws: `PruningError.badMoments` where inputs were not finite.
    public func prune(
        layer: Int, config: LlamaConfig, weights: [LinearSite: UnsafeMutablePointer<Float>], moments: [InputGroup: UnsafeMutablePointer<Float>]?,
        pool: ThreadPool
    ) throws -> [LinearSite: MaskBits] {
        let dead = try prepare(layer: layer, config: config, moments, pool)
        var masks: [LinearSite: MaskBits] = [:]
        for group in InputGroup.allCases {
            for site in group.sites {
                let shape = site.shape(in: config, layer: layer), mask = MaskBits(rows: shape.out, columns: shape.in)
                switch score {
                case .sparseGPT:
                    SparseGPT.prune(
                        weights[site]!, rows: shape.out, columns: shape.in, u_II: moments![group]!, dead: dead[group.rawValue], sparsity: sparsity,
                        mask: mask, pool: pool)
                case .wanda, .magnitude:
                    ScoredPruning.prune(
                        weights[site]!, rows: shape.out, columns: shape.in, norms_I: moments?[group].map { UnsafePointer($0) }, sparsity: sparsity,
                        mask: mask, pool: pool)
                }
                masks[site] = mask
            }
        }
        return masks
    }

    /// Turns the sums into the inverse's factor or the norms; the groups side by side. Returns each group's inputs that were always zero.
    private func prepare(
        layer: Int, config: LlamaConfig, _ moments: [InputGroup: UnsafeMutablePointer<Float>]?, _ pool: ThreadPool
    ) throws -> [[Int]] {
        guard let moments else { return [[], [], [], []] }
        switch score {
        case .magnitude: return [[], [], [], []]
        case .wanda:
            for group in InputGroup.allCases {
                let sums = moments[group]!
                for input in 0..<group.inputCount(config, layer: layer) { sums[input] = sums[input].squareRoot() }
                guard FloatConversion.firstNonFinite(sums, count: group.inputCount(config, layer: layer)) == nil else {
                    throw PruningError.badMoments(layer: layer, site: group.sites[0])
                }
            }
            return [[], [], [], []]
        case .sparseGPT:
            let results = UnsafeMutablePointer<[Int]?>.allocate(capacity: 4)
            results.initialize(repeating: nil, count: 4)
            defer {
                results.deinitialize(count: 4)
                results.deallocate()
            }
            pool.run(4) { index, _ in
                let group = InputGroup(rawValue: 3 - index)!  // the widest first
                results[group.rawValue] = InverseFactor.factor(
                    moments[group]!, size: group.inputCount(config, layer: layer), scale: 2 / Float(sampleCount))
            }
            return try InputGroup.allCases.map { group in
                guard let dead = results[group.rawValue] else { throw PruningError.badMoments(layer: layer, site: group.sites[0]) }
                return dead
            }
        }
    }
}
