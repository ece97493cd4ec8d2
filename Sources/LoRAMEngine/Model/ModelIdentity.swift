extension ModelReference {
    /// The plan of a structurally pruned checkpoint; nil for others.
    ///
    /// - Throws: `PruningError`, `FileError`.
    public func plan() throws -> PruningPlan? { try directory.flatMap { try PruningPlan.beside(checkpoint: $0) } }

    /// A hash that another checkpoint does not have, or the same after it was pruned or trained anew: of its config, its plan, and each
    /// file of weights' or masks' name, size and ends. Reading all of it would take as long as loading it. Where it lies does not matter.
    ///
    /// - Throws: `FileError`.
    public func identity() throws -> String {
        switch origin {
        case .synthetic(let weights):
            return ContentHash.sha256("\(config.configJSON().serialized()) \(weights.seed)")
        case .checkpoint(let checkpoint):
            var parts = [checkpoint.configuration.serialized(), try plan()?.hash ?? ""]
            for name in try FilePath.names(inDirectory: checkpoint.directory).sorted() where name.contains("safetensors") {
                let path = "\(checkpoint.directory)/\(name)"
                guard FilePath.isRegularFile(path) else { continue }
                parts.append("\(name) " + (try MappedFile(path: path).withBytes { bytes in
                    let end = min(bytes.count, 1 << 16)
                    let ends = Array(bytes[..<end]) + Array(bytes[(bytes.count - end)...])
                    return "\(bytes.count) \(ends.withUnsafeBytes { ContentHash.sha256($0) })"
                }))
            }
            return ContentHash.sha256(parts.joined(separator: "\n"))
        }
    }
}
