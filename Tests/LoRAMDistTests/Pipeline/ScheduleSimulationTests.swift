import LoRAMDist
import TestSupport
import Testing

struct ScheduleSimulationTests {
    private static let shapes: [(Int, Int)] =
        (1...9).flatMap { stages in [1, 2, 3, 5, 8, 16, 33].map { (stages, $0) } }

    private static func uniform(_ stages: Int, forward: Double = 1, recompute: Double = 1, backward: Double = 1) -> [LayerCost] {
        [LayerCost](
            repeating: LayerCost(forward: forward, recompute: recompute, inputGradient: backward), count: stages)
    }

    private static func uneven(_ stages: Int, seed: Int) -> [LayerCost] {
        (0..<stages).map { stage in
            func cost(_ part: Int) -> Double { Double(RepeatableValues.bits(seed, stage * 4 + part) % 100) / 10 }
            return LayerCost(forward: cost(0), recompute: cost(1), inputGradient: cost(2), weightGradient: cost(3))
        }
    }

    /// All schedules, also with uneven costs, slow messages and the narrowest channels.
    @Test(arguments: shapes)
    func everyScheduleIsSoundAndEnds(stages: Int, microBatches: Int) throws {
        for kind in Schedule.Kind.allCases {
            for ahead in [false, true] {
                let schedule = Schedule.training(kind, stages: stages, microBatchCount: microBatches, recomputeAhead: ahead)
                for (seed, capacity) in [(1, 1), (2, 2), (3, 4), (4, 1_000)] {
                    let costs = Self.uneven(stages, seed: seed * 100 + stages)
                    let result = try ScheduleSimulation(schedule, costs: costs, transfer: 0.3, channelCapacity: capacity)
                    for stage in 0..<stages {
                        let cost = costs[stage]
                        #expect(abs(result.busy[stage] - Double(microBatches) * (cost.total)) < 1e-6)
                        let stash = kind == .gpipe ? microBatches : min(stages - stage, microBatches)
                        #expect(result.peakStash[stage] == stash)
                        #expect(result.peakRecomputed[stage] == (ahead && stage < stages - 1 ? 1 : 0))
                        #expect(result.makespan >= result.busy[stage])
                    }
                }
            }
        }
        let forward = try ScheduleSimulation(
            .forwardOnly(stages: stages, microBatchCount: microBatches), costs: Self.uniform(stages), channelCapacity: 2)
        #expect(forward.makespan == Double(stages + microBatches - 1))
        #expect(forward.peakStash == [Int](repeating: 1, count: stages))
    }

    /// (p-1)/(m+p-1), whatever the ratio of forward to backward.
    @Test(arguments: shapes)
    func bubbleOfBalancedStages(stages: Int, microBatches: Int) throws {
        let expected = Double(stages - 1) / Double(microBatches + stages - 1)
        for kind in [Schedule.Kind.gpipe, .oneForwardOneBackward] {
            for backward in [1.0, 2.0] {
                let result = try ScheduleSimulation(
                    .training(kind, stages: stages, microBatchCount: microBatches),
                    costs: Self.uniform(stages, backward: backward))
                #expect(abs(result.bubble - expected) < 1e-12)
            }
        }
    }

    /// Forward, recomputation and input gradient cost the same on a frozen base: then the bubble of 8 stages and 16 micro-batches
    /// falls from 30.4% to 22.6%, as only forward and backward, not recomputation, stay on the way through the empty pipeline.
    @Test func recomputationFillsTheBubble() throws {
        let costs = Self.uniform(8)
        let plain = try ScheduleSimulation(.training(.oneForwardOneBackward, stages: 8, microBatchCount: 16), costs: costs)
        let ahead = try ScheduleSimulation(
            .training(.oneForwardOneBackward, stages: 8, microBatchCount: 16, recomputeAhead: true), costs: costs)
        #expect(plain.makespan == 69 && ahead.makespan == 62)
        #expect(abs(plain.bubble - 0.304) < 0.0005)
        #expect(abs(ahead.bubble - 0.226) < 0.0005)
    }

    @Test(arguments: shapes)
    func recomputingAheadNeverCostsTime(stages: Int, microBatches: Int) throws {
        for kind in [Schedule.Kind.gpipe, .oneForwardOneBackward] {
            for seed in 0..<5 {
                let costs = Self.uneven(stages, seed: seed)
                func makespan(_ ahead: Bool) throws -> Double {
                    try ScheduleSimulation(
                        .training(kind, stages: stages, microBatchCount: microBatches, recomputeAhead: ahead), costs: costs
                    ).makespan
                }
                #expect(try makespan(true) <= makespan(false) + 1e-9)
            }
        }
    }

