/// Writes the files of a checkpoint directory, each by whichever process has it to do, and at last what binds them together.
///
/// All is put into a resumable temporary directory: a file that is complete has a record beside it, by which a later attempt knows it.
package struct CheckpointStore: Sendable {
    let temporaryPath: String
    package let codec: Codec
    package let hashes: Bool

    package init(path: String, codec: Codec, hashes: Bool) {
        temporaryPath = AtomicDirectory.resumablePath(of: path)
        self.codec = codec
        self.hashes = hashes
    }

    /// Stores one file, unless an earlier attempt did.
    ///
    /// - Parameters:
    ///   - fingerprint: of all that the file is made from.
    ///   - writes: false: the file is only read and hashed.
    ///   - progress: called with plain bytes done since the last call.
    package func store(
        _ file: any TensorFile, name: String, fingerprint: String, packer: FilePacker, writes: Bool = true, progress: (Int) throws -> Void
    ) throws -> PackedRecord {
        let mark = "\(fingerprint) | \(codec.rawValue) | sha256 \(hashes) | \(FrameFormat.defaultByteCount)"
        if let known = earlier(name, mark, writes: writes) {
            try progress(file.byteCount)
            return known
        }
        let output = writes ? try OutputFile(path: "\(temporaryPath)/\(name)\(codec.suffix)") : nil
        let record = try packer.pack(file, name: name, to: output, progress: progress)
        try output?.finish()
        let note: JSONValue = ["fingerprint": .string(mark), "record": record.json]
        try OutputFile.write(note.serializedBytes(), to: recordPath(name))
        return record
    }

    /// The record of a file that some process has stored.
    ///
    /// - Throws: `FileError`, `CompressionError`.
    package func record(_ name: String) throws -> PackedRecord {
        let path = recordPath(name), json = (try? JSONValue.parse(contentsOf: path))?["record"]
        guard let json else {
            throw CompressionError.missingFile(index: temporaryPath, file: FilePath.lastComponent(path))
        }
        return try PackedRecord(json: json, codec: codec, frameByteCount: FrameFormat.defaultByteCount, path: path)
    }

    private func recordPath(_ name: String) -> String { "\(temporaryPath)/\(name)\(AtomicDirectory.recordSuffix)" }

    private func earlier(_ name: String, _ mark: String, writes: Bool) -> PackedRecord? {
        guard let note = try? JSONValue.parse(contentsOf: recordPath(name)), note["fingerprint"]?.stringValue == mark,
            let record = try? record(name)
        else { return nil }
        let size = FileSystem.fileSize("\(temporaryPath)/\(name)\(codec.suffix)")
        return !writes || size == record.storedByteCount ? record : nil
    }

    /// Copies a small file as it is.
    package func copy(_ source: String, as name: String) throws -> PackedIndex.Companion {
        let input = try ReadableFile(path: source), output = try OutputFile(path: "\(temporaryPath)/\(name)")
        let buffer = ByteBuffer(count: 1 << 20)
        var running = ContentHash.Running(), done = 0
        while done < input.byteCount {
            let count = min(buffer.count, input.byteCount - done)
            try input.read(done, count: count, into: buffer.base)
            let bytes = UnsafeRawBufferPointer(start: buffer.base, count: count)
            running.update(bytes)
            try output.write(bytes)
            done += count
        }
        try output.finish()
        return .init(name: name, byteCount: done, sha256: running.finish())
    }

    package func write(_ bytes: [UInt8], as name: String) throws -> PackedIndex.Companion {
        try OutputFile.write(bytes, to: "\(temporaryPath)/\(name)")
        return .init(name: name, byteCount: bytes.count, sha256: bytes.withUnsafeBytes { ContentHash.sha256($0) })
    }

    /// Writes checkpoint.json (nil: a plain directory), takes the records away and gives the directory its name.
    package func finish(_ directory: AtomicDirectory, index: PackedIndex?) throws {
        if let index { try OutputFile.write(index.json.serializedBytes() + [0x0a], to: directory.path(PackedIndex.fileName)) }
        for name in try FilePath.names(inDirectory: directory.temporaryPath)
        where name.hasSuffix(AtomicDirectory.recordSuffix) { try FileSystem.remove(directory.path(name)) }
        try directory.commit()
    }
}

extension CheckpointFiles {
    /// Other files of the directory, which go along as they are; directories in it do not.
    package func companions() throws -> [String] {
        let own = Set(names + (index?.files.map(\.storedName) ?? []) + [PackedIndex.fileName])
        return try FilePath.names(inDirectory: directory).filter { name in
            !own.contains(name) && !name.hasPrefix(".") && !name.contains(".partial") && FilePath.isRegularFile("\(directory)/\(name)")
        }
    }
}
