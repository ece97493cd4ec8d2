import LoRAMEngine

/// The `plan` command: a recipe's counts, bytes, traffic and time, without weights and without other ranks.
public struct PlanRun: Sendable {
    public struct Options: Sendable {
        public var phase = Recipe.Phase.train
        /// Nobody said how long samples are: shorten them to the model's positions where those are fewer.
        public var shortensSamples = false
        /// Searches the grid for this cluster; nil: the recipe's grid, or one rank.
        public var nodes: Int?
        /// Of a node in a search, else of a rank; nil: this machine's.
        public var cores: Int?
        /// GiB of a node; nil: this machine's.
        public var memory: Double?
        /// GFLOP/s that a core reaches; nil: measured here.
        public var gigaflops: Double?
        /// GB/s between nodes; nil: 10 Gbit/s.
        public var bandwidth: Double?
        /// Nobody spoke of quantization: the model's own numbers are those of its plain weights, as the paper's tables have them. Training is
        /// planned with the recipe's default all the same, since that is what `train` would do.
        public var countsPlainWeights = false
        /// Tokens to be scored with the whole model, layer by layer; nil: that is not planned.
        public var scoredTokens: Int?
        /// GB/s from the disk; nil: 1.
        public var disk: Double?

        public init() {}
    }

    public let recipe: Recipe
    public let phase: Recipe.Phase
    public let model: ModelPlan
    public let lora: LoRAConfig
    public let grid: GridPlan
    /// As a rank holds them in this phase.
    public let weights: WeightBytes
    /// Bytes on the fullest node and the other grids, where a cluster was given.
    public let search: GridSearch?
    /// Operations of the recipe's whole alignment.
    public let alignmentFlops: Double
    public let alignmentTokens: Int
    /// Where tokens to be scored were given.
    public let scoring: StreamedPlan?

    /// - Throws: errors of the recipe, the model's files, the pruning and the grid; `PlanError`.
    public init(_ recipe: Recipe, _ options: Options) throws {
        try options.check()
        self.recipe = recipe
        phase = options.phase
        // Before anything is read: what a process takes anyway.
        var process = ProcessMemory.foretold
        var counted = recipe
        if options.countsPlainWeights { counted.quantization.type = .none }
        model = try ModelPlan(counted)
        let config = model.trained
        var settings = TrainingSettings(recipe: recipe, phase: phase, tied: config.tiesWordEmbeddings)
        if options.shortensSamples { settings.data.length = min(settings.data.length, config.maxPositionCount) }
        lora = recipe.lora.config(tied: config.tiesWordEmbeddings)
        let compute = ComputeType(rawValue: recipe.compute.type.rawValue)!, kernels = try ComputeKernels(type: compute)
        // Alignment trains the weights before they are quantized; a shape alone stands for a checkpoint to come.
        let storage = StageStorage.forecast(recipe, weights: WeightBytes(quantizer: model.storedQuantizer), isFile: true, quantizes: phase == .train)
        let (weights, sharesFrozen) = storage
        self.weights = weights
        process.addData(of: recipe, settings)
        let hasMasks = model.zeroCount > 0

        let cores = options.cores ?? recipe.parallel.threads.given ?? Machine.availableProcessorCount
        let rates = try options.gigaflops.map { StepRates($0) }
            ?? StepRates.measure(
                config: config, settings: settings, kernels: kernels, quantizes: weights.quantizer != nil, threads: Machine.availableProcessorCount)
        let speed = PlanSpeed(
            rates: rates, ratesOrigin: options.gigaflops == nil ? .measured : .given, coresPerRank: cores,
            bandwidth: options.bandwidth.map { $0 * 1e9 } ?? PlanSpeed.assumedBandwidth, bandwidthOrigin: options.bandwidth == nil ? .assumed : .given)
        if let nodes = options.nodes {
            let memory = options.memory.map { Int($0 * Double(1 << 30)) } ?? Machine.memoryByteCount
            let search = try GridSearch(
                config: config, settings: settings, weights: weights, sharesFrozen: sharesFrozen, kernels: kernels,
                process: process, hasMasks: hasMasks, cluster: GridSearch.Cluster(nodes: nodes, cores: cores, memoryByteCount: memory), speed: speed)
            self.search = search
            grid = search.best.plan
        } else {
            let dims = try ParallelDims(stages: recipe.parallel.stages.given ?? 1, replicas: recipe.parallel.replicas.given ?? 1)
            let layout = try TrainingLayout(config: config, settings: settings, dims: dims)
            search = nil
            grid = try GridPlan(
                layout,
                memories: layout.memories(
                    weights: weights, sharesFrozen: sharesFrozen, kernels: kernels, workers: cores, process: process, hasMasks: hasMasks), speed: speed)
        }
        let alignment = recipe.alignment
        alignmentTokens = alignment.batch.global * alignment.data.length * alignment.schedule.steps
        let cost = TrainingLayout.cost(config, TrainingSettings(recipe: recipe, phase: .align, tied: config.tiesWordEmbeddings))
        alignmentFlops = cost.total.total * Double(alignmentTokens)
        scoring = try Self.scoring(recipe, options, model.original, settings, cores: cores)
    }

