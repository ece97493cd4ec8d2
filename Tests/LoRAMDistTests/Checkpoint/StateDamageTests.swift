import Foundation
import LoRAMDist
import LoRAMEngine
import TestSupport
import Testing

/// States that were damaged or made up.
@Suite struct StateDamageTests {
    let run: TemporaryDirectory
    let states: StateDirectory
    var directory: String { states.committedPath(step: 50) }
    var manifestPath: String { "\(directory)/manifest.json" }
    var shardPath: String { "\(directory)/state-00000.safetensors" }

    init() throws {
        run = try TemporaryDirectory()
        states = StateDirectory(run: run.path)
        try StateFixture().commit(run: run.path, step: 50)
    }

    func latest() throws -> StateReader? { try states.latest(phase: .train) }

    @Test func aFlippedBitIsFoundByItsHash() throws {
        var bytes = try FileSystem.read(shardPath)
        bytes[bytes.count - 1] ^= 1
        try OutputFile.write(bytes, to: shardPath)
        let reader = try #require(try latest())
        #expect { try reader.verify() } throws: { error in
            if case .wrongHash(let path, _, _)? = error as? CheckpointStateError { path == shardPath } else { false }
        }
        // Ranks share the work: each file has one that looks at it.
        #expect(throws: CheckpointStateError.self) { try reader.verify(part: 0, of: 2) }
        try reader.verify(part: 1, of: 2)
    }

    @Test func aCutOrMissingShard() throws {
        let bytes = try FileSystem.read(shardPath)
        try OutputFile.write(Array(bytes.dropLast()), to: shardPath)
        #expect(throws: CheckpointStateError.wrongSize(path: shardPath, expected: bytes.count, found: bytes.count - 1)) { try latest() }
        try FileSystem.remove(shardPath)
        #expect(throws: CheckpointStateError.missingFile(path: shardPath)) { try latest() }
    }

    @Test func noManifest() throws {
        try FileSystem.remove(manifestPath)
        #expect(throws: CheckpointStateError.noManifest(directory: directory)) { try latest() }
    }

    static let edits: [(key: String, value: JSONValue?)] = [
        ("format_version", 2), ("format_version", nil), ("step", 51), ("step", -1), ("step", "50"), ("phase", "recover"), ("phase", nil),
        ("position", nil), ("position", ["samples": 1, "tokens": -1, "optimizer_steps": 0]), ("recipe_hash", "0"), ("recipe", [:]),
        ("recipe", ["seed": 42]), ("recipe", "x"), ("files", []), ("files", nil), ("files", ["x"]),
        ("files", [["name": "../../etc/passwd", "bytes": 1, "sha256": .string(String(repeating: "0", count: 64))]]),
        ("files", [["name": "state-00000.safetensors", "bytes": 1, "sha256": "zz"]]),
        ("files", [["name": "state-00000.safetensors", "sha256": .string(String(repeating: "0", count: 64))]]),
        ("files", [["name": "state-00001.safetensors", "bytes": 1, "sha256": .string(String(repeating: "0", count: 64))]]),
    ]

    @Test(arguments: edits.indices)
    func aChangedManifest(index: Int) throws {
        var manifest = try JSONValue.parse(try FileSystem.read(manifestPath))
        manifest[Self.edits[index].key] = Self.edits[index].value
        try FileSystem.write(manifest.serialized(), to: manifestPath)
        #expect { try latest() } throws: { error in
            guard let error = error as? CheckpointStateError else { return false }
            return error.exitCode == .badInput && !error.description.contains("\n")
        }
    }

    @Test(arguments: ["", "{", "[]", "null", "{\"a\": 1, \"a\": 2}", "\u{0}\u{0}"])
    func aManifestThatIsNone(text: String) throws {
        try FileSystem.write(text, to: manifestPath)
        #expect(throws: CheckpointStateError.self) { try latest() }
    }

    @Test func otherTensorsThanTheModels() throws {
        let reader = try #require(try latest())
        let tensors = StateFixture().tensors.map { (name: $0.name, shape: $0.shape) }
        #expect(throws: CheckpointStateError.unexpectedTensor(name: "layer.1.b", directory: directory)) {
            try reader.requireExactly(Array(tensors.dropLast()))
        }
        #expect(throws: CheckpointStateError.missingTensor(name: "layer.2.a", directory: directory)) {
            try reader.requireExactly(tensors + [("layer.2.a", [1])])
        }
        var values = [Float](repeating: 0, count: 3)
        #expect(throws: CheckpointStateError.wrongShape(name: "layer.0.a", path: shardPath, expected: [3, 1], found: [1, 3])) {
            try reader.copy("layer.0.a", shape: [3, 1], into: &values)
        }
        #expect(throws: CheckpointStateError.self) { try reader.copy("none", shape: [1, 3], into: &values) }
    }

    @Test func twoShardsWithOneTensor() throws {
        let second = "\(directory)/state-00001.safetensors"
        try FileSystem.remove(second)
        try OutputFile.write(try FileSystem.read(shardPath), to: second)
        var manifest = try JSONValue.parse(try FileSystem.read(manifestPath))
        let first = try #require(manifest["files"]?[0])
        var doubled = first
        doubled["name"] = "state-00001.safetensors"
        manifest["files"] = .array([first, doubled])
        try FileSystem.write(manifest.serialized(), to: manifestPath)
        #expect {
            try latest()
        } throws: { error in
            if case .duplicateTensor? = error as? CheckpointStateError { true } else { false }
        }
    }

    /// Directories that are no states of ours do not disturb.
    @Test func otherNamesAreLeftAlone() throws {
        for name in ["step-50", "step-x", "notes", "step-00000050x"] { try FileSystem.createDirectory("\(states.path)/\(name)") }
        #expect(try states.committedSteps() == [50])
        try states.removeLeftovers()
        #expect(try FilePath.names(inDirectory: states.path).count == 5)
    }
}
