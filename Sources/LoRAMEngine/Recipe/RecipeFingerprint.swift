/// What makes two runs give the same results: all keys that influence them, with their values, and a hash of both.
public struct RecipeFingerprint: Sendable, Equatable {
    /// SHA-256, hexadecimal.
    public let hash: String
    /// Canonical values by dotted key.
    public let entries: [String: String]

    public init(entries: [String: String]) {
        self.entries = entries
        let lines = entries.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)\n" }
        hash = ContentHash.sha256(lines.joined())
    }

    /// Error `RecipeError.differs` that names the first key, by name, whose value is another one now. A key that one side does not
    /// know (an older program) counts as different.
    public func requireSame(as before: RecipeFingerprint) throws(RecipeError) {
        if before.entries == entries { return }
        let keys = Set(before.entries.keys).union(entries.keys).filter { before.entries[$0] != entries[$0] }.sorted()
        throw .differs(
            key: keys[0], before: before.entries[keys[0]] ?? "not set", now: entries[keys[0]] ?? "not set", others: keys.count - 1)
    }
}

extension Recipe {
    /// Which training a fingerprint is about.
    public enum Phase: String, Codable, Sendable, CaseIterable {
        case align, train

        /// Before the name of a section that both phases have, such as `data`.
        public var keyPrefix: String { self == .align ? "alignment." : "" }
    }

    /// The keys that influence the phase's results: without the grid, the output, cadences, the watchdog; `align` also without the
    /// keys that only the adapter's training reads.
    public func fingerprint(of phase: Phase) -> RecipeFingerprint {
        let adapterOnly: Set<Substring> = ["trained_on", "quantization", "lora", "data", "batch", "optimizer", "schedule"]
        var entries: [String: String] = [:]
        for (key, value) in resultEntries("") {
            let section = key.prefix { $0 != "." }
            if phase == .align, adapterOnly.contains(section) { continue }
            entries[key] = value
        }
        return RecipeFingerprint(entries: entries)
    }

    /// What a commit of the phase is gone on from with: without the keys that made the checkpoint which is trained, but with its identity.
    public func resumeFingerprint(of phase: Phase, base: String?) -> RecipeFingerprint {
        var entries = fingerprint(of: phase).entries
        let makers: Set<Substring> = phase == .align ? ["pruning"] : ["pruning", "alignment"]
        entries = entries.filter { key, _ in !makers.contains(key.prefix { $0 != "." }) && key != "trained_on" }
        if let base { entries["the checkpoint that is trained"] = base }
        return RecipeFingerprint(entries: entries)
    }

    /// SHA-256 over every key, which all ranks compare before they start.
    public func contentHash() -> String {
        ContentHash.sha256(recipeNode.canonicalText)
    }
}
