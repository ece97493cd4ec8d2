import Foundation
import LoRAMDist

let failureScenarios = [
    // The given rank throws; the others wait for a message that never comes.
    Scenario(name: "throws") { runtime, arguments in
        let failing = try arguments.integer(0)
        if runtime.world.rank == failing { throw ScenarioFailure("shard 3 is cut off", exitCode: .badInput) }
        let marker = ProgressMarker()
        _ = Watchdog(marker: marker, limitSeconds: 120, rank: runtime.world.rank, host: runtime.host)
        var value: Float = 0
        try runtime.world.receive(into: &value, count: 1, from: failing, tag: 1).wait()
    },
    // All ranks from the given one on meet the same cause in a step that they do together.
    Scenario(name: "together") { runtime, arguments in
        let first = try arguments.integer(0)
        let value = try runtime.world.together { runtime.world.rank }
        try require(value == runtime.world.rank, "the result of the body")
        try runtime.world.together {
            if runtime.world.rank >= first { throw ScenarioFailure("the model has no layers", exitCode: .badInput) }
        }
    },
    // Rank 0 fails in work that it does alone.
    Scenario(name: "root-throws") { runtime, _ in
        try runtime.world.onRoot { throw ScenarioFailure("no such directory", exitCode: .badInput) }
    },
    // Moves for three times the watchdog's limit, then waits for a message that never comes.
    Scenario(name: "watchdog") { runtime, arguments in
        let limit = Double(try arguments.integer(0)) / 1_000
        let world = runtime.world
        let marker = ProgressMarker()
        _ = Watchdog(marker: marker, limitSeconds: limit, rank: world.rank, host: runtime.host)
        marker.mark("forward", microBatch: 1)
        for _ in 0..<30 {
            usleep(UInt32(limit * 1e5))
            marker.touch()
        }
        print("rank \(world.rank) was left alone while it moved")
        fflush(nil)
        try world.barrier()
        marker.mark("waiting for the activation", microBatch: 2, peer: world.size - 1)
        var value: Float = 0
        try world.receive(into: &value, count: 1, from: world.size - 1, tag: 1).wait()
    },
    // A watchdog that is stopped in time ends nothing.
    Scenario(name: "watchdog-stopped") { runtime, _ in
        let watchdog = Watchdog(
            marker: ProgressMarker(), limitSeconds: 0.4, rank: runtime.world.rank, host: runtime.host)
        watchdog.setLimit(seconds: 60)
        usleep(900_000)
        watchdog.setLimit(seconds: 0.5)
        watchdog.stop()
        usleep(1_200_000)
    },
]
