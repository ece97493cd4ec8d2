import LoRAMDist
import TestSupport
import Testing

struct GradientGroupsTests {
    private func groups(
        _ global: Int, _ micro: Int, requested: Int = 8, replicas: Int = 1, mode: ReductionMode = .reproducible
    ) throws -> GradientGroups {
        try GradientGroups(globalBatch: global, microBatch: micro, requestedGroups: requested, replicas: replicas, mode: mode)
    }

    @Test func theLargestPowerOfTwoThatDividesTheMicroBatches() throws {
        #expect(try groups(128, 4).groupCount == 8)
        #expect(try groups(128, 4, requested: 6).groupCount == 4)
        #expect(try groups(128, 4, requested: 1).groupCount == 1)
        #expect(try groups(128, 4, requested: 1_000).groupCount == 32)
        #expect(try groups(12, 1).groupCount == 4)
        #expect(try groups(7, 1).groupCount == 1)
        #expect(try groups(4, 1).groupCount == 4)
    }

    @Test func replicasShareThem() throws {
        for replicas in [1, 2, 4, 8] {
            let groups = try groups(128, 4, replicas: replicas)
            #expect(groups.groupsPerReplica == 8 / replicas)
            #expect((0..<replicas).flatMap { Array(groups.microBatches(replica: $0)) } == Array(0..<32))
            for replica in 0..<replicas {
                let ends = (0..<32 / replicas).filter { groups.endsGroup(localMicroBatch: $0, replica: replica) }
                #expect(ends == (1...8 / replicas).map { $0 * 4 - 1 })
            }
        }
    }

    @Test func fastModeTakesAnyNumberOfReplicas() throws {
        let groups = try groups(128, 4, replicas: 5, mode: .fast)
        #expect((0..<5).map { groups.microBatches(replica: $0).count } == [7, 7, 6, 6, 6])
        #expect((0..<5).flatMap { Array(groups.microBatches(replica: $0)) } == Array(0..<32))
        #expect(groups.groupsPerReplica == 1)
        #expect((0..<7).filter { groups.endsGroup(localMicroBatch: $0, replica: 0) } == [6])
        #expect((0..<6).filter { groups.endsGroup(localMicroBatch: $0, replica: 4) } == [5])
    }

    @Test func whatCannotBeShared() throws {
        let error = try #require(throws: GradientGroupsError.self) { try groups(6, 1, replicas: 4) }
        #expect(error == .replicasDoNotShareGroups(replicas: 4, groups: 2, microBatches: 6))
        #expect(error.description.contains("parallel.reduction: fast"))
        #expect(error.exitCode == .usage)
        #expect(throws: GradientGroupsError.replicasDoNotShareGroups(replicas: 3, groups: 8, microBatches: 24)) {
            try groups(24, 1, replicas: 3)
        }
        #expect(throws: GradientGroupsError.notDivisible(global: 10, micro: 4)) { try groups(10, 4) }
        #expect(throws: GradientGroupsError.tooManyReplicas(replicas: 3, microBatches: 2)) {
            try groups(8, 4, replicas: 3, mode: .fast)
        }
        #expect(throws: GradientGroupsError.notPositive(key: "batch.global", found: 0)) { try groups(0, 4) }
        #expect(throws: GradientGroupsError.notPositive(key: "batch.micro", found: -1)) { try groups(4, -1) }
        #expect(throws: GradientGroupsError.notPositive(key: "parallel.groups", found: 0)) { try groups(4, 1, requested: 0) }
        #expect(throws: GradientGroupsError.notPositive(key: "parallel.replicas", found: 0)) { try groups(4, 1, replicas: 0) }
    }

    @Test func sumsFollowTheTree() throws {
        let values = (0..<12).map { RepeatableValues.double(3, $0) }
        func group(_ index: Int) -> Double { (0.0 + values[3 * index] + values[3 * index + 1]) + values[3 * index + 2] }
        let expected = (group(0) + group(1)) + (group(2) + group(3))
        #expect(try groups(12, 1).sum(values) == expected)
    }
}
