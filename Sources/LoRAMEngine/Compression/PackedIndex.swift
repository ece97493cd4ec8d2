/// checkpoint.json: what a packed directory holds. The format stands in FORMAT.md.
package struct PackedIndex: Sendable, Equatable {
    package static let fileName = "checkpoint.json"
    static let format = "loram-checkpoint"
    static let version = 1

    /// A file that was copied as it is.
    package struct Companion: Sendable, Equatable {
        var name: String
        var byteCount: Int
        var sha256: String?
    }

    /// Codec `base`: files are computed from another model and an adapter.
    enum Contents: Sendable, Equatable {
        case packed(Codec)
        case base(BaseRecord)
    }

    var contents: Contents
    var files: [PackedRecord]
    var companions: [Companion]
    var frameByteCount = FrameFormat.defaultByteCount

    var codecName: String {
        switch contents {
        case .packed(let codec): codec.rawValue
        case .base: BaseRecord.codecName
        }
    }

    var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }
    var storedByteCount: Int { files.reduce(0) { $0 + $1.storedByteCount } }

    /// The document, with a hash of itself at the end.
    var json: JSONValue {
        var json: JSONValue = [
            "format": .string(Self.format), "format_version": .integer(Self.version), "codec": .string(codecName),
            "frame_bytes": .integer(frameByteCount), "bytes": .integer(byteCount), "stored_bytes": .integer(storedByteCount),
        ]
        if case .base(let base) = contents { json["base"] = base.json }
        json["files"] = .array(files.map(\.json))
        json["companions"] = .array(
            companions.map { companion in
                var item: JSONValue = ["name": .string(companion.name), "bytes": .integer(companion.byteCount)]
                if let hash = companion.sha256 { item["sha256"] = .string(hash) }
                return item
            })
        json[Self.hashKey] = .string(ContentHash.sha256(json.serialized()))
        return json
    }

    private static let hashKey = "index_sha256"
    private static let keys = ["format", "format_version", "codec", "frame_bytes", "bytes", "stored_bytes", "base", "files", "companions", hashKey]

    /// - Throws: `FileError`, `CompressionError.badIndex`, `.changedIndex`.
    init(directory: String) throws {
        let path = "\(directory)/\(Self.fileName)"
        var document: JSONValue
        do {
            document = try JSONValue.parse(contentsOf: path)
        } catch let error as JSONError {
            throw CompressionError.badIndex(path: path, item: "the document", expected: "JSON", found: "\(error)")
        }
        let fields = IndexFields(document, path: path, prefix: "")
        guard try fields.text("format") == Self.format else { throw fields.error("format", Self.format, try fields.text("format")) }
        let version = try fields.count("format_version")
        guard version == Self.version else { throw fields.error("format_version", "\(Self.version)", "\(version); a newer program wrote it") }
        for member in document.objectMembers ?? [] where !Self.keys.contains(member.key) {
            throw fields.error(member.key.debugDescription, "one of \(Self.keys.joined(separator: ", "))", "this key")
        }
        // A writer of others may leave the hash out.
        if let hash = try fields.hash(Self.hashKey) {
            document[Self.hashKey] = nil
            guard ContentHash.sha256(document.serialized()) == hash else { throw CompressionError.changedIndex(path: path) }
        }
        frameByteCount = try fields.count("frame_bytes")
        guard FrameFormat.allowedByteCounts.contains(frameByteCount), frameByteCount % 8 == 0 else {
            throw fields.error("frame_bytes", "a multiple of 8 from \(FrameFormat.allowedByteCounts.lowerBound) to \(FrameFormat.allowedByteCounts.upperBound)", "\(frameByteCount)")
        }
        let name = try fields.text("codec")
        let codec: Codec
        if name == BaseRecord.codecName {
            contents = .base(try BaseRecord(json: document["base"] ?? .null, path: path))
            codec = .none
        } else if let known = Codec(rawValue: name), known != .none {
            contents = .packed(known)
            codec = known
        } else {
            throw fields.error("codec", "planes, zstd or base", name)
        }
        let frameByteCount = frameByteCount
        files = try fields.array("files").map { try PackedRecord(json: $0, codec: codec, frameByteCount: frameByteCount, path: path) }
        companions = try fields.array("companions").map { item in
            let fields = IndexFields(item, path: path, prefix: "companions")
            return Companion(name: try fields.fileName("name"), byteCount: try fields.count("bytes"), sha256: try fields.hash("sha256"))
        }
        let names = files.map(\.name) + companions.map(\.name)
        guard Set(names).count == names.count else { throw fields.error("files", "every name once", "one again") }
    }

    init(contents: Contents, files: [PackedRecord], companions: [Companion]) {
        self.contents = contents
        self.files = files
        self.companions = companions
    }
}
