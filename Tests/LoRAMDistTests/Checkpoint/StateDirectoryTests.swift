import Foundation
import LoRAMDist
import LoRAMEngine
import TestSupport
import Testing

@Suite struct StateDirectoryTests {
    @Test(arguments: [1, 2, 4, 6])
    func everyBitComesBackByName(shardCount: Int) throws {
        let run = try TemporaryDirectory()
        let fixture = StateFixture()
        try fixture.commit(run: run.path, step: 50, shardCount: shardCount)
        let reader = try #require(try StateDirectory(run: run.path).latest(phase: .train))
        try reader.verify()
        try reader.requireExactly(fixture.tensors.map { ($0.name, $0.shape) })
        #expect(try fixture.read(reader) == fixture.bits)
        #expect(reader.manifest.step == 50 && reader.manifest.phase == .train)
        #expect(reader.manifest.position == TrainingPosition(sampleCount: 400, tokenCount: 5000, optimizerStepCount: 49))
        #expect(reader.manifest.fingerprint == Recipe().resumeFingerprint(of: .train, base: nil))
        #expect(reader.manifest.files.count == shardCount)
        #expect(FilePath.isDirectory(run.path("checkpoints/step-00000050")))
        #expect(try FilePath.names(inDirectory: run.path("checkpoints")) == ["step-00000050"])
        #expect(try StateReader(run: run.path, step: 50).manifest == reader.manifest)
    }

    @Test func partsOfATensor() throws {
        let run = try TemporaryDirectory()
        let fixture = StateFixture()
        try fixture.commit(run: run.path, step: 1)
        let reader = try StateReader(run: run.path, step: 1)
        let tensor = fixture.tensors[3]
        var values = [Float](repeating: 7, count: 4)
        try reader.copy(tensor.name, shape: tensor.shape, elements: 5..<9, into: &values)
        #expect(values.map(\.bitPattern) == tensor.values[5..<9].map(\.bitPattern))
        try reader.copy(tensor.name, shape: tensor.shape, elements: 12..<12, into: &values)
    }

    @Test func theLatestCommitOfThePhaseIsFound() throws {
        let run = try TemporaryDirectory()
        let states = StateDirectory(run: run.path)
        #expect(try states.latest(phase: .train) == nil)
        for step in [9, 10, 123_456_789] { try StateFixture(seed: UInt64(step)).commit(run: run.path, step: step) }
        #expect(try states.committedSteps() == [9, 10, 123_456_789])
        #expect(try states.latest(phase: .train)?.manifest.step == 123_456_789)
        #expect(try states.latest(phase: .align) == nil)
    }

    @Test func oldCommitsRotateOut() throws {
        let run = try TemporaryDirectory()
        let states = StateDirectory(run: run.path)
        for step in 1...5 { try StateFixture().commit(run: run.path, step: step, keep: 2) }
        #expect(try states.committedSteps() == [4, 5])
        #expect(try FilePath.names(inDirectory: states.path).count == 2)
    }

    /// Alignment's states make room when training commits, also where the steps have the same number.
    @Test func anEarlierPhasesCommitsMakeRoom() throws {
        let run = try TemporaryDirectory()
        let states = StateDirectory(run: run.path)
        try StateFixture(names: ["w0", "w1"]).commit(run: run.path, step: 50, phase: .align)
        try StateFixture(names: ["w0", "w1"]).commit(run: run.path, step: 100, phase: .align)
        #expect(try states.committedSteps() == [50, 100])
        try StateFixture().commit(run: run.path, step: 50, phase: .train)
        #expect(try states.committedSteps() == [50])
        #expect(try states.latest(phase: .train)?.manifest.step == 50)
        #expect(try states.latest(phase: .align) == nil)
    }

