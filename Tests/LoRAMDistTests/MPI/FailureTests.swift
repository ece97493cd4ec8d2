import LoRAMDist
import TestSupport
import Testing

@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct FailureTests {
    /// The other ranks wait for a message; without the abort their watchdogs would end the job, with 75.
    @Test(arguments: [(2, 0), (2, 1), (3, 1)])
    func aFailingRankEndsTheJobWithItsLineAndExitCode(ranks: Int, failing: Int) throws {
        let outcome = try runScenario("throws", [failing], ranks: ranks)
        #expect(outcome.exitCode == 65)
        let line = "rank \(failing) on \(MPIRuntime.hostName()): shard 3 is cut off"
        #expect(outcome.errorLines(containing: "shard 3") == [line], "\(outcome.standardError)")
    }

    @Test func aJobOfOneRankPrintsTheLineAlone() throws {
        let outcome = try runScenario("throws", [0], ranks: 0)
        #expect(outcome.exitCode == 65)
        #expect(outcome.standardError == "shard 3 is cut off\n")
    }

    @Test(arguments: [0, 1, 3])
    func aCauseThatManyRanksMeetIsReportedOnce(first: Int) throws {
        let outcome = try runScenario("together", [first], ranks: 4)
        #expect(outcome.exitCode == 65)
        #expect(
            outcome.errorLines(containing: "no layers") == ["rank \(first) on \(MPIRuntime.hostName()): the model has no layers"],
            "\(outcome.standardError)")
    }

    @Test func allGoesWellTogether() throws {
        try expectScenario("together", [4], ranks: 4)
    }

    @Test func ranksWithoutWorkLeaveTheirCoresAlone() throws {
        try expectScenario("on-root", [2], ranks: 3)
    }

    @Test func aFailureOfTheRootEndsAll() throws {
        let outcome = try runScenario("root-throws", ranks: 3)
        #expect(outcome.exitCode == 65)
        #expect(outcome.errorLines(containing: "no such directory").count == 1, "\(outcome.standardError)")
    }

    @Test func anUnknownScenarioIsAUsageError() throws {
        #expect(try runScenario("no-such", ranks: 0).exitCode == 64)
    }
}
