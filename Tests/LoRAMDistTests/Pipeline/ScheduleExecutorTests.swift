import LoRAMDist
import TestSupport
import Testing

@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct ScheduleExecutorTests {
    /// Losses and gradients of the toy model are exactly those of one process, for every schedule.
    @Test(arguments: [1, 2, 4], Schedule.Kind.allCases)
    func toyModelIsExact(ranks: Int, kind: Schedule.Kind) throws {
        for ahead in [0, 1] {
            try expectScenario("pipeline", [kind.rawValue, ahead, 9, 10_000, 3], ranks: ranks)
        }
    }

    /// 8 MB a message, activations and gradients crossing.
    @Test(arguments: Schedule.Kind.allCases)
    func largeMessagesInBothDirections(kind: Schedule.Kind) throws {
        try expectScenario("pipeline", [kind.rawValue, 1, 6, 2_000_000, 2], ranks: 4)
    }

    @Test func largeMessagesOverTCP() throws {
        try expectScenario(
            "pipeline", ["1f1b", 1, 6, 1_000_000, 2], ranks: 3, options: ["--mca", "btl", "tcp,self"])
    }

    /// Fewer micro-batches than stages.
    @Test(arguments: [1, 2])
    func shortSteps(microBatches: Int) throws {
        try expectScenario("pipeline", ["1f1b", 1, microBatches, 1_000, 3], ranks: 4)
    }

    /// Waits of ranks that do not compete for cores add up to the bubble that the simulator, and so `plan`, foretells.
    @Test(arguments: [2, 4], [0, 1])
    func bubbleIsTheSimulated(ranks: Int, ahead: Int) throws {
        try expectScenario("bubble", [ahead, 6], ranks: ranks)
    }

    @Test(arguments: [1, 3])
    func forwardPassesAlone(ranks: Int) throws {
        try expectScenario("forward-only", [7, 20_000], ranks: ranks)
    }

    @Test func aStepAllocatesNothing() throws {
        try expectScenario("steady", ranks: 2)
    }

    @Test func aScheduleForAnotherPipelineIsRefused() throws {
        let outcome = try runScenario("wrong-stages", ranks: 0)
        #expect(outcome.exitCode == 1)
        #expect(outcome.standardError == "the pipeline schedule has 2 stages and the pipeline 1 ranks\n")
    }

    /// No trap about messages under way covers up the cause.
    @Test func aStageThatFailsEndsTheJobWithItsLine() throws {
        let outcome = try runScenario("stage-throws", ranks: 3)
        #expect(outcome.exitCode == 65)
        #expect(
            outcome.errorLines(containing: "not finite") == [
                "rank 2 on \(MPIRuntime.hostName()): loss of micro-batch 1 is not finite"
            ], "\(outcome.standardError)")
    }
}
