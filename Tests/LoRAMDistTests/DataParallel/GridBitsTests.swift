import LoRAMDist
import TestSupport
import Testing

/// Executor, gradient exchange, loss and norm together: a model whose gradients round, trained on every grid.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct GridBitsTests {
    @Test(arguments: Schedule.Kind.allCases)
    func sameBitsOnEveryGridAndSchedule(kind: Schedule.Kind) throws {
        let reference = try expectScenario("train", [1, 1, "1f1b", 0, 16], ranks: 1)
        // Three updates and four layers, each layer once: the replicas agree.
        #expect(reference.outputLines.count == 7)
        for (stages, replicas) in [(2, 1), (4, 1), (1, 2), (2, 2), (1, 8), (4, 2)] {
            for ahead in [0, 1] {
                let outcome = try expectScenario(
                    "train", [stages, replicas, kind.rawValue, ahead, 16], ranks: stages * replicas)
                #expect(outcome.standardOutput == reference.standardOutput, "\(stages) x \(replicas), ahead \(ahead)")
            }
        }
    }

    /// 12 micro-batches make 4 groups.
    @Test func aBatchThatIsNoPowerOfTwo() throws {
        let reference = try expectScenario("train", [1, 1, "1f1b", 0, 12], ranks: 0)
        for (stages, replicas) in [(3, 1), (2, 4)] {
            let outcome = try expectScenario("train", [stages, replicas, "1f1b", 1, 12], ranks: stages * replicas)
            #expect(outcome.standardOutput == reference.standardOutput, "\(stages) x \(replicas)")
        }
    }

    /// A stage without a layer and without a gradient, as when the head is alone on the last one.
    @Test func aStageOfTheHeadAlone() throws {
        let reference = try expectScenario("train", [1, 1, "1f1b", 0, 8], ranks: 1)
        let outcome = try expectScenario("train", [5, 1, "1f1b", 1, 8], ranks: 5)
        #expect(outcome.standardOutput == reference.standardOutput)
    }
}
