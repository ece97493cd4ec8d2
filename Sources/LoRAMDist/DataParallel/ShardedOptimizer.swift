import LoRAMEngine

/// AdamW over a stage's replicas: each updates its part of the trained tensors (`ShardPlan`) and gives the others the new weights. Without
/// sharding each updates everything. Element by element the arithmetic is the same, and so are the bits.
public final class ShardedOptimizer {
    public let plan: ShardPlan
    public let shard: OptimizerShard
    private let replicas: Communicator
    private let tag: Int
    private let marker: ProgressMarker
    /// Two buckets' weights are under way at a time: while one is sent, the next is updated. Per other replica a request each way.
    private let lanes: [[Request]]

    /// All replicas of a stage make one with equal arguments. `tag`: of its own among those that use the communicator.
    public init(weights: TrainedWeights, plan: ShardPlan, replicas: Communicator, tag: Int, marker: ProgressMarker) throws {
        precondition(plan.replicas == replicas.size)
        self.plan = plan
        self.replicas = replicas
        self.tag = tag
        self.marker = marker
        shard = try OptimizerShard(weights: weights, runs: plan.parts(replica: replicas.rank))
        lanes = (0..<2).map { _ in (0..<2 * (plan.isSharded ? replicas.size - 1 : 0)).map { _ in Request() } }
    }

    /// Dropped in the middle of an exchange only when the job ends with an error, which a trap must not cover up.
    deinit {
        for request in lanes.joined() where request.isActive { request.abandon() }
    }

    /// All replicas call this; see `AdamW.update`. `gradients`: reduced at least in this replica's parts.
    public func update(
        _ optimizer: AdamW, pool: ThreadPool, gradients: UnsafePointer<Float>, step: Int, learningRate: Double, gradientScale: Float
    ) throws {
        try forEachBucket {
            shard.update(run: $0, optimizer, pool: pool, gradients: gradients, step: step, learningRate: learningRate, gradientScale: gradientScale)
        }
    }

    /// All replicas call this after the masters were set from outside: brings every replica's weights up to date.
    public func publish(pool: ThreadPool) throws { try forEachBucket { shard.publish(run: $0, pool: pool) } }

    private func forEachBucket(_ prepare: (_ bucket: Int) -> Void) throws {
        for bucket in plan.buckets.indices {
            prepare(bucket)
            let lane = lanes[bucket % lanes.count]
            for request in lane { try request.wait() }
            marker.touch()
            try exchange(plan.buckets[bucket], lane)
        }
        for request in lanes.joined() { try request.wait() }
        shard.weights.refreshGains()
    }

    /// Sends this replica's part of a bucket's weights to every other and receives theirs. Each element moves n - 1 times, as in any
    /// all-gather.
    private func exchange(_ bucket: Range<Int>, _ lane: [Request]) throws {
        guard !lane.isEmpty else { return }
        let weights = shard.weights, own = plan.part(of: bucket, replica: replicas.rank)
        for distance in 1..<replicas.size {
            let source = (replicas.rank + distance) % replicas.size, target = (replicas.rank + replicas.size - distance) % replicas.size
            let theirs = plan.part(of: bucket, replica: source), requests = (lane[2 * distance - 2], lane[2 * distance - 1])
            if !theirs.isEmpty {
                try replicas.receive(
                    into: weights.bytes(at: theirs.lowerBound), count: theirs.count * weights.dtype.byteCount, from: source, tag: tag,
                    request: requests.0)
            }
            if !own.isEmpty {
                try replicas.send(
                    UnsafePointer(weights.bytes(at: own.lowerBound)), count: own.count * weights.dtype.byteCount, to: target, tag: tag,
                    request: requests.1)
            }
        }
    }

    /// All replicas call this: replica 0's `consume` gets a quantity of some elements, in order and in pieces that fit `buffer`.
    func collect(
        _ quantity: OptimizerShard.Quantity, _ elements: Range<Int>, _ buffer: FloatBuffer, _ consume: (UnsafePointer<Float>, _ count: Int) throws -> Void
    ) throws {
        for (part, bucket, owner) in plan.owners(of: elements) where owner == replicas.rank || replicas.rank == 0 {
            for start in stride(from: part.lowerBound, to: part.upperBound, by: buffer.count) {
                let count = min(buffer.count, part.upperBound - start)
                if owner == replicas.rank {
                    let values = shard.values(quantity, run: bucket) + (start - shard.runs[bucket].lowerBound)
                    if owner == 0 { try consume(values, count) } else { try replicas.send(UnsafePointer(values), count: count, to: 0, tag: tag).wait() }
                } else {
                    try replicas.receive(into: buffer.base, count: count, from: owner, tag: tag).wait()
                    try consume(buffer.base, count)
                }
            }
        }
    }

    /// Copies this replica's elements of a quantity of a tensor from a state.
    func restore(_ quantity: OptimizerShard.Quantity, of tensor: ParameterLayout.Tensor, from state: StateReader) throws {
        let name = StateName.name(quantity, of: tensor.tiedTo ?? tensor.name)
        for (index, run) in shard.runs.enumerated() {
            let part = run.clamped(to: tensor.offset..<tensor.offset + tensor.count)
            guard !part.isEmpty else { continue }
            try state.copy(
                name, shape: tensor.shape, elements: part.lowerBound - tensor.offset..<part.upperBound - tensor.offset,
                into: shard.values(quantity, run: index) + (part.lowerBound - run.lowerBound))
        }
    }
}

extension StateName {
    static func name(_ quantity: OptimizerShard.Quantity, of parameter: String) -> String {
        switch quantity {
        case .value: value(of: parameter)
        case .firstMoment: firstMoment(of: parameter)
        case .secondMoment: secondMoment(of: parameter)
        }
    }
}