    private static func scoring(
        _ recipe: Recipe, _ options: Options, _ config: LlamaConfig, _ settings: TrainingSettings, cores: Int
    ) throws -> StreamedPlan? {
        guard let tokens = options.scoredTokens else { return nil }
        var settings = settings
        settings.data.length = min(settings.data.length, config.maxPositionCount)
        // `evaluate` computes plain weights in f32.
        let kernels = try ComputeKernels(type: .f32), length = settings.data.length
        let rate = try options.gigaflops
            ?? StepRates.measure(config: config, settings: settings, kernels: kernels, quantizes: false, threads: Machine.availableProcessorCount).forward
        let memory = options.memory.map { Int($0 * Double(1 << 30)) } ?? Machine.memoryByteCount
        return try StreamedPlan(
            config: config, lora: recipe.lora.config(tied: config.tiesWordEmbeddings), weights: WeightBytes(),
            capacity: StageCapacity(tokens: recipe.batch.micro * length, positions: length), tokens: tokens, kernels: kernels,
            workers: cores, memoryByteCount: Int(Double(memory) * NodeMap.usableFraction), rate: rate * 1e9 * Double(cores),
            disk: options.disk.map { $0 * 1e9 })
    }
}

extension PlanRun.Options {
    /// - Throws: `PlanError.badArgument`.
    func check() throws {
        // Neither rounded nor with a fraction of 0.
        func plain(_ value: Double) -> String { Int(exactly: value).map { "\($0)" } ?? "\(value)" }
        func require(_ name: String, _ value: Double?, _ range: ClosedRange<Double>) throws {
            guard let value, !range.contains(value) else { return }
            throw PlanError.badArgument(
                name: name, expected: "\(plain(range.lowerBound)) to \(plain(range.upperBound))", found: plain(value))
        }
        for (name, value) in [("nodes", nodes), ("cores", cores)] where value.map({ !(1...4096).contains($0) }) == true {
            throw PlanError.badArgument(name: name, expected: "1 to 4096", found: "\(value!)")
        }
        try require("memory", memory, 0.001...1e6)
        try require("gflops", gigaflops, 0.001...1e6)
        try require("bandwidth", bandwidth, 0.001...1e6)
        try require("disk", disk, 0.001...1e6)
        try require("score-tokens", scoredTokens.map(Double.init), 1...1e12)
        if nodes == nil, memory != nil, scoredTokens == nil { throw PlanError.badArgument(name: "memory", expected: "--nodes beside it", found: "none") }
    }
}

extension ProcessMemory {
    /// Tokenizer and texts as a run of the recipe opens them, where they are there already: the tokenizer by loading it, texts by their files' sizes.
    mutating func addData(of recipe: Recipe, _ settings: TrainingSettings) {
        let before = Machine.residentMemory.own
        let loaded = TrainingInputs.tokenizerPath(in: [recipe.trainedOn, recipe.model]).map { try? TokenizerLoader.load(path: $0) }
        withExtendedLifetime(loaded) { tokenizer = max(0, Machine.residentMemory.own - before) }
        let paths = Set(settings.data.train.map(\.path) + settings.data.evaluation.map(\.path))
        texts = paths.reduce(0) { $0 + (FileSystem.fileSize($1) ?? 0) }
    }
}
