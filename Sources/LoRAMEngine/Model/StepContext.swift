/// What every operation of a step needs besides its tensors: threads, scratch, dropout and where gradients go.
struct StepContext {
    let pool: ThreadPool
    let products: LinearProducts
    /// First worker's scratch; each has `scratchCount` floats, as many as attention needs.
    let scratchBase: UnsafeMutablePointer<Float>
    let scratchCount: Int
    /// Nil when evaluating or when the dropout probability is 0.
    var dropout: DropoutRate?
    /// Where weight gradients' operands are kept, with the layer that they belong to, instead of making the products; nil: made at once.
    var deferral: (store: WeightDeferral, layer: Int)? = nil
    /// Gradient buffer that this micro-batch adds to, laid out as the stage's `ParameterLayout`.
    var gradients: UnsafeMutablePointer<Float>
    /// Of masked low-rank products; nil on a stage without.
    var masked: Linear.MaskedScratch?

    @inline(__always)
    func scratch(_ worker: Int) -> UnsafeMutablePointer<Float> { scratchBase + worker * scratchCount }
}

/// Dropout probability in the kernel's terms: 16 random bits below `threshold` drop an element, the kept ones grow by `scale`.
struct DropoutRate {
    let threshold: UInt32
    let scale: Float

    init?(probability: Double) {
        guard probability > 0 else { return nil }
        threshold = UInt32((probability * 65536).rounded())
        scale = Float(1 / (1 - probability))
    }

    /// Key of one site's decisions under one seed: SplitMix64 of both.
    static func key(seed: UInt64, layer: Int, site: LinearSite) -> UInt64 {
        func mix(_ value: UInt64) -> UInt64 {
            var z = value &+ 0x9E37_79B9_7F4A_7C15
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        let siteIndex = UInt64(LinearSite.allCases.firstIndex(of: site)!)
        return mix(mix(seed) ^ (UInt64(layer) << 8 | siteIndex))
    }
}
