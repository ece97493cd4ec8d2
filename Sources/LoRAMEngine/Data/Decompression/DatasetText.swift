import Foundation

/// Maps a dataset's text: the file itself, or what it decompresses to, kept in a file without a name in `FileSystem.spillDirectory`, which
/// goes away with the process, however that ends. So compressed datasets may be larger than memory as well.
enum DatasetText {
    /// - Throws: `DatasetError.unreadable`; `FileError.cannotWrite` where there is no room.
    static func map(_ path: String) throws -> MappedFile {
        let file = try open(path)
        let bytes = file.bytes.assumingMemoryBound(to: UInt8.self)
        guard let kind = Decompression.kind(bytes) else { return file }
        file.advise(.sequential)
        let directory = FileSystem.spillDirectory, name = "\(directory) (text of \(path))"
        let descriptor = try FileSystem.unnamedFile(in: directory)
        // The mapping keeps the file.
        defer { close(descriptor) }
        do {
            try withExtendedLifetime(file) { try Decompression.run(kind, bytes) { try OutputFile.write($0, to: descriptor, path: name) } }
        } catch let damage as Decompression.Damage {
            throw DatasetError.unreadable(path: path, reason: damage.reason)
        }
        // A file system may find out here only that there is no room.
        guard fsync(descriptor) == 0 else { throw FileError.cannotWrite(path: name, call: "fsync", code: errno) }
        return try open("/proc/self/fd/\(descriptor)")
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
