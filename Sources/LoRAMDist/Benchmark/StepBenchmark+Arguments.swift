import LoRAMEngine

/// A benchmark that cannot be run as asked.
public enum BenchmarkError: DiagnosedError, Equatable {
    case badArgument(name: String, expected: String, found: String)

    public var exitCode: ExitStatus { .usage }

    public var description: String {
        switch self {
        case .badArgument(let name, let expected, let found): "--\(name): expected \(expected), found \(found)"
        }
    }
}

extension StepBenchmark {
    /// A Llama of any shape.
    public static func config(
        hidden: Int, inter: Int, layers: Int, heads: Int, keyValueHeads: Int, vocabulary: Int, positions: Int, dtype: DType = .f32
    ) throws(BenchmarkError) -> LlamaConfig {
        for (name, value) in [
            ("hidden", hidden), ("inter", inter), ("layers", layers), ("heads", heads), ("kv", keyValueHeads), ("vocab", vocabulary), ("seq", positions),
        ] {
            try check(name, value)
        }
        guard hidden % heads == 0, hidden / heads % 2 == 0 else {
            throw .badArgument(name: "heads", expected: "a divisor of hidden \(hidden) that leaves an even head size", found: "\(heads)")
        }
        guard heads % keyValueHeads == 0 else { throw .badArgument(name: "kv", expected: "a divisor of heads \(heads)", found: "\(keyValueHeads)") }
        let geometry = LayerGeometry(headCount: heads, keyValueHeadCount: keyValueHeads, intermediateSize: inter)
        return LlamaConfig(
            hiddenSize: hidden, vocabularySize: vocabulary, headDim: hidden / heads, maxPositionCount: max(4096, positions),
            layers: Array(repeating: geometry, count: layers), rmsNormEpsilon: 1e-5, rope: RoPEConfig(theta: 10000), tiesWordEmbeddings: false,
            dtype: dtype)
    }

    public static func lora(rank: Int, targets: String) throws(BenchmarkError) -> LoRAConfig {
        guard (1...65536).contains(rank) else { throw .badArgument(name: "rank", expected: "1 to 65536", found: "\(rank)") }
        var sites: [LinearSite] = []
        for name in targets.split(separator: ",") {
            guard let site = LinearSite(rawValue: String(name)) else {
                throw .badArgument(name: "targets", expected: LinearSite.allCases.map(\.rawValue).joined(separator: ","), found: String(name))
            }
            guard !sites.contains(site) else { throw .badArgument(name: "targets", expected: "each site once", found: targets) }
            sites.append(site)
        }
        guard !sites.isEmpty else { throw .badArgument(name: "targets", expected: "at least one site", found: "none") }
        return LoRAConfig(rank: rank, alpha: 16, targets: sites)
    }

    public static func compute(_ name: String) throws(BenchmarkError) -> ComputeType {
        guard let value = ComputeType(rawValue: name) else { throw .badArgument(name: "dtype", expected: "f32 or bf16", found: name) }
        return value
    }

    public static func quantizes(_ name: String) throws(BenchmarkError) -> Bool {
        guard name == "nf4" || name == "none" else { throw .badArgument(name: "quant", expected: "nf4 or none", found: name) }
        return name == "nf4"
    }

    public static func recomputation(_ name: String) throws(BenchmarkError) -> Recomputation {
        guard let value = Recomputation(rawValue: name) else {
            throw .badArgument(name: "recompute", expected: Recomputation.allCases.map(\.rawValue).joined(separator: ", "), found: name)
        }
        return value
    }
}

extension StepBenchmark {
    /// Within this, sizes of buffers do not overflow.
    private static let largestArgument = 1 << 24

    static func check(_ name: String, _ value: Int) throws(BenchmarkError) {
        guard (1...largestArgument).contains(value) else {
            throw .badArgument(name: name, expected: "1 to \(largestArgument)", found: "\(value)")
        }
    }
}

extension StepBenchmark.Settings {
    /// - Throws: `BenchmarkError` for a number that no step can have, before anything is allocated.
    func check() throws(BenchmarkError) {
        for (name, value) in [("batch", batch), ("seq", length), ("steps", steps), ("threads", threads)] { try StepBenchmark.check(name, value) }
        guard length <= config.maxPositionCount else {
            throw .badArgument(name: "seq", expected: "at most the model's \(config.maxPositionCount) positions", found: "\(length)")
        }
    }
}

extension StepBenchmark.Report: CustomStringConvertible {
    public var description: String {
        """
        tokens/s          \(Formatting.fixed(tokensPerSecond, decimals: 1))
        step              \(Formatting.fixed(stepSeconds * 1e3, decimals: 1)) ms (limit \(Formatting.fixed(limitSeconds * 1e3, decimals: 1)) ms: \(Formatting.fixed(fractionOfLimit * 100, decimals: 1)) %)
        GFLOP/s           \(Formatting.fixed(gigaflopsPerSecond, decimals: 1)) of \(Formatting.fixed(peakGigaflopsPerSecond, decimals: 1)) (\(compute.rawValue)\(quantized ? " on NF4" : ""), \(threads) threads, kernels \(kernels), OpenBLAS \(blasCore))
        peak RSS          \(Formatting.fixed(peakResidentMiB, decimals: 0)) MiB
        """
    }
}
