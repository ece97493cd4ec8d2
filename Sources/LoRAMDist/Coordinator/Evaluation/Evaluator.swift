import Foundation
import LoRAMEngine

/// Scores texts with a model spread over the grid: forward passes through the pipeline, micro-batches shared out over the replicas.
public final class Evaluator: BatchScorer {
    public struct Result: Sendable, Equatable {
        /// Sum of -log p over the scored tokens.
        public var lossSum: Double
        public var tokenCount: Int
        /// Mean per scored token.
        public var meanLoss: Double { lossSum / Double(tokenCount) }
        public var perplexity: Double { Foundation.exp(meanLoss) }
    }

    /// Micro-batches of one run of the schedule: fills the pipeline, bounds what is read ahead.
    private static let roundCount = 16

    /// This rank's parts of the model, as many on every rank.
    private let stages: [ModelStage]
    let seat: ProcessGrid.Seat
    private let marker: ProgressMarker
    private let microBatchSize: Int
    private var executors: [Int: ScheduleExecutor] = [:]

    /// All ranks of the grid make one. `stages`: see `Schedule.part`. `microBatchSize`: windows of a micro-batch; the stages must have room
    /// for them.
    public init(stages: [ModelStage], seat: ProcessGrid.Seat, microBatchSize: Int, marker: ProgressMarker) {
        self.stages = stages
        self.seat = seat
        self.microBatchSize = microBatchSize
        self.marker = marker
    }

    /// All ranks call this.
    public func score(_ data: EvaluationData) throws -> Result { try score(data, microBatchSize: microBatchSize) }

    /// Runs this replica's share of the batches through the pipeline.
    func forEachOwnBatch(count: Int, batch: (Int) throws -> MicroBatch, _ body: (_ index: Int, _ losses: [Double]) -> Void) throws {
        let own = Array(stride(from: seat.position.replica, to: count, by: seat.replicas.size))
        for start in stride(from: 0, to: own.count, by: Self.roundCount) {
            let indices = Array(own[start..<min(start + Self.roundCount, own.count)])
            let batches = try indices.map(batch)
            let round = stages.map { EvaluationStage(stage: $0, batches: batches) }
            try executor(indices.count).run(round)
            guard let last = round.last, last.stage.range.isLast else { continue }
            for (place, index) in indices.enumerated() { body(index, last.losses[place]) }
        }
    }

    private func executor(_ microBatchCount: Int) throws -> ScheduleExecutor {
        if let known = executors[microBatchCount] { return known }
        let made = try ScheduleExecutor(
            schedule: .forwardOnly(stages: seat.pipeline.size, microBatchCount: microBatchCount, chunks: stages.count), pipeline: seat.pipeline,
            maxBoundaryCount: stages[0].capacity.tokens * stages[0].config.hiddenSize, marker: marker)
        executors[microBatchCount] = made
        return made
    }
}

/// The forward half of a stage, with the loss at the end of the last.
private final class EvaluationStage: PipelineStage {
    let stage: ModelStage
    let batches: [MicroBatch]
    /// Of every labelled token of each batch, on the last stage.
    private(set) var losses: [[Double]]

    init(stage: ModelStage, batches: [MicroBatch]) {
        self.stage = stage
        self.batches = batches
        losses = Array(repeating: [], count: batches.count)
    }

    func boundaryCount(microBatch: Int) -> Int { batches[microBatch].tokenCount * stage.config.hiddenSize }

    func forward(microBatch: Int, slot: Int, input: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>?) throws {
        try stage.load(batches[microBatch], slot: slot)
        stage.forward(slot: slot, input: input, output: output, evaluating: true)
        if stage.range.isLast { losses[microBatch] = stage.evaluateTokenLosses(slot: slot) }
    }

    func recompute(microBatch: Int, slot: Int) { preconditionFailure("evaluation has no backward pass") }

    func backward(
        microBatch: Int, slot: Int, weightSlot: Int?, outputGradient: UnsafePointer<Float>?, inputGradient: UnsafeMutablePointer<Float>?
    ) { preconditionFailure("evaluation has no backward pass") }

    func weightGradients(microBatch: Int, weightSlot: Int) { preconditionFailure("evaluation has no backward pass") }
}
