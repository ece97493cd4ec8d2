extension CheckpointFiles {
    /// Hashes of the plain files were kept.
    var hasHashes: Bool { index?.files.contains { $0.sha256 != nil } ?? false }

    /// Compares the hash of a file's plain bytes with the one that was kept, if one was.
    ///
    /// - Throws: `CompressionError.wrongHash`.
    func require(_ found: String?, of name: String) throws {
        guard let expected = index?.files.first(where: { $0.name == name })?.sha256, let found, expected != found else { return }
        throw CompressionError.wrongHash(path: "\(directory)/\(name)", expected: expected, found: found)
    }

    /// Compares a file that was copied with what was kept of it. One that was added since is nobody's business.
    ///
    /// - Throws: `CompressionError`.
    func require(_ found: PackedIndex.Companion) throws {
        guard let expected = index?.companions.first(where: { $0.name == found.name }) else { return }
        let path = "\(directory)/\(found.name)"
        guard expected.byteCount == found.byteCount else {
            throw CompressionError.wrongSize(path: path, expected: expected.byteCount, found: found.byteCount)
        }
        if let hash = expected.sha256, let other = found.sha256, hash != other {
            throw CompressionError.wrongHash(path: path, expected: hash, found: other)
        }
    }

    /// - Throws: `CompressionError`, also for a file that is not there; `FileError`.
    func verify(_ companion: PackedIndex.Companion) throws {
        let path = "\(directory)/\(companion.name)"
        guard let size = FileSystem.fileSize(path) else {
            throw CompressionError.missingFile(index: "\(directory)/\(PackedIndex.fileName)", file: companion.name)
        }
        try require(.init(name: companion.name, byteCount: size, sha256: companion.sha256 == nil ? nil : try ContentHash.sha256(file: path)))
    }
}

extension BaseRecord {
    /// Hashes the original's files, where their hashes were kept.
    ///
    /// - Throws: `CompressionError.otherBase`; errors of the original.
    func verify(directory: String, packer: FilePacker) throws {
        let base = try plan(directory: directory).base
        for file in files {
            guard let expected = file.sha256 else { continue }
            let found = try packer.pack(base.files.open(file.name), name: file.name, to: nil) { _ in }.sha256
            guard found == expected else {
                throw CompressionError.otherBase(
                    path: directory, base: base.directory, item: "\(file.name)'s SHA-256", expected: String(expected.prefix(16)),
                    found: String((found ?? "none").prefix(16)))
            }
        }
    }
}
