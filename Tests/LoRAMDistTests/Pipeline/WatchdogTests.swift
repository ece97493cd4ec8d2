import LoRAMDist
import TestSupport
import Testing

struct WatchdogTests {
    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"), arguments: [0, 2])
    func aStandstillEndsTheJobWith75(ranks: Int) throws {
        let outcome = try runScenario("watchdog", [400], ranks: ranks)
        #expect(outcome.exitCode == 75)
        let count = max(1, ranks)
        #expect(
            Set(outcome.outputLines) == Set((0..<count).map { "rank \($0) was left alone while it moved" }))
        let lines = outcome.errorLines(containing: "nothing has moved for 0.4 s")
        #expect(!lines.isEmpty, "\(outcome.standardError)")
        for line in lines {
            #expect(line.contains("on \(MPIRuntime.hostName())"))
            #expect(line.contains("last action: waiting for the activation of micro-batch 2 (rank \(count - 1))"))
        }
    }

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func aStoppedWatchdogEndsNothing() throws {
        try expectScenario("watchdog-stopped", ranks: 0)
    }

    @Test func theMarkerKeepsTheLastAction() {
        let marker = ProgressMarker()
        #expect(marker.lastAction.label == "starting")
        marker.mark("forward", microBatch: 0)
        #expect(marker.lastAction.microBatch == 0 && marker.lastAction.peer == nil)
        marker.mark("waiting for the gradient", microBatch: 7, peer: 0)
        marker.touch()
        let action = marker.lastAction
        #expect(action.label == "waiting for the gradient" && action.microBatch == 7 && action.peer == 0)
        #expect(action.description.hasPrefix("waiting for the gradient of micro-batch 7 (rank 0), begun 0 s ago"))
        marker.mark("saving the checkpoint")
        #expect(marker.lastAction.microBatch == nil && marker.lastAction.peer == nil)
    }
}
