import Foundation

/// Codec `base`: a merged model that is not stored, but computed from the original and the adapter beside it whenever it is read.
package struct BaseRecord: Sendable, Equatable {
    package static let codecName = "base"
    /// Directory of the adapter, in the checkpoint's own.
    static let adapterName = "adapter"

    struct File: Sendable, Equatable {
        var name: String
        var byteCount: Int
        /// Of length field and JSON text; looked at whenever the checkpoint is opened.
        var headerHash: String
        /// Of the whole plain file; looked at by `verify`.
        var sha256: String?
    }

    /// Absolute, and as seen from the checkpoint's directory, which is tried first.
    var path: String
    var relativePath: String?
    var files: [File]
    /// SHA-256 of the adapter's two files.
    var adapterHashes: [String]
    /// Modules in the order in which they are merged.
    var order: [String]

    var json: JSONValue {
        var json: JSONValue = ["path": .string(path)]
        if let relativePath { json["relative_path"] = .string(relativePath) }
        json["files"] = .array(
            files.map { file in
                var item: JSONValue = ["name": .string(file.name), "bytes": .integer(file.byteCount), "header_sha256": .string(file.headerHash)]
                if let hash = file.sha256 { item["sha256"] = .string(hash) }
                return item
            })
        json["adapter"] = .string(Self.adapterName)
        json["adapter_sha256"] = .array(adapterHashes.map { .string($0) })
        json["merge_order"] = .array(order.map { .string($0) })
        return json
    }

    /// - Throws: `CompressionError.badIndex`.
    init(json: JSONValue, path indexPath: String) throws {
        let fields = IndexFields(json, path: indexPath, prefix: "base")
        path = try fields.text("path")
        relativePath = json["relative_path"]?.stringValue
        files = try fields.array("files").map { item in
            let fields = IndexFields(item, path: indexPath, prefix: "base: files")
            guard let header = try fields.hash("header_sha256") else { throw fields.error("header_sha256", "a SHA-256", "none") }
            return File(name: try fields.fileName("name"), byteCount: try fields.count("bytes"), headerHash: header, sha256: try fields.hash("sha256"))
        }
        guard try fields.text("adapter") == Self.adapterName else { throw fields.error("adapter", Self.adapterName, try fields.text("adapter")) }
        func texts(_ key: String) throws -> [String] {
            try fields.array(key).map { value in
                guard let text = value.stringValue else { throw fields.error(key, "strings", value.kindDescription) }
                return text
            }
        }
        adapterHashes = try texts("adapter_sha256")
        order = try texts("merge_order")
    }

    /// - Parameter hashes: by file name; those that were computed.
    init(_ plan: MergePlan, directory: String, hashes: [String: String]) throws {
        path = Self.absolute(plan.base.directory)
        relativePath = Self.relative(path, from: Self.absolute(directory))
        files = try plan.base.shardNames.enumerated().map { number, name in
            let file = try plan.base.shard(number)
            return File(name: name, byteCount: file.byteCount, headerHash: Self.hash(file.headerBytes), sha256: hashes[name])
        }
        adapterHashes = try Self.adapterHashes(FilePath.parent(plan.adapter.file.path))
        order = plan.order
    }

    /// Finds the original, sees that it is the same and that the adapter is, and plans the merge again.
    ///
    /// - Throws: `CompressionError`, errors of the two.
    func open(directory: String, files: [PackedRecord]) throws -> [MergedFile] {
        let plan = try plan(directory: directory)
        guard plan.order == order else {
            throw CompressionError.badIndex(
                path: "\(directory)/\(PackedIndex.fileName)", item: "base: merge_order", expected: "\(plan.order.count) modules as the adapter has them", found: "others")
        }
        for file in plan.files {
            guard let record = files.first(where: { $0.name == file.name }), record.byteCount == file.byteCount else {
                throw CompressionError.otherBase(
                    path: directory, base: plan.base.directory, item: "a size for \(file.name) of",
                    expected: files.first { $0.name == file.name }.map { "\($0.byteCount)" } ?? "none", found: "\(file.byteCount)")
            }
        }
        return plan.files
    }

    func plan(directory: String) throws -> MergePlan {
        let candidates = [relativePath.map { "\(directory)/\($0)" }, path].compactMap(\.self)
        guard let place = candidates.first(where: { Checkpoint.hasWeights($0) }) else { throw CompressionError.missingBase(path: directory, base: path) }
        // One that leads to itself would have no end.
        if CheckpointFiles.isPacked(place), try PackedIndex(directory: place).codecName == Self.codecName {
            throw CompressionError.otherBase(path: directory, base: place, item: "weights of its own, that is, a codec", expected: "planes or zstd", found: Self.codecName)
        }
        let base = try Checkpoint(directory: place)
        for file in files {
            guard let number = base.shardNames.firstIndex(of: file.name) else {
                throw CompressionError.otherBase(path: directory, base: place, item: "a file", expected: file.name, found: "none")
            }
            let header = Self.hash(try base.shard(number).headerBytes)
            guard header == file.headerHash else {
                throw CompressionError.otherBase(path: directory, base: place, item: "\(file.name)'s header SHA-256", expected: String(file.headerHash.prefix(16)), found: String(header.prefix(16)))
            }
        }
        let adapterPath = "\(directory)/\(Self.adapterName)", found = try Self.adapterHashes(adapterPath)
        for (expected, hash) in zip(adapterHashes, found) where expected != hash {
            throw CompressionError.wrongHash(path: adapterPath, expected: expected, found: hash)
        }
        return try MergePlan(base: base, adapter: Adapter(directory: adapterPath))
    }

    private static func adapterHashes(_ directory: String) throws -> [String] {
        try [Adapter.configName, Adapter.weightsName].map { try ContentHash.sha256(file: "\(directory)/\($0)") }
    }

    private static func hash(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes { ContentHash.sha256($0) } }

    private static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    private static func relative(_ path: String, from directory: String) -> String? {
        let target = path.split(separator: "/"), start = directory.split(separator: "/")
        let shared = zip(target, start).prefix { $0 == $1 }.count
        // Two places that share nothing are not moved together.
        guard shared > 0 else { return nil }
        return (Array(repeating: "..", count: start.count - shared) + target[shared...].map(String.init)).joined(separator: "/")
    }
}
