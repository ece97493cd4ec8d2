import LoRAMEngine
import TestSupport
import Testing

/// Everything an update needs is allocated before the first one.
@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct PeakMemoryTests {
    @Test(arguments: [GridVariant.plain, GridVariant(stages: 2, replicas: 1), GridVariant(stages: 1, replicas: 2)])
    func peakMemoryIsFlat(_ grid: GridVariant) throws {
        let project = try Project()
        let output = project.path("run")
        let outcome = try grid.run(
            ["train"]
                + settings([
                    ("model", project.model), ("synthetic_seed", "5"), ("output", output), ("data.train", "[{path: \(project.tokens)}]"),
                    ("data.length", "24"), ("batch.global", "8"), ("batch.micro", "2"), ("schedule.steps", "200"), ("checkpoint.every", "1000"),
                ]))
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let peaks = try RunOutput(path: output).numbers("peak_rss_mib")
        #expect(peaks.count == 200)
        // Some pages of slack for the allocator, through which rows and log lines pass; an update that kept 2 KiB would show.
        #expect(peaks[199] - peaks[1] < 0.25, "from \(peaks[1]) to \(peaks[199]) MiB")
    }
}