    @Test func aStateThatWasNotCommittedDoesNotCount() throws {
        let run = try TemporaryDirectory()
        let states = StateDirectory(run: run.path)
        let fixture = StateFixture()
        try fixture.commit(run: run.path, step: 50)
        let directory = try states.begin(step: 100)
        _ = try fixture.writeShard(directory, index: 0, of: 0..<4)
        #expect(try states.latest(phase: .train)?.manifest.step == 50)
        #expect(FilePath.isDirectory(states.temporaryPath(step: 100)))
        try states.removeLeftovers()
        #expect(try FilePath.names(inDirectory: states.path) == ["step-00000050"])
        // The step is saved again as if nothing had been.
        try fixture.commit(run: run.path, step: 100)
        #expect(try states.latest(phase: .train)?.manifest.step == 100)
    }

    @Test func beginStartsFromAnEmptyDirectory() throws {
        let run = try TemporaryDirectory()
        let states = StateDirectory(run: run.path)
        let directory = try states.begin(step: 7)
        _ = try StateFixture().writeShard(directory, index: 3, of: 0..<1)
        #expect(try states.begin(step: 7) == directory)
        #expect(try FilePath.names(inDirectory: directory).isEmpty)
    }

    @Test func aCommitWithMissingOrDoubledPartsIsRefused() throws {
        let run = try TemporaryDirectory()
        let states = StateDirectory(run: run.path)
        let fixture = StateFixture()
        let directory = try states.begin(step: 1)
        let first = try fixture.writeShard(directory, index: 0, of: 0..<2)
        let second = try fixture.writeShard(directory, index: 1, of: 1..<4)
        func commit(_ records: [ShardRecord]) throws {
            try states.commit(
                step: 1, phase: .train, position: TrainingPosition(sampleCount: 0, tokenCount: 0, optimizerStepCount: 0),
                fingerprint: Recipe().resumeFingerprint(of: .train, base: nil), records: records, keep: 1)
        }
        #expect(
            throws: CheckpointStateError.duplicateTensor(
                name: "layer.0.b", first: "state-00000.safetensors", second: "state-00001.safetensors")
        ) { try commit([first, second]) }
        #expect(throws: CheckpointStateError.self) { try commit([second]) }
        #expect(throws: CheckpointStateError.self) { try commit([]) }
        #expect(throws: CheckpointStateError.self) { try commit([first, first]) }
        var wrong = first
        wrong.byteCount += 1
        #expect(throws: CheckpointStateError.self) { try commit([wrong]) }
        try FileSystem.remove("\(directory)/state-00000.safetensors")
        #expect(throws: CheckpointStateError.missingFile(path: "\(directory)/state-00000.safetensors")) { try commit([first]) }
        #expect(try states.committedSteps().isEmpty)
    }

    /// The rank that writes the last shard dies before the coordinator commits, by the signal that nothing can catch.
    @Test func killedBetweenShardAndCommit() async throws {
        let run = try TemporaryDirectory()
        try StateFixture(seed: 1).commit(run: run.path, step: 50)
        let path = run.path
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let directory = try StateDirectory(run: path).begin(step: 100)
            _ = try StateFixture(seed: 2).writeShard(directory, index: 0, of: 0..<4)
            kill(getpid(), SIGKILL)
        }
        let states = StateDirectory(run: path)
        #expect(FilePath.isRegularFile("\(states.temporaryPath(step: 100))/state-00000.safetensors"))
        let reader = try #require(try states.latest(phase: .train))
        #expect(reader.manifest.step == 50)
        #expect(try StateFixture(seed: 1).read(reader) == StateFixture(seed: 1).bits)
        try states.removeLeftovers()
        #expect(try FilePath.names(inDirectory: states.path) == ["step-00000050"])
    }

    /// What ranks send each other.
    @Test func recordsTravelAsJSON() throws {
        let record = ShardRecord(file: "state-00000.safetensors", byteCount: 5, sha256: "ab", tensorNames: ["x", "y"])
        #expect(try JSONDecoder().decode(ShardRecord.self, from: JSONEncoder().encode(record)) == record)
    }
}
