import Foundation
import LoRAMDist

let collectiveScenarios = [
    // Every collective against its definition.
    Scenario(name: "collectives") { runtime, _ in
        let world = runtime.world
        let rank = world.rank
        let size = world.size
        for root in 0..<size {
            let message = Data("from \(root)".utf8) + Data(count: root * 1_000)
            try require(try world.broadcast(rank == root ? message : nil, root: root) == message, "broadcast from \(root)")
        }
        try require(try world.broadcast(rank == 0 ? Data() : nil, root: 0) == Data(), "empty broadcast")

        let own = Data(repeating: UInt8(rank), count: rank * 3)
        let all = (0..<size).map { Data(repeating: UInt8($0), count: $0 * 3) }
        let gathered = try world.gather(own, root: size - 1)
        try require(gathered == (rank == size - 1 ? all : nil), "gather")
        try require(try world.allGather(own) == all, "all-gather of data")
        try require(
            try world.allGather([Int64(rank), -Int64(rank)]) == (0..<size).flatMap { [Int64($0), -Int64($0)] }, "all-gather")

        try require(try world.allReduce(Int64(rank), .sum) == Int64(size * (size - 1) / 2), "sum of Int64")
        try require(try world.allReduce(Int64(-rank), .max) == 0, "maximum of Int64")
        try require(try world.allReduce(Double(rank) * 0.5, .max) == Double(size - 1) * 0.5, "maximum of Double")
        try require(try world.allReduce(Float(1), .sum) == Float(size), "sum of Float")

        try require(try runtime.world.splitByNode().size == size, "all ranks of this job share a node")
        guard let half = try world.split(color: rank % 2, key: -rank) else { throw ScenarioFailure("no group") }
        let members = (0..<size).filter { $0 % 2 == rank % 2 }
        try require(half.size == members.count && half.worldRanks == members.reversed(), "split: \(half.worldRanks)")
        try require(try half.allReduce(Int64(rank), .sum) == Int64(members.reduce(0, +)), "sum within a group")
        try half.free()
        try require(try world.split(color: rank == 0 ? nil : 1, key: 0) == nil || rank > 0, "rank 0 belongs to no group")
        try world.barrier()
        print("rank \(rank) of \(size)")
    },
    // Rank 0 works for a while; the others must not use their cores.
    Scenario(name: "on-root") { runtime, arguments in
        let seconds = Double(try arguments.integer(0))
        try runtime.world.onRoot { usleep(UInt32(seconds * 1e6)) }
        let before = clock()
        try runtime.world.onRoot { usleep(UInt32(seconds * 1e6)) }
        let used = Double(clock() - before) / Double(CLOCKS_PER_SEC)
        try require(used < seconds / 2, "rank \(runtime.world.rank) used \(used) s of \(seconds) s")
    },
    // The grid's groups, checked by what their ranks sum up to.
    Scenario(name: "grid") { runtime, arguments in
        let dims = try ParallelDims(
            stages: try arguments.integer(0), replicas: try arguments.integer(1),
            hasDedicatedCoordinator: try arguments.integer(2) == 1)
        let rank = runtime.world.rank, isCoordinator = dims.hasDedicatedCoordinator && rank == dims.coordinatorRank
        guard let world = try runtime.world.split(color: isCoordinator ? nil : 0, key: rank) else { return }
        let grid = try ProcessGrid(dims: dims, world: world), seat = grid.seat
        try require(dims.rank(stage: seat.position.stage, replica: seat.position.replica) == rank, "position")
        try require(seat.pipeline.rank == seat.position.stage && seat.pipeline.size == dims.stages, "pipeline")
        try require(seat.replicas.rank == seat.position.replica && seat.replicas.size == dims.replicas, "replicas")
        try require(seat.training.size == dims.computeRanks, "training group")
        try require(
            seat.pipeline.worldRanks == (0..<dims.stages).map { dims.rank(stage: $0, replica: seat.position.replica) },
            "members of the pipeline")
        try require(
            seat.replicas.worldRanks == (0..<dims.replicas).map { dims.rank(stage: seat.position.stage, replica: $0) },
            "members of the replica group")
        try grid.free()
    },
]
