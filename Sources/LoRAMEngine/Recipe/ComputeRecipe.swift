/// `compute`: number types, memory and kernels. Only `type` influences results beyond the last bits.
public struct ComputeRecipe: RecipeSection {
    public enum ComputeType: String, RecipeWord { case f32, bf16 }

    public enum Recompute: String, RecipeWord {
        /// One input per layer is kept.
        case full
        /// All but what elementwise operations give again.
        case selective
        case none
    }

    public enum Kernels: String, RecipeWord {
        /// The best that this CPU, and every other of the job, has.
        case auto
        case portable, avx2, avx512
        case avx512bf16 = "avx512-bf16"
    }

    public enum Weights: String, RecipeWord {
        case auto
        /// Memory-mapped from the checkpoint.
        case mapped
        /// In memory that the ranks of a node share.
        case shared
        /// In the rank's own memory.
        case resident
    }

    /// `evaluate` takes f32 where this is not given, unless the weights are 4-bit.
    public var type = ComputeType.bf16
    public var recompute = Recompute.full
    public var kernels = Kernels.auto
    public var weights = Weights.auto

    public init() {}

    public static let keys: [RecipeKey<ComputeRecipe>] = [
        RecipeKey("type", \.type),
        RecipeKey("recompute", \.recompute, influences: .nothing),
        RecipeKey("kernels", \.kernels, influences: .nothing),
        RecipeKey("weights", \.weights, influences: .nothing),
    ]
}

/// `quantization`: the frozen base in 4 bit.
public struct QuantizationRecipe: RecipeSection {
    public enum Kind: String, RecipeWord { case none, nf4 }

    public enum Rounding: String, RecipeWord {
        case nearest
        /// The table look-up of bitsandbytes' CPU path.
        case bitsandbytesCPU = "bitsandbytes_cpu"
    }

    /// What `train` does to a checkpoint that is not quantized, and `quantize` makes.
    public var type = Kind.nf4
    /// Quantize the block maxima too.
    public var double = true
    /// How double quantization picks the code of a block maximum.
    public var absmaxRounding = Rounding.nearest

    public init() {}

    public static let keys: [RecipeKey<QuantizationRecipe>] = [
        RecipeKey("type", \.type),
        RecipeKey("double", \.double),
        RecipeKey("absmax_rounding", \.absmaxRounding),
    ]
}
