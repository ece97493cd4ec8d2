import LoRAMEngine

/// `compute.weights` and `quantization` as they work out for one stage on this job's nodes.
enum StageStorage {
    /// What `resolve` will come to, as far as memory is concerned: how the weights are stored, and whether the ranks of a node that hold
    /// the same stage have them once.
    ///
    /// - Parameters:
    ///   - weights: of the checkpoint.
    ///   - isFile: there is one; otherwise weights are random.
    ///   - quantizes: as in `resolve`.
    static func forecast(_ recipe: Recipe, weights: WeightBytes, isFile: Bool, quantizes: Bool) -> (weights: WeightBytes, sharesFrozen: Bool) {
        let atLoad = quantizes && recipe.quantization.type == .nf4 && weights.quantizer == nil
        let bytes = atLoad ? WeightBytes(quantizer: Quantizer(recipe.quantization)) : weights
        return switch recipe.compute.weights {
        case .resident: (bytes, false)
        case .mapped: (bytes, isFile && !atLoad)
        case .auto, .shared: (bytes, true)
        }
    }

    /// All ranks of the grid call this.
    ///
    /// `auto`: mapped where the weights are used as the files hold them and the file system is local, since the page cache then serves all
    /// ranks; otherwise in memory, shared where several ranks of a node hold the same stage.
    ///
    /// - Parameter quantizes: the recipe's quantization applies (training an adapter), not only the form that the checkpoint has.
    static func resolve(_ recipe: Recipe, model: ModelReference, quantizes: Bool, seat: ProcessGrid.Seat) throws -> WeightStorage {
        var quantizer: Quantizer?
        if quantizes, recipe.quantization.type == .nf4 { quantizer = Quantizer(recipe.quantization) }
        var isFile = false, isRemote = false
        if case .checkpoint(let checkpoint) = model.origin {
            if checkpoint.quantization != nil { quantizer = nil }
            isFile = true
            isRemote = FileSystemKind.isRemote(checkpoint.directory)
        }
        // Any rank of a node may see the file system otherwise than its neighbour: all must choose alike.
        let remote = try seat.training.allReduce(isRemote ? Int64(1) : 0, .max) > 0
        switch recipe.compute.weights {
        case .mapped: return WeightStorage(place: .mapped, quantizer: quantizer)
        case .resident: return WeightStorage(place: .resident, quantizer: quantizer)
        case .auto where isFile && !remote && quantizer == nil: return WeightStorage(place: .mapped)
        case .auto, .shared:
            let node = try seat.replicas.splitByNode()
            if recipe.compute.weights == .auto, node.size == 1 {
                try node.free()
                return WeightStorage(place: remote ? .resident : .mapped, quantizer: quantizer)
            }
            return WeightStorage(place: .shared(SharedNodeMemory(node: node)), quantizer: quantizer)
        }
    }
}
