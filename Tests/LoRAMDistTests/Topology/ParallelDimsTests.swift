import LoRAMDist
import TestSupport
import Testing

struct ParallelDimsTests {
    @Test(arguments: [(1, 1, false), (4, 2, false), (3, 5, true), (1, 7, true)])
    func ranksAndPositionsAreInverse(stages: Int, replicas: Int, dedicated: Bool) throws {
        let dims = try ParallelDims(stages: stages, replicas: replicas, hasDedicatedCoordinator: dedicated)
        var seen: [Int] = []
        for stage in 0..<stages {
            for replica in 0..<replicas {
                let rank = dims.rank(stage: stage, replica: replica)
                #expect(dims.position(ofRank: rank) == ParallelDims.Position(stage: stage, replica: replica))
                seen.append(rank)
            }
        }
        // Replica fastest: neighbours are replicas of one stage.
        #expect(seen == Array(0..<stages * replicas))
        #expect(dims.worldSize == stages * replicas + (dedicated ? 1 : 0))
        #expect(dims.coordinatorRank == (dedicated ? dims.worldSize - 1 : 0))
        #expect((dims.position(ofRank: dims.coordinatorRank) == nil) == dedicated)
    }

    @Test func aWrongNumberOfRanksIsToldWhichFits() throws {
        let dims = try ParallelDims(stages: 2, replicas: 2)
        try dims.validate(worldSize: 4)
        let error = try #require(throws: TopologyError.self) { try dims.validate(worldSize: 3) }
        #expect(error == .worldSizeMismatch(stages: 2, replicas: 2, dedicated: false, found: 3))
        #expect(error.description.contains("mpirun -np 4 (or -np 5 with parallel.coordinator: dedicated)"))
        #expect(error.exitCode == .usage)

        let dedicated = try ParallelDims(stages: 2, replicas: 2, hasDedicatedCoordinator: true)
        let other = try #require(throws: TopologyError.self) { try dedicated.validate(worldSize: 4) }
        #expect(other.description.contains("need 5 ranks, found 4: start with mpirun -np 5,"))
    }

    @Test func sizesMustBePositive() {
        #expect(throws: TopologyError.notPositive(key: "parallel.stages", found: 0)) {
            try ParallelDims(stages: 0, replicas: 1)
        }
        #expect(throws: TopologyError.notPositive(key: "parallel.replicas", found: -2)) {
            try ParallelDims(stages: 1, replicas: -2)
        }
    }

    private func resolve(
        _ stages: Int?, _ replicas: Int?, ranks: Int, dedicated: Bool = false, layers: Int = 8,
        fits: (ParallelDims) -> Bool = { _ in true }
    ) throws -> [Int] {
        let dims = try ParallelDims.resolve(
            stages: stages, replicas: replicas, hasDedicatedCoordinator: dedicated, worldSize: ranks, layers: layers,
            allowsReplicas: { $0.nonzeroBitCount == 1 && $0 <= 8 }, fits: fits)
        return [dims.stages, dims.replicas]
    }

    @Test func openSizesFollowFromTheRanks() throws {
        #expect(try resolve(nil, nil, ranks: 1) == [1, 1])
        #expect(try resolve(nil, nil, ranks: 4) == [1, 4])
        #expect(try resolve(nil, nil, ranks: 4, fits: { $0.stages >= 2 }) == [2, 2])
        #expect(try resolve(nil, nil, ranks: 6) == [3, 2])
        #expect(try resolve(nil, nil, ranks: 5, dedicated: true) == [1, 4])
        #expect(try resolve(nil, nil, ranks: 16) == [2, 8])
        #expect(try resolve(4, nil, ranks: 8) == [4, 2])
        #expect(try resolve(nil, 2, ranks: 8) == [4, 2])
        #expect(try resolve(2, 4, ranks: 8) == [2, 4])
    }

    @Test func whatCannotBeResolvedSaysWhatWouldFit() throws {
        let given = try #require(throws: TopologyError.self) { try resolve(3, nil, ranks: 7) }
        #expect(given.description.contains("mpirun -np 6 or 9"))
        let dedicated = try #require(throws: TopologyError.self) { try resolve(4, nil, ranks: 3, dedicated: true) }
        #expect(dedicated.description.contains("mpirun -np 5,"))
        #expect(throws: TopologyError.tooManyStages(stages: 9, layers: 8)) { try resolve(9, nil, ranks: 9) }
        #expect(throws: TopologyError.tooManyStages(stages: 9, layers: 8)) { try resolve(nil, 1, ranks: 9) }
        let memory = try #require(throws: TopologyError.self) { try resolve(nil, nil, ranks: 4, fits: { _ in false }) }
        #expect(memory.description.contains("memory"))
        let groups = try #require(throws: TopologyError.self) { try resolve(nil, nil, ranks: 11) }
        #expect(groups.description.contains("gradient groups"))
    }

    @Test(
        .enabled(if: MPIRun.isAvailable, "mpirun is not installed"),
        arguments: [[1, 1, 0], [2, 2, 0], [2, 2, 1], [3, 1, 1], [1, 4, 0]])
    func communicatorsOfTheGrid(shape: [Int]) throws {
        try expectScenario("grid", shape, ranks: shape[0] * shape[1] + shape[2])
    }

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func aGridOfAnotherSizeEndsInOneLineAndExit64() throws {
        let outcome = try runScenario("grid", [3, 2, 0], ranks: 0)
        #expect(outcome.exitCode == 64)
        #expect(outcome.standardError.contains("mpirun -np 6"))
    }
}
