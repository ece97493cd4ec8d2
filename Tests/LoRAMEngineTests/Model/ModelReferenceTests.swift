import Foundation
import LoRAMEngine
import TestSupport
import Testing

@Suite struct ModelReferenceTests {
    @Test func opensACheckpoint() throws {
        let path = try FormatsFixture.path("tied")
        let reference = try ModelReference.open(path)
        guard case .checkpoint(let checkpoint) = reference.origin else {
            Issue.record("no checkpoint")
            return
        }
        #expect(checkpoint.directory == path && reference.directory == path && reference.config == checkpoint.config)
        #expect(caught(ConfigError.self) { _ = try ModelReference.open(path, syntheticSeed: 1) } == .seedWithWeights(path: path))
    }

    @Test func makesRandomWeightsOfPresetsAndBareConfigs() throws {
        let preset = try ModelReference.open("llama-3.1-70b", syntheticSeed: 1)
        #expect(preset.config.parameterCount == 70_553_706_496 && preset.directory == nil)
        #expect(try ModelReference.config("llama-2-7b").layerCount == 32)

        let directory = try TemporaryDirectory()
        let file = directory.path("config.json")
        try FileManager.default.copyItem(atPath: FormatsFixture.path("tied/config.json"), toPath: file)
        for name in [file, directory.path] {
            let reference = try ModelReference.open(name, syntheticSeed: 3)
            #expect(reference.directory == directory.path)
            #expect(reference.source.contains(WeightName.embedding))
            #expect(caught(ConfigError.self) { _ = try ModelReference.open(name) } == .needsSeed(model: name))
        }
        #expect(caught(ConfigError.self) { _ = try ModelReference.open("llama-2-7b") } == .needsSeed(model: "llama-2-7b"))
    }

    @Test func saysWhatIsNoModel() throws {
        let error = caught(ConfigError.self) { _ = try ModelReference.open("llama-9", syntheticSeed: 1) }
        #expect(error == .unknownModel("llama-9", presets: ModelPreset.allCases.map(\.rawValue)))
        let directory = try TemporaryDirectory()
        #expect(throws: FileError.self) { try ModelReference.open(directory.path, syntheticSeed: 1) }
    }
}
