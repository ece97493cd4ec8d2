import Foundation
import LoRAMEngine
import TestSupport
import Testing

/// `evaluate` layer by layer.
@Suite(.serialized) struct StreamedEvaluationTests {
    /// Perplexity and a task in one reading, on plain, packed and 4-bit weights, alone and on two ranks.
    @Test func sameReportAsResident() throws {
        let project = try Project()
        let base = try project.writeCheckpoint("base"), packed = project.path("packed"), quantized = project.path("quantized")
        #expect(try CommandRun.run(["pack", base, packed]).exitCode == 0)
        #expect(try CommandRun.run(["quantize", "--model", base, "--output", quantized]).exitCode == 0)
        let task = try project.write(
            "piqa.jsonl", (0..<9).map { #"{"goal": "Ada finds \#($0) apples", "sol1": "Mei hides them.", "sol2": "Noor", "label": \#($0 % 2)}"# })
        for (model, adapter) in [(base, true), (packed, false), (quantized, true)] {
            let command = [
                "evaluate", "--model", model, "--perplexity", project.texts, "--task", "piqa=\(task)", "--shots", "1", "--length", "64", "--json",
                "--set", "batch.micro=2",
            ] + (adapter ? ["--adapter", try Self.adapter(project)] : [])
            let resident = try CommandRun.run(command)
            #expect(resident.exitCode == 0, "\(resident.standardError)")
            for ranks in MPIRun.isAvailable ? [0, 2] : [0] {
                let streamed = try CommandRun.run(command + ["--stream"], ranks: ranks)
                #expect(streamed.standardOutput == resident.standardOutput, "\(model), \(ranks) ranks: \(streamed.standardError)")
                #expect(streamed.standardError.contains("layer by layer"))
            }
        }
    }

    /// Random factors on every site.
    private static func adapter(_ project: Project) throws -> String {
        let path = project.path("adapter"), config = Project.config()
        guard !FilePath.exists(path) else { return path }
        let lora = LoRAConfig(rank: 4, alpha: 8, targets: LinearSite.allCases)
        let tensors = ModelStage.trainedTensors(config: config, range: .whole(config), training: .lora(lora)).map { (name: $0.name, shape: $0.shape) }
        let writer = try AdapterWriter(path: path, lora: lora, tensors: tensors, baseModel: "base")
        for (index, tensor) in tensors.enumerated() {
            let values = (0..<tensor.shape.reduce(1, *)).map { 0.05 * Float(Int(RepeatableValues.bits(index, $0) % 2001) - 1000) / 1000 }
            try writer.append(values, count: values.count, to: tensor.name)
        }
        try writer.finish()
        return path
    }

    /// A model that needs more than it may take is streamed unasked; the peak stays where it is when the model gets four times as deep.
    @Test func memoryDoesNotGrowWithDepth() throws {
        let project = try Project(layers: 4, hidden: 512)
        var peaks: [Double] = []
        for layers in [5, 20] {
            let model = try project.writeCheckpoint("deep-\(layers)", Project.config(layers: layers, hidden: 512))
            let command = ["evaluate", "--model", model, "--perplexity", project.texts, "--length", "64", "--json", "--set", "parallel.threads=1"]
            // 7.5 MiB a layer: five of them and what all needs fit, twenty do not.
            let outcome = try CommandRun.run(command + ["--memory", "0.12"] + (layers == 5 ? ["--stream"] : []))
            #expect(outcome.exitCode == 0, "\(outcome.standardError)")
            let peak = try #require(outcome.standardError.firstMatch(of: /(\d+) MiB at the peak/), "\(outcome.standardError)")
            peaks.append(try #require(Double(peak.1)))
            #expect(try CommandRun.run(command).standardOutput == outcome.standardOutput)
        }
        #expect(abs(peaks[1] - peaks[0]) < 6, "\(peaks)")
        #expect(peaks[1] < 0.12 * 1024)
    }

    @Test func mistakesAreOneLine() throws {
        let project = try Project()
        let model = try project.writeCheckpoint("base")
        for (more, status, word) in [
            (["--stream", "--set", "parallel.stages=2"], Int32(64), "parallel.stages"), (["--stream", "--memory", "0.001"], 64, "two layers"),
            (["--memory", "0"], 64, "--memory"), (["--stream", "--memory", "0.3", "--spill", project.path("none")], 0, "layer by layer"),
        ] {
            let outcome = try CommandRun.run(["evaluate", "--model", model, "--perplexity", project.texts, "--length", "64"] + more)
            #expect(outcome.exitCode == status && outcome.standardError.contains(word), "\(outcome.standardError)")
        }
    }

    @Test func planForetellsTheTime() throws {
        let outcome = try CommandRun.run([
            "plan", "--model", "llama-2-70b", "--ratio", "0", "--gflops", "50", "--cores", "64", "--score-tokens", "100000", "--disk", "2", "--memory", "64", "--json",
        ])
        #expect(outcome.exitCode == 0, "\(outcome.standardError)")
        let scoring = try #require(JSONValue.parse(outcome.standardOutput)["scoring"])
        #expect(scoring["read_bytes"]?.intValue ?? 0 > 137_000_000_000 && scoring["read_seconds"]?.doubleValue ?? 0 > 68)
        let compute = try #require(scoring["compute_seconds"]?.doubleValue), total = try #require(scoring["seconds"]?.doubleValue)
        // 2 operations a parameter and token at 3.2 TFLOP/s, and attention.
        #expect((4300...4700).contains(compute) && total > compute && total < compute + 2)
        #expect(scoring["spilled_bytes"] == 0 && scoring["memory_bytes"]?.intValue ?? .max < 16 << 30)
    }
}
