import Synchronization

/// The safetensors files of a directory, be it plain, packed or computed from another model. The one place where these are told apart:
/// `Checkpoint`, `Adapter` and every command read through it.
public final class CheckpointFiles: Sendable {
    public static let plainSuffix = ".safetensors"

    public let directory: String
    /// Names of the plain files. Of a plain directory all that are there, sorted.
    public let names: [String]
    /// checkpoint.json; nil for a plain directory.
    package let index: PackedIndex?
    /// Files of a `base` checkpoint.
    private let merged: [MergedFile]
    private let records: [String: PackedRecord]
    private let opened = Mutex<[String: any TensorFile]>([:])

    /// Reads checkpoint.json where there is one; opens no file, but for codec `base` the original's.
    ///
    /// - Throws: `FileError`, `CompressionError`; for codec `base` also errors of the original and the adapter.
    public init(directory: String) throws {
        self.directory = directory
        guard Self.isPacked(directory) else {
            guard FilePath.isDirectory(directory) else { throw FileError.notDirectory(path: directory) }
            names = try FilePath.names(inDirectory: directory).filter { $0.hasSuffix(Self.plainSuffix) && FilePath.isRegularFile("\(directory)/\($0)") }
            index = nil
            merged = []
            records = [:]
            return
        }
        let index = try PackedIndex(directory: directory)
        self.index = index
        names = index.files.map(\.name)
        records = Dictionary(index.files.map { ($0.name, $0) }) { first, _ in first }
        if case .base(let base) = index.contents { merged = try base.open(directory: directory, files: index.files) } else { merged = [] }
    }

    /// Whether a directory is packed.
    public static func isPacked(_ directory: String) -> Bool { FilePath.isRegularFile("\(directory)/\(PackedIndex.fileName)") }

    /// Name of the codec; nil for a plain directory.
    public var codecName: String? { index?.codecName }
    /// Bytes on the disk and when plain, of a packed directory's safetensors files.
    public var packedSizes: (stored: Int, plain: Int)? { index.map { ($0.storedByteCount, $0.byteCount) } }

    public func contains(_ name: String) -> Bool {
        index == nil ? FilePath.isRegularFile("\(directory)/\(name)") : records[name] != nil
    }

    /// Opens a file by its plain name, once.
    ///
    /// - Throws: `FileError`, `SafetensorsError`, `CompressionError`.
    public func open(_ name: String) throws -> any TensorFile {
        if let known = opened.withLock({ $0[name] }) { return known }
        let file: any TensorFile
        if let index {
            if let computed = merged.first(where: { $0.name == name }) {
                file = computed
            } else if let record = records[name] {
                if case .base = index.contents { throw CompressionError.missingFile(index: "\(directory)/\(PackedIndex.fileName)", file: name) }
                file = try PackedFile(directory: directory, record: record)
            } else {
                throw CompressionError.missingFile(index: "\(directory)/\(PackedIndex.fileName)", file: name)
            }
        } else {
            file = try SafetensorsFile(path: "\(directory)/\(name)")
        }
        return opened.withLock { files in
            if let known = files[name] { return known }
            files[name] = file
            return file
        }
    }

    /// The files of any checkpoint, in a fixed order.
    ///
    /// - Throws: `CompressionError.noWeights` where there are none; errors of opening.
    package func all() throws -> [(name: String, file: any TensorFile)] {
        guard !names.isEmpty else { throw CompressionError.noWeights(path: directory) }
        return try names.map { ($0, try open($0)) }
    }

    /// Where a tensor is; nil for a name that is in none of the files.
    package func find(_ tensor: String) throws -> (file: any TensorFile, entry: Int)? {
        for (_, file) in try all() { if let entry = file.header.index(of: tensor) { return (file, entry) } }
        return nil
    }

    /// Changes whenever a file on the disk does: what was made from it is out of date then.
    package func fingerprint(_ name: String) -> String {
        let stored = records[name]?.storedName ?? name
        return FileSystem.identity("\(directory)/\(stored)") ?? "\(directory)/\(name)"
    }
}
