import LoRAMEngine

/// What `run` has done in a run directory, phase by phase: phases.json. A phase is done when its settings and the contents of its inputs
/// and outputs are those that are recorded.
struct WorkflowRecord {
    struct Entry: Equatable {
        var settings: [String: String]
        /// Path -> hash of what was read.
        var inputs: [String: String]
        /// Path -> hash of what was written; nil while the phase is under way.
        var outputs: [String: String]?

        var json: JSONValue {
            var members = [JSONMember("settings", Self.object(settings)), JSONMember("inputs", Self.object(inputs))]
            if let outputs { members.append(JSONMember("outputs", Self.object(outputs))) }
            return .object(members)
        }

        init(settings: [String: String], inputs: [String: String], outputs: [String: String]? = nil) {
            (self.settings, self.inputs, self.outputs) = (settings, inputs, outputs)
        }

        init?(_ json: JSONValue) {
            guard let settings = Self.strings(json["settings"]), let inputs = Self.strings(json["inputs"]) else { return nil }
            self.init(settings: settings, inputs: inputs, outputs: Self.strings(json["outputs"]))
        }

        private static func object(_ values: [String: String]) -> JSONValue {
            .object(values.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) })
        }

        private static func strings(_ json: JSONValue?) -> [String: String]? {
            guard let members = json?.objectMembers else { return nil }
            var result: [String: String] = [:]
            for member in members {
                guard let value = member.value.stringValue else { return nil }
                result[member.key] = value
            }
            return result
        }

        /// What differs from an earlier entry, in words; nil where nothing does.
        func difference(from before: Entry) -> String? {
            let keys = Set(settings.keys).union(before.settings.keys).filter { settings[$0] != before.settings[$0] }.sorted()
            if let key = keys.first {
                let others = keys.count > 1 ? " and \(keys.count - 1) more" : ""
                return "\(key) was \(before.settings[key] ?? "not set"), is \(settings[key] ?? "not set")\(others)"
            }
            if let path = Set(inputs.keys).union(before.inputs.keys).filter({ inputs[$0] != before.inputs[$0] }).min() { return "\(path) has changed" }
            return nil
        }
    }

    let path: String
    private(set) var entries: [WorkflowPhase: Entry] = [:]
    private var hashes: TreeHash.Cache

    /// - Throws: `WorkflowError.badRecord`, `FileError`.
    init(_ path: String) throws {
        self.path = path
        guard FilePath.exists(path) else {
            hashes = TreeHash.Cache()
            return
        }
        let json: JSONValue
        do { json = try JSONValue.parse(contentsOf: path) } catch let error as JSONError { throw WorkflowError.badRecord(path: path, found: "\(error)") }
        for phase in WorkflowPhase.allCases {
            guard let value = json["phases"]?[phase.rawValue] else { continue }
            guard let entry = Entry(value) else { throw WorkflowError.badRecord(path: path, found: "a broken entry for \(phase.rawValue)") }
            entries[phase] = entry
        }
        hashes = TreeHash.Cache(json["files"])
    }

    /// Hash of a file or directory; files that have not changed by size and time are not read again.
    mutating func hash(_ path: String, pool: ThreadPool) throws -> String { try TreeHash.hash(path, cache: &hashes, pool: pool) }

    mutating func set(_ phase: WorkflowPhase, _ entry: Entry?) throws {
        entries[phase] = entry
        let phases = WorkflowPhase.allCases.compactMap { phase in entries[phase].map { JSONMember(phase.rawValue, $0.json) } }
        let json = JSONValue.object([JSONMember("phases", .object(phases)), JSONMember("files", hashes.json)])
        try OutputFile.write(json.serializedBytes(pretty: true), to: path)
    }
}

/// What can be wrong with a workflow, besides what its phases find.
public enum WorkflowError: DiagnosedError, Equatable {
    case badRecord(path: String, found: String)
    case nothingToDo
    case missingBefore(phase: String, needed: String)
    case notWanted(phase: String)

    public var exitCode: ExitStatus {
        if case .badRecord = self { .badInput } else { .usage }
    }

    public var description: String {
        switch self {
        case .badRecord(let path, let found): "\(path): expected the record of a run, found \(found); remove it to begin anew"
        case .nothingToDo: "the recipe asks for no phase: expected data.train, alignment.data.train or a pruning ratio above 0"
        case .missingBefore(let phase, let needed): "--only and --from: expected phase \(needed) to be done before \(phase), found that it is not; leave them out"
        case .notWanted(let phase): "the recipe does not ask for phase \(phase): see run --dry-run for those it does"
        }
    }
}
