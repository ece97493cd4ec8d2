/// Interprets one stage's list of actions against the `PipelineStage` of each chunk. It holds no policy: what to do in which order is the
/// schedule's.
///
/// All buffers are made here, none in a step. Receives are posted ahead, sends complete while later actions run. Open MPI moves
/// messages only inside its calls, so whoever computes for long calls `pollProgress` between tiles, on the main thread.
public final class ScheduleExecutor {
    /// What a run took.
    public struct Timing: Sendable, Equatable {
        public let total: Duration
        /// Waiting for messages of other stages.
        public let wait: Duration
    }

    public let schedule: Schedule
    /// This rank's stage.
    public let stageIndex: Int
    /// Activation slots that the chunk with the most of them must offer.
    public let slotCount: Int
    /// Weight slots that the stage must offer.
    public let weightSlotCount: Int
    /// Called between polls of a wait and by `pollProgress`, to move other communication on (the gradient reduction).
    public var onIdle: (() throws -> Void)? {
        get { waiter.onIdle }
        set { waiter.onIdle = newValue }
    }

    private static let activationTag = 1
    private static let gradientTag = 2

    private let actions: [Action]
    private let slotOfAction: [Int]
    private let weightSlotOfAction: [Int]
    private let marker: ProgressMarker
    private let waiter: MeasuredWait
    private let activationIn: ReceiveChannel?
    private let activationOut: SendChannel?
    private let gradientIn: ReceiveChannel?
    private let gradientOut: SendChannel?
    private var pollFailure: (any Error)?

    /// All ranks of `pipeline` (rank there = stage) make one with the same schedule. `maxBoundaryCount`: the most floats that any
    /// micro-batch has at a boundary. Throws `ScheduleError` when the schedule is not sound or not for this many ranks.
    public init(schedule: Schedule, pipeline: Communicator, maxBoundaryCount: Int, marker: ProgressMarker) throws {
        guard schedule.stages == pipeline.size else {
            throw ScheduleError.stageCountMismatch(expected: schedule.stages, found: pipeline.size)
        }
        let unit = LayerCost(forward: 1, recompute: 1, inputGradient: 1)
        _ = try ScheduleSimulation(schedule, costs: [LayerCost](repeating: unit, count: schedule.parts))
        let stage = pipeline.rank
        let waiter = MeasuredWait(marker: marker)
        self.schedule = schedule
        self.marker = marker
        self.waiter = waiter
        stageIndex = stage
        actions = schedule.actions[stage]
        let slots = schedule.slots(stage: stage), before = (stage + schedule.stages - 1) % schedule.stages, behind = (stage + 1) % schedule.stages
        slotOfAction = slots.ofAction
        slotCount = slots.counts.max() ?? 0
        (weightSlotOfAction, weightSlotCount) = schedule.weightSlots(stage: stage)

        func receiver(_ kind: Action.Kind, from source: Int, tag: Int, _ label: StaticString) -> ReceiveChannel? {
            let order = schedule.order(kind, stage: stage)
            return order.isEmpty
                ? nil
                : ReceiveChannel(
                    communicator: pipeline, source: source, tag: tag, order: order, capacity: maxBoundaryCount, waiter: waiter,
                    label: label)
        }
        func sender(_ kind: Action.Kind, to destination: Int, tag: Int, _ label: StaticString) -> SendChannel? {
            let count = schedule.order(kind, stage: stage).count
            return count == 0
                ? nil
                : SendChannel(
                    communicator: pipeline, destination: destination, tag: tag, messageCount: count, capacity: maxBoundaryCount,
                    waiter: waiter, label: label)
        }
        activationIn = receiver(.receiveActivation, from: before, tag: Self.activationTag, "waiting for the activation")
        activationOut = sender(.sendActivation, to: behind, tag: Self.activationTag, "waiting to send the activation")
        gradientIn = receiver(.receiveGradient, from: behind, tag: Self.gradientTag, "waiting for the gradient")
        gradientOut = sender(.sendGradient, to: before, tag: Self.gradientTag, "waiting to send the gradient")
    }

