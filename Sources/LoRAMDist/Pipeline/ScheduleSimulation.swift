/// A schedule played through without processes: proves that it comes to its end, and says how long it takes, how much of that is
/// bubble and how many micro-batches are in flight.
///
/// Model: sends do not block, receives block until the message is there, a channel between two stages holds `channelCapacity`
/// messages (the executor's send and receive buffers), and the work that makes one more waits. A backward pass costs its
/// recomputation too unless an R went before, and its weight gradients unless a W follows.
public struct ScheduleSimulation: Sendable, Equatable {
    /// Time from the first action to the end of the last, in the unit of the costs.
    public let makespan: Double
    /// Time from the first action of all to each stage's last.
    public let ends: [Double]
    /// Time that each stage computes.
    public let busy: [Double]
    /// Largest number of micro-batches between F and B, per stage, each chunk's by itself added up.
    public let peakStash: [Int]
    /// Largest number of micro-batches between R and B, per stage.
    public let peakRecomputed: [Int]

    /// A stage's work of one micro-batch, in the order of its list.
    public struct Span: Sendable, Equatable {
        public let kind: Action.Kind
        public let microBatch: Int
        public let chunk: Int
        public let start: Double
        public let end: Double
    }

    /// Work of each stage as it was played: forward, recomputation, backward; messages are left out.
    public let spans: [[Span]]

    /// Share of the stages' time in which they do not compute.
    public var bubble: Double {
        makespan > 0 ? 1 - busy.reduce(0, +) / (Double(busy.count) * makespan) : 0
    }

    /// `costs`: per part of the model in order (`Schedule.part`), which is per stage where each has one chunk; for one micro-batch. `transfer`: time of one message.
    /// Throws `ScheduleError` when the schedule breaks a rule or comes to a standstill.
    public init(
        _ schedule: Schedule, costs: [LayerCost], transfer: Double = 0,
        channelCapacity: Int = BoundaryBuffers.sendCount + BoundaryBuffers.receiveCount
    ) throws(ScheduleError) {
        try schedule.validate()
        precondition(costs.count == schedule.parts && channelCapacity > 0)
        var player = SchedulePlayer(schedule, costs: costs, transfer: transfer, channelCapacity: channelCapacity)
        try player.play()
        makespan = player.clocks.max() ?? 0
        ends = player.clocks
        busy = player.busy
        spans = player.spans
        peakStash = (0..<schedule.stages).map { schedule.slots(stage: $0).counts.reduce(0, +) }
        peakRecomputed = schedule.actions.map { list in
            var current = 0
            var peak = 0
            var ahead = Set<Action>()
            for action in list {
                if action.kind == .recompute {
                    ahead.insert(action)
                    current += 1
                    peak = max(peak, current)
                } else if action.kind == .backward, ahead.remove(action.with(.recompute)) != nil {
                    current -= 1
                }
            }
            return peak
        }
    }
}

/// The state of a simulation: one clock a stage, and when each action ended.
private struct SchedulePlayer {
    let schedule: Schedule
    let costs: [LayerCost]
    let transfer: Double
    let channelCapacity: Int
    var clocks: [Double]
    var busy: [Double]
    private(set) var spans: [[ScheduleSimulation.Span]]
    private var positions: [Int]
    /// End of each action, per part of the model, kind and micro-batch; nil while it is to come.
    private var ends: [[Action.Kind: [Double?]]]
    /// Work whose results leave the stage, in order: message n of a channel belongs to entry n.
    private let leavingForward: [[Action]]
    private let leavingBackward: [[Action]]
    /// Micro-batches whose weight gradients are an action of their own, per part.
    private let separateWeights: [Set<Int>]
    private var forwardCount: [Int]
    private var backwardCount: [Int]