    /// Weight gradients off the way through the pipeline: (p-1)(F+B-W) of bubble instead of (p-1)(F+B+W), as long as there are micro-batches
    /// enough to put off; never more than 1f1b with any group size.
    @Test(arguments: shapes)
    func zeroBubbleIsBelow1F1B(stages: Int, microBatches: Int) throws {
        for inputGradient in [1.0, 2.0] {
            let cost = LayerCost(forward: 1, inputGradient: inputGradient, weightGradient: 1)
            func makespan(_ kind: Schedule.Kind, groupSize: Int? = nil) throws -> Double {
                try ScheduleSimulation(
                    .training(kind, stages: stages, microBatchCount: microBatches, groupSize: groupSize),
                    costs: [LayerCost](repeating: cost, count: stages)
                ).makespan
            }
            let plain = try makespan(.oneForwardOneBackward), moved = try makespan(.zeroBubble)
            if microBatches >= 2 * stages - 1 {
                #expect(abs(moved - (Double(microBatches) * (2 + inputGradient) + Double(stages - 1) * inputGradient)) < 1e-9)
            }
            #expect(stages == 1 || microBatches == 1 ? moved <= plain : moved < plain)
            for groupSize in [1, 2, 4] { #expect(try makespan(.zeroBubble, groupSize: groupSize) <= plain) }
        }
    }

    /// Stage s keeps the operands of at most s weight gradients.
    @Test(arguments: shapes)
    func whatZeroBubbleKeeps(stages: Int, microBatches: Int) {
        let schedule = Schedule.training(.zeroBubble, stages: stages, microBatchCount: microBatches)
        for stage in 0..<stages { #expect(schedule.weightSlotCount(stage: stage) <= min(stage + 1, microBatches)) }
        #expect(schedule.weightSlotCount(stage: 0) == 0)
    }

    /// (p-1)/(vm+p-1) with v equal chunks and a multiple of p micro-batches, at most that of 1f1b with any other number from p on; sound and
    /// ending for any number, with the executor's channels.
    @Test(arguments: shapes, [2, 3])
    func interleavedChunks(_ shape: (Int, Int), chunks: Int) throws {
        let (stages, microBatches) = shape
        guard stages > 1 else { return }
        for ahead in [false, true] {
            let schedule = Schedule.training(
                .interleaved, stages: stages, microBatchCount: microBatches, recomputeAhead: ahead, chunks: chunks)
            let result = try ScheduleSimulation(schedule, costs: Self.uniform(stages * chunks))
            if microBatches >= stages, !ahead {
                func bubble(_ chunks: Int) -> Double { Double(stages - 1) / Double(chunks * microBatches + stages - 1) }
                #expect(result.bubble > bubble(chunks) - 1e-12)
                #expect(result.bubble < bubble(microBatches.isMultiple(of: stages) ? chunks : 1) + 1e-12)
            }
            #expect(result.busy.allSatisfy { abs($0 - Double(3 * chunks * microBatches)) < 1e-9 })
            _ = try ScheduleSimulation(schedule, costs: Self.uneven(stages * chunks, seed: microBatches), transfer: 0.3)
            #expect(result.peakRecomputed.allSatisfy { $0 <= 1 })
        }
        let forward = try ScheduleSimulation(
            .forwardOnly(stages: stages, microBatchCount: microBatches, chunks: chunks), costs: Self.uniform(stages * chunks))
        #expect(forward.peakStash == [Int](repeating: chunks, count: stages))
    }

    @Test func interleavedInText() {
        let schedule = Schedule.training(.interleaved, stages: 2, microBatchCount: 2, chunks: 2)
        #expect(
            schedule.text == """
                0F0 0SEND_F0 0F1 0SEND_F1 0RECV_F0.1 0F0.1 0SEND_F0.1 0RECV_F1.1 0F1.1 0SEND_F1.1 0RECV_B0.1 0B0.1 0SEND_B0.1 0RECV_B1.1 0B1.1 0SEND_B1.1 0RECV_B0 0B0 0RECV_B1 0B1
                1RECV_F0 1F0 1SEND_F0 1RECV_F1 1F1 1SEND_F1 1RECV_F0.1 1F0.1 1B0.1 1SEND_B0.1 1RECV_F1.1 1F1.1 1B1.1 1SEND_B1.1 1RECV_B0 1B0 1SEND_B0 1RECV_B1 1B1 1SEND_B1
                """)
    }

    @Test func messagesTakeTime() throws {
        let schedule = Schedule.training(.oneForwardOneBackward, stages: 2, microBatchCount: 1)
        let result = try ScheduleSimulation(schedule, costs: Self.uniform(2, recompute: 0), transfer: 10)
        #expect(result.makespan == 24)
    }

    // MARK: What must not run

    private func parse(_ lists: [String], microBatches: Int, trains: Bool = true) -> Schedule {
        let actions = lists.enumerated().map { stage, list in
            list.split(separator: " ").map { word -> Action in
                let body = word.drop { $0.isNumber }
                let kind = Action.Kind(rawValue: String(body.reversed().drop { $0.isNumber }.reversed()))!
                return Action(kind, Int(String(body.dropFirst(kind.rawValue.count)))!)
            }
        }
        return Schedule(actions: actions, microBatchCount: microBatches, trains: trains)
    }

    private func fault(_ lists: [String], microBatches: Int, trains: Bool = true, capacity: Int = 4) -> ScheduleError? {
        let schedule = parse(lists, microBatches: microBatches, trains: trains)
        do {
            _ = try ScheduleSimulation(schedule, costs: Self.uniform(schedule.stages), channelCapacity: capacity)
            return nil
        } catch { return error }
    }

    @Test func soundListsPass() {
        #expect(fault(["0F0 0R0 0B0"], microBatches: 1) == nil)
        #expect(fault(["0F1 0F0"], microBatches: 2, trains: false) == nil)
    }

    @Test func eachBrokenRuleIsNamed() {
        #expect(fault([], microBatches: 1) == .empty(stages: 0, microBatches: 1))
        #expect(fault([""], microBatches: 0) == .empty(stages: 1, microBatches: 0))
        #expect(fault(["0F0 0B0 0F1"], microBatches: 2) == .missing(action: "0B1"))
        #expect(fault(["0F0 0F0 0B0"], microBatches: 1) == .repeated(action: "0F0"))
        #expect(fault(["0F0 0W0 0B0"], microBatches: 1) == .tooEarly(action: "0W0", needs: "0B0"))
        #expect(fault(["0F0 0F1 0B0 0B1 0W1 0W0"], microBatches: 2) == .orderMismatch(action: "0W1", expectedMicroBatch: 0))
        #expect(fault(["0F0 0F1 0B0 0B1 0W0"], microBatches: 2) == .orderMismatch(action: "0B1", expectedMicroBatch: 0))
        #expect(fault(["0F0 0B0 0R0"], microBatches: 1) == .tooEarly(action: "0B0", needs: "0R0"))
        #expect(fault(["0B0 0F0"], microBatches: 1) == .tooEarly(action: "0B0", needs: "0F0"))
        #expect(fault(["0F0 0SEND_F0 0B0"], microBatches: 1) == .misplaced(action: "0SEND_F0"))
        #expect(fault(["0F0 0B0 0F1 0B1 0F2"], microBatches: 2) == .misplaced(action: "0F2"))
        #expect(fault(["0F0 0B0"], microBatches: 1, trains: false) == .misplaced(action: "0B0"))
        #expect(fault(["0F0 0F1 0B1 0B0"], microBatches: 2) == .orderMismatch(action: "0B1", expectedMicroBatch: 0))
        #expect(
            fault(["0F0 0SEND_F0 0F1 0SEND_F1", "1F0 1RECV_F0 1RECV_F1 1F1"], microBatches: 2, trains: false)
                == .tooEarly(action: "1F0", needs: "1RECV_F0"))
        #expect(
            fault(["0F0 0SEND_F0 0F1 0SEND_F1", "1RECV_F1 1F1 1RECV_F0 1F0"], microBatches: 2, trains: false)
                == .orderMismatch(action: "1RECV_F1", expectedMicroBatch: 0))
        #expect(
            fault(["0F0 0F1 0SEND_F1 0SEND_F0", "1RECV_F1 1F1 1RECV_F0 1F0"], microBatches: 2, trains: false)
                == .orderMismatch(action: "0SEND_F1", expectedMicroBatch: 0))
        #expect(
            fault(["0F0 0F1 0SEND_F0 0SEND_F1", "1RECV_F0 1F0"], microBatches: 2, trains: false) == .missing(action: "1F1"))
    }

    /// Stage 0 waits for the first gradient, stage 1 for the second activation.
    @Test func twoStagesThatWaitForEachOther() {
        let fault = fault(
            [
                "0F0 0SEND_F0 0RECV_B0 0B0 0F1 0SEND_F1 0RECV_B1 0B1",
                "1RECV_F0 1F0 1RECV_F1 1F1 1B0 1SEND_B0 1B1 1SEND_B1",
            ], microBatches: 2)
        #expect(fault == .deadlock(waiting: ["0RECV_B0", "1RECV_F1"]))
        #expect(fault?.description == "the pipeline schedule comes to a standstill at 0RECV_B0, 1RECV_F1")
    }

    /// More outputs at once than the channel has buffers.
    @Test func channelsAreFinite() {
        let lists = ["0F0 0F1 0F2 0SEND_F0 0SEND_F1 0SEND_F2", "1RECV_F0 1F0 1RECV_F1 1F1 1RECV_F2 1F2"]
        #expect(fault(lists, microBatches: 3, trains: false, capacity: 3) == nil)
        #expect(
            fault(lists, microBatches: 3, trains: false, capacity: 2) == .deadlock(waiting: ["0F2", "1RECV_F0"]))
    }
}
