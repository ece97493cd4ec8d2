import Foundation
import LoRAMDist
import LoRAMEngine
import TestSupport
import Testing

@Suite struct RunDirectoryTests {
    let home: TemporaryDirectory
    var path: String { home.path("runs/a") }

    init() throws {
        home = try TemporaryDirectory()
    }

    func row(_ step: Int, _ phase: Recipe.Phase = .train, loss: Double? = 2.5) -> MetricsRow {
        MetricsRow(
            step: step, phase: phase, loss: loss, learningRate: 1e-4, gradientNorm: 0.5, tokenCount: 10, tokensPerSecond: 3, stepSeconds: 2,
            waitSeconds: 0.1, slowestRank: 1, majorPageFaultCount: 0, peakResidentMiB: 100.5)
    }

    func steps(_ phase: Recipe.Phase) throws -> [Int] {
        try String(decoding: FileSystem.read(RunPaths(path).metrics), as: UTF8.self).split(separator: "\n")
            .map { try JSONValue.parse(String($0)) }.filter { $0["phase"] == .string(phase.rawValue) }.map { $0["step"]!.intValue! }
    }

    @Test func aNewRunIsCreated() throws {
        let recipe = try Recipe.load(yaml: "lora: {rank: 4}")
        let run = try RunDirectory(path + "//", phase: .train, recipe: recipe, resume: .never)
        #expect(run.resumed == nil && run.paths.run == path)
        #expect(try Recipe.load(file: run.paths.recipe) == recipe)
        #expect(try FilePath.names(inDirectory: path) == ["log.txt", "metrics.jsonl", "recipe.resolved.yaml", "tensorboard"])
    }

    @Test func aRunInUseIsRefused() throws {
        let recipe = Recipe()
        let run = try RunDirectory(path, phase: .train, recipe: recipe, resume: .never)
        // Nothing has happened yet: the same command may be given again.
        _ = try RunDirectory(path, phase: .train, recipe: recipe, resume: .never)
        try run.metrics.append(row(1))
        #expect { try RunDirectory(path, phase: .train, recipe: recipe, resume: .never) } throws: { error in
            guard case .inUse(path, .train, let found)? = error as? RunError else { return false }
            return found.contains("step 1") && (error as? RunError)?.exitCode == .badInput
        }
        #expect(try steps(.train) == [1])
        // Another phase has not begun there.
        _ = try RunDirectory(path, phase: .align, recipe: recipe, resume: .never)
        #expect(try steps(.train) == [1])
    }

    @Test(arguments: ["adapter", "adapter-pruned"])
    func finishedTrainingIsInUse(result: String) throws {
        try FileSystem.createDirectory("\(path)/\(result)")
        #expect(throws: RunError.self) { try RunDirectory(path, phase: .train, recipe: Recipe(), resume: .never) }
        _ = try RunDirectory(path, phase: .align, recipe: Recipe(), resume: .never)
    }

    @Test func phasesOutputsAreNotInUse() throws {
        for name in ["pruned", "aligned", "quantized"] { try FileSystem.createDirectory("\(path)/\(name)") }
        _ = try RunDirectory(path, phase: .train, recipe: Recipe(), resume: .never)
        #expect(throws: RunError.self) { try RunDirectory(path, phase: .align, recipe: Recipe(), resume: .never) }
    }

    @Test func aCommitIsInUse() throws {
        try StateFixture().commit(run: path, step: 5)
        #expect(throws: RunError.self) { try RunDirectory(path, phase: .train, recipe: Recipe(), resume: .never) }
        // Another phase would push it out.
        #expect(throws: RunError.unfinished(path: path, phase: .align, other: .train, step: 5)) {
            try RunDirectory(path, phase: .align, recipe: Recipe(), resume: .auto)
        }
        try FileSystem.createDirectory("\(path)/adapter")
        _ = try RunDirectory(path, phase: .align, recipe: Recipe(), resume: .never)
    }

    @Test func resumeNeedsACommitAutoDoesNot() throws {
        #expect(throws: RunError.noCommit(path: path, phase: .train)) {
            try RunDirectory(path, phase: .train, recipe: Recipe(), resume: .required)
        }
        #expect(!FilePath.exists(path))
        let run = try RunDirectory(path, phase: .train, recipe: Recipe(), resume: .auto)
        #expect(run.resumed == nil)
        try run.metrics.append(row(1))
        try run.metrics.append(EvaluationRow(step: 0, phase: .train, values: [("a", 1)]))
        #expect(throws: RunError.self) { try RunDirectory(path, phase: .train, recipe: Recipe(), resume: .required) }
        #expect(try steps(.train) == [1, 0])
        #expect(try RunDirectory(path, phase: .train, recipe: Recipe(), resume: .auto).resumed == nil)
        #expect(try steps(.train).isEmpty)
    }

    @Test func resumeCutsWhatIsBeyondTheCommit() throws {
        let run = try RunDirectory(path, phase: .train, recipe: Recipe(), resume: .never)
        for step in 1...3 { try run.metrics.append(row(step, .align)) }
        try run.metrics.append(row(1))
        try run.metrics.append(row(2))
        try run.metrics.append(EvaluationRow(step: 2, phase: .train, values: [("alpaca", 1.25)]))
        try run.metrics.append(row(3))
        try run.metrics.append(EvaluationRow(step: 3, phase: .train, values: [("alpaca", 1.5)]))
        let file = try #require(FileHandle(forWritingAtPath: run.paths.metrics))
        try file.seekToEnd()
        try file.write(contentsOf: Data("{\"step\": 4, \"phase\": \"tra".utf8))
        try file.close()
        try StateFixture().commit(run: path, step: 2)
        try FileSystem.createDirectory(run.states.temporaryPath(step: 4))

        let resumed = try RunDirectory(path, phase: .train, recipe: Recipe(), resume: .required)
        #expect(resumed.resumed?.manifest.step == 2)
        #expect(try steps(.align) == [1, 2, 3])
        #expect(try steps(.train) == [1, 2, 2])
        #expect(!FilePath.exists(run.states.temporaryPath(step: 4)))
        try resumed.metrics.append(row(3))
        #expect(try steps(.train) == [1, 2, 2, 3])
    }

    @Test func resumeOnAnotherGridButNotWithAnotherRate() throws {
        try StateFixture().commit(run: path, step: 2, recipe: Recipe.load(file: nil))
        let grid = try Recipe.load(file: nil, overrides: ["parallel.stages=4", "checkpoint.every=7"])
        #expect(try RunDirectory(path, phase: .train, recipe: grid, resume: .auto).resumed != nil)
        #expect(try Recipe.load(file: RunPaths(path).recipe) == grid)
        let rate = try Recipe.load(file: nil, overrides: ["optimizer.learning_rate=0.5"])
        #expect(throws: RecipeError.differs(key: "optimizer.learning_rate", before: "0.001", now: "0.5", others: 0)) {
            try RunDirectory(path, phase: .train, recipe: rate, resume: .auto)
        }
        #expect(try Recipe.load(file: RunPaths(path).recipe) == grid)
    }

    @Test func aFileInTheWay() throws {
        try FileSystem.createDirectory(home.path("runs"))
        try FileSystem.write("x", to: path)
        for resume in [RunDirectory.Resume.never, .auto] {
            #expect(throws: FileError.self) { try RunDirectory(path, phase: .train, recipe: Recipe(), resume: resume) }
        }
    }
}