    init(_ schedule: Schedule, costs: [LayerCost], transfer: Double, channelCapacity: Int) {
        self.schedule = schedule
        self.costs = costs
        self.transfer = transfer
        self.channelCapacity = channelCapacity
        let stages = schedule.stages
        clocks = [Double](repeating: 0, count: stages)
        busy = clocks
        spans = Array(repeating: [], count: stages)
        positions = [Int](repeating: 0, count: stages)
        forwardCount = positions
        backwardCount = positions
        let open = [Double?](repeating: nil, count: schedule.microBatchCount)
        ends = [[Action.Kind: [Double?]]](
            repeating: Dictionary(uniqueKeysWithValues: Action.Kind.allCases.map { ($0, open) }), count: schedule.parts)
        leavingForward = (0..<stages).map { stage in
            schedule.ordered(.forward, stage).filter { !schedule.isLast(stage: stage, chunk: $0.chunk) }
        }
        leavingBackward = (0..<stages).map { stage in
            schedule.ordered(.backward, stage).filter { !schedule.isFirst(stage: stage, chunk: $0.chunk) }
        }
        separateWeights = (0..<schedule.parts).map { part in
            Set(schedule.ordered(.weightGradient, part % stages).filter { $0.chunk == part / stages }.map(\.microBatch))
        }
    }

    mutating func play() throws(ScheduleError) {
        var moved = true
        while moved {
            moved = false
            for stage in 0..<schedule.stages {
                while positions[stage] < schedule.actions[stage].count, step(stage) { moved = true }
            }
        }
        let waiting = (0..<schedule.stages).filter { positions[$0] < schedule.actions[$0].count }
        guard waiting.isEmpty else {
            throw .deadlock(waiting: waiting.map { schedule.actions[$0][positions[$0]].text(stage: $0) })
        }
    }

    private func end(_ kind: Action.Kind, _ part: Int, _ microBatch: Int) -> Double? { ends[part][kind]![microBatch] }

    /// Does the stage's next action; false if it has to wait for another stage.
    private mutating func step(_ stage: Int) -> Bool {
        let action = schedule.actions[stage][positions[stage]]
        let microBatch = action.microBatch, part = schedule.part(stage: stage, chunk: action.chunk)
        let cost = costs[part]
        var earliest = 0.0
        var work = 0.0
        switch action.kind {
        case .receiveActivation:
            guard let sent = end(.sendActivation, part - 1, microBatch) else { return false }
            earliest = sent + transfer
        case .receiveGradient:
            guard let sent = end(.sendGradient, part + 1, microBatch) else { return false }
            earliest = sent + transfer
        case .sendActivation, .sendGradient:
            break
        case .forward:
            if part < schedule.parts - 1 {
                if forwardCount[stage] >= channelCapacity {
                    let oldest = leavingForward[stage][forwardCount[stage] - channelCapacity]
                    guard let free = end(.forward, schedule.part(stage: stage, chunk: oldest.chunk) + 1, oldest.microBatch) else { return false }
                    earliest = free
                }
                forwardCount[stage] += 1
            }
            work = cost.forward
        case .recompute:
            work = cost.recompute
        case .backward:
            if part > 0 {
                if backwardCount[stage] >= channelCapacity {
                    let oldest = leavingBackward[stage][backwardCount[stage] - channelCapacity]
                    guard let free = end(.backward, schedule.part(stage: stage, chunk: oldest.chunk) - 1, oldest.microBatch) else { return false }
                    earliest = free
                }
                backwardCount[stage] += 1
            }
            work = (separateWeights[part].contains(microBatch) ? cost.inputGradient : cost.backward)
                + (end(.recompute, part, microBatch) == nil ? cost.recompute : 0)
        case .weightGradient:
            work = cost.weightGradient
        }
        let start = max(clocks[stage], earliest)
        clocks[stage] = start + work
        switch action.kind {
        case .forward, .recompute, .backward, .weightGradient:
            spans[stage].append(ScheduleSimulation.Span(kind: action.kind, microBatch: microBatch, chunk: action.chunk, start: start, end: clocks[stage]))
        case .receiveActivation, .sendActivation, .receiveGradient, .sendGradient: break
        }
        busy[stage] += work
        ends[part][action.kind]![microBatch] = clocks[stage]
        positions[stage] += 1
        return true
    }
}
