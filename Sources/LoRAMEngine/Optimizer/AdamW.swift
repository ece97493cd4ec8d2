internal import CLoRAMKernels

/// AdamW with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101), in the order of operations of torch.optim.AdamW.
///
/// Decay applies to every trained tensor alike, as in torchtune. Moments are flat f32 buffers laid out as the stage's parameters.
public struct AdamW: Sendable, Equatable {
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    public var weightDecay: Double

    public init(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
    }

    /// Update number `step` (from 1) of `count` parameters; `gradientScale` multiplies every gradient first (1 / tokens, clipping).
    public func update(
        _ pool: ThreadPool, parameters: UnsafeMutablePointer<Float>, firstMoments: UnsafeMutablePointer<Float>,
        secondMoments: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>, count: Int, step: Int, learningRate: Double, gradientScale: Float
    ) {
        let bias1 = 1 - pow(beta1, step), bias2 = (1 - pow(beta2, step)).squareRoot()
        pool.runBlocks(count, of: 1 << 16) { range, _ in
            let at = range.lowerBound
            loram_adamw(
                parameters + at, firstMoments + at, secondMoments + at, gradients + at, range.count, gradientScale, Float(learningRate), Float(beta1),
                Float(beta2), Float(epsilon), Float(weightDecay), Float(bias1), Float(bias2))
        }
    }

    private func pow(_ base: Double, _ exponent: Int) -> Double {
        var result = 1.0, factor = base, rest = exponent
        while rest > 0 {
            if rest & 1 == 1 { result *= factor }
            factor *= factor
            rest >>= 1
        }
        return result
    }
}

/// Factor that brings a gradient of norm `norm` down to `maximum`, 1 where it is below (torch.nn.utils.clip_grad_norm_).
public func clippingFactor(norm: Double, maximum: Double) -> Double {
    maximum > 0 ? min(1, maximum / (norm + 1e-6)) : 1
}
