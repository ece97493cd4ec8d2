import Foundation

/// Maps a dataset's text: the file itself, or what it decompresses to, kept in a file without a name in the directory for temporary
/// files (`TMPDIR`), which goes away with the process. So compressed datasets may be larger than memory as well.
enum DatasetText {
    /// - Throws: `DatasetError.unreadable`; `FileError.cannotWrite` where there is no room.
    static func map(_ path: String) throws -> MappedFile {
        let file = try open(path)
        let bytes = file.bytes.assumingMemoryBound(to: UInt8.self)
        guard let kind = Decompression.kind(bytes) else { return file }
        file.advise(.sequential)
        let temporary = FileManager.default.temporaryDirectory.appendingPathComponent("loram-mpi-\(getpid())-\(UUID().uuidString)").path
        defer { unlink(temporary) }
        let output = try OutputFile(path: temporary)
        do {
            try withExtendedLifetime(file) { try Decompression.run(kind, bytes) { try output.write($0) } }
        } catch let damage as Decompression.Damage {
            throw DatasetError.unreadable(path: path, reason: damage.reason)
        }
        try output.finish()
        return try open(temporary)
    }

    /// The name without the ending that says how the file is compressed.
    static func name(_ path: String) -> String {
        let name = FilePath.lastComponent(path).lowercased()
        let ending = [".gz", ".zst"].first { name.hasSuffix($0) }
        return ending.map { String(name.dropLast($0.count)) } ?? name
    }

    private static func open(_ path: String) throws -> MappedFile {
        do {
            return try MappedFile(path: path)
        } catch let error as FileError {
            throw DatasetError.unreadable(path: path, reason: reason(error))
        }
    }

    private static func reason(_ error: FileError) -> String {
        switch error {
        case .cannotRead(_, let call, let code): "\(call) failed, \(String(cString: strerror(code)))"
        case .notRegularFile: "expected a regular file, found a directory or device"
        default: error.description
        }
    }
}