    /// All ranks of the pipeline call this. Runs the schedule once. Throws what the stage throws, or `MPIError`; after that the
    /// executor is of no further use and the job must end.
    @discardableResult
    public func run(_ stage: any PipelineStage) throws -> Timing { try run([stage]) }

    /// The same with a stage a chunk.
    @discardableResult
    public func run(_ stages: [any PipelineStage]) throws -> Timing {
        precondition(stages.count == schedule.chunks)
        let stage = stages[0]
        let start = monotonicNanoseconds()
        waiter.reset()
        do {
            try activationIn?.begin(stage)
            try gradientIn?.begin(stage)
            activationOut?.begin()
            gradientOut?.begin()
            for index in actions.indices {
                try perform(actions[index], slot: slotOfAction[index], weightSlot: weightSlotOfAction[index], on: stages[actions[index].chunk])
                if let pollFailure { throw pollFailure }
            }
            try activationOut?.drain()
            try gradientOut?.drain()
        } catch {
            activationIn?.abandon()
            activationOut?.abandon()
            gradientIn?.abandon()
            gradientOut?.abandon()
            throw error
        }
        return Timing(
            total: .nanoseconds(Int64(monotonicNanoseconds() - start)), wait: .nanoseconds(Int64(waiter.nanoseconds)))
    }

    /// Moves outstanding messages on, without waiting; cheap. The compute pool calls it between tiles, on the main thread. An error
    /// is kept and thrown by `run` after the current action.
    public func pollProgress() {
        marker.touch()
        guard pollFailure == nil else { return }
        do {
            try activationIn?.poll()
            try gradientIn?.poll()
            try activationOut?.poll()
            try gradientOut?.poll()
            try onIdle?()
        } catch {
            pollFailure = error
        }
    }

    private func perform(_ action: Action, slot: Int, weightSlot: Int, on stage: any PipelineStage) throws {
        let microBatch = action.microBatch
        // The ends of the model have no neighbour, although their stage may have channels for other chunks.
        let isFirst = schedule.isFirst(stage: stageIndex, chunk: action.chunk), isLast = schedule.isLast(stage: stageIndex, chunk: action.chunk)
        let activationIn = isFirst ? nil : activationIn, activationOut = isLast ? nil : activationOut
        let gradientIn = isLast ? nil : gradientIn, gradientOut = isFirst ? nil : gradientOut
        switch action.kind {
        case .receiveActivation:
            try activationIn!.receive()
        case .forward:
            let count = stage.boundaryCount(microBatch: microBatch)
            let output = try activationOut?.acquire(microBatch: microBatch, count: count)
            marker.mark("forward", microBatch: microBatch)
            try stage.forward(microBatch: microBatch, slot: slot, input: activationIn?.contents, output: output)
            try activationIn?.release(stage)
        case .sendActivation:
            try activationOut!.send(count: stage.boundaryCount(microBatch: microBatch))
        case .recompute:
            marker.mark("recomputation", microBatch: microBatch)
            try stage.recompute(microBatch: microBatch, slot: slot)
        case .receiveGradient:
            try gradientIn!.receive()
        case .backward:
            let count = stage.boundaryCount(microBatch: microBatch)
            let inputGradient = try gradientOut?.acquire(microBatch: microBatch, count: count)
            marker.mark("backward", microBatch: microBatch)
            try stage.backward(
                microBatch: microBatch, slot: slot, weightSlot: weightSlot < 0 ? nil : weightSlot, outputGradient: gradientIn?.contents,
                inputGradient: inputGradient)
            try gradientIn?.release(stage)
        case .weightGradient:
            marker.mark("weight gradients", microBatch: microBatch)
            try stage.weightGradients(microBatch: microBatch, weightSlot: weightSlot)
        case .sendGradient:
            try gradientOut!.send(count: stage.boundaryCount(microBatch: microBatch))
        }
    }
}
