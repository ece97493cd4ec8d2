import LoRAMEngine

/// `manifest.json` of a committed training state: what it is, and every file with size and SHA-256.
public struct StateManifest: Sendable, Equatable {
    public static let fileName = "manifest.json"
    /// Changes when older programs can no longer read the state.
    public static let formatVersion = 1
    /// A manifest lists a few files and the recipe's keys; more is no manifest.
    static let maxByteCount = 64 << 20

    /// Updates completed.
    public var step: Int
    public var phase: Recipe.Phase
    /// Where training goes on. Random numbers have no state beyond these, being functions of seed and position.
    public var position: TrainingPosition
    /// Of the recipe, in this phase.
    public var fingerprint: RecipeFingerprint
    public var files: [ShardRecord]

    public init(step: Int, phase: Recipe.Phase, position: TrainingPosition, fingerprint: RecipeFingerprint, files: [ShardRecord]) {
        self.step = step
        self.phase = phase
        self.position = position
        self.fingerprint = fingerprint
        self.files = files
    }
}

/// Counts since the start of a phase.
public struct TrainingPosition: Codable, Sendable, Equatable {
    /// Samples taken from the data's order, over all replicas.
    public var sampleCount: Int
    /// Tokens trained on.
    public var tokenCount: Int
    /// Updates that the optimizer made: less than the step where some were skipped.
    public var optimizerStepCount: Int

    public init(sampleCount: Int, tokenCount: Int, optimizerStepCount: Int) {
        self.sampleCount = sampleCount
        self.tokenCount = tokenCount
        self.optimizerStepCount = optimizerStepCount
    }
}

extension StateManifest {
    var json: JSONValue {
        [
            "format_version": .integer(Self.formatVersion),
            "step": .integer(step),
            "phase": .string(phase.rawValue),
            "position": [
                "samples": .integer(position.sampleCount),
                "tokens": .integer(position.tokenCount),
                "optimizer_steps": .integer(position.optimizerStepCount),
            ],
            "recipe_hash": .string(fingerprint.hash),
            "recipe": .object(fingerprint.entries.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }),
            "files": .array(
                files.map { ["name": .string($0.file), "bytes": .integer($0.byteCount), "sha256": .string($0.sha256)] }),
        ]
    }

    /// Reads and checks everything that can be checked without the shards.
    ///
    /// - Throws: `CheckpointStateError.noManifest`, `.badManifest`; `FileError`.
    init(directory: String) throws {
        let path = "\(directory)/\(Self.fileName)"
        guard FilePath.exists(path) else { throw CheckpointStateError.noManifest(directory: directory) }
        let bytes = try FileSystem.read(path, limit: Self.maxByteCount)
        let document: JSONValue
        do {
            document = try JSONValue.parse(bytes)
        } catch let error as JSONError {
            throw CheckpointStateError.badManifest(path: path, item: "content", expected: "JSON", found: error.description)
        }
        let reader = ManifestReader(path: path, object: document)
        let version = try reader.integer("format_version")
        guard version == Self.formatVersion else {
            throw CheckpointStateError.badManifest(
                path: path, item: "format_version", expected: "\(Self.formatVersion), which this program reads", found: "\(version)")
        }
        let phaseName = try reader.string("phase")
        guard let phase = Recipe.Phase(rawValue: phaseName) else {
            throw reader.bad("phase", expected: "align or train", found: document["phase"])
        }
        let position = ManifestReader(path: path, object: document["position"] ?? .null)
        guard case .object(let members)? = document["recipe"] else { throw reader.bad("recipe", expected: "an object", found: document["recipe"]) }
        var entries: [String: String] = [:]
        for member in members {
            guard let value = member.value.stringValue else { throw reader.bad("recipe.\(member.key)", expected: "a string", found: member.value) }
            entries[member.key] = value
        }
        let fingerprint = RecipeFingerprint(entries: entries)
        guard try reader.string("recipe_hash") == fingerprint.hash else {
            throw reader.bad("recipe_hash", expected: "the hash of 'recipe', \(fingerprint.hash)", found: document["recipe_hash"])
        }
        self.init(
            step: try reader.integer("step"), phase: phase,
            position: TrainingPosition(
                sampleCount: try position.integer("samples"), tokenCount: try position.integer("tokens"),
                optimizerStepCount: try position.integer("optimizer_steps")),
            fingerprint: fingerprint, files: try reader.files())
    }
}

/// Typed reading of a manifest's members.
private struct ManifestReader {
    let path: String
    let object: JSONValue

    func bad(_ item: String, expected: String, found: JSONValue?) -> CheckpointStateError {
        var text = found?.serialized() ?? "nothing"
        if text.utf8.count > 80 { text = found?.kindDescription ?? text }
        return .badManifest(path: path, item: item, expected: expected, found: text)
    }

    func integer(_ key: String) throws -> Int {
        guard let value = object[key]?.intValue, value >= 0 else { throw bad(key, expected: "an integer of at least 0", found: object[key]) }
        return value
    }

    func string(_ key: String) throws -> String {
        guard let value = object[key]?.stringValue else { throw bad(key, expected: "a string", found: object[key]) }
        return value
    }

    func files() throws -> [ShardRecord] {
        guard let elements = object["files"]?.arrayValue, !elements.isEmpty else {
            throw bad("files", expected: "a list of files", found: object["files"])
        }
        return try elements.enumerated().map { index, element in
            let reader = ManifestReader(path: path, object: element)
            let record = ShardRecord(
                file: try reader.string("name"), byteCount: try reader.integer("bytes"), sha256: try reader.string("sha256"), tensorNames: [])
            // Only names of ours: another could reach out of the directory.
            guard record.file == ShardRecord.fileName(shard: index) else {
                throw bad("files", expected: ShardRecord.fileName(shard: index), found: element["name"])
            }
            guard ContentHash.isSHA256(record.sha256) else {
                throw reader.bad("sha256", expected: "64 hexadecimal digits", found: element["sha256"])
            }
            return record
        }
    }
}
