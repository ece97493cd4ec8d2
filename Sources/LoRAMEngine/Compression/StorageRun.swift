import Foundation

/// The commands `pack`, `unpack` and `verify`.
public enum StorageRun {
    public struct Report: Sendable, CustomStringConvertible {
        public var path: String
        public var verb: String
        public var codec: String
        public var fileCount: Int
        /// Of the plain safetensors files, and of the stored ones.
        public var plainByteCount: Int
        public var storedByteCount: Int
        public var seconds: Double

        package init(path: String, verb: String, codec: String, fileCount: Int, plainByteCount: Int, storedByteCount: Int, seconds: Double) {
            self.path = path
            self.verb = verb
            self.codec = codec
            self.fileCount = fileCount
            self.plainByteCount = plainByteCount
            self.storedByteCount = storedByteCount
            self.seconds = seconds
        }

        public var ratio: Double { plainByteCount > 0 ? Double(storedByteCount) / Double(plainByteCount) : 1 }
        public var gigabytesPerSecond: Double { seconds > 0 ? Double(plainByteCount) / seconds / 1e9 : 0 }

        public var json: JSONValue {
            [
                "path": .string(path), "codec": .string(codec), "files": .integer(fileCount), "bytes": .integer(plainByteCount),
                "stored_bytes": .integer(storedByteCount), "ratio": .double(ratio), "seconds": .double(seconds), "gb_per_second": .double(gigabytesPerSecond),
            ]
        }

        public var description: String {
            "\(path): \(verb) \(fileCount) \(fileCount == 1 ? "file" : "files"), \(Formatting.bytes(storedByteCount)) for \(Formatting.bytes(plainByteCount)) "
                + "(\(Formatting.fixed(100 * ratio, decimals: 1)) %, \(codec)), \(Formatting.seconds(seconds)), "
                + "\(Formatting.fixed(gigabytesPerSecond, decimals: 2)) GB/s"
        }
    }

    /// Packs a checkpoint, plain or packed, into a new directory.
    ///
    /// - Throws: errors of the input; `FileError`.
    public static func pack(_ input: String, to output: String, codec: Codec, hashes: Bool, threads: Int?) throws -> Report {
        try convert(input, to: output, codec: codec, hashes: hashes, threads: threads, verb: "packed")
    }

    /// The plain files, byte for byte as they were before `pack`.
    ///
    /// - Throws: also `CompressionError.wrongHash` where hashes were kept and a file differs.
    public static func unpack(_ input: String, to output: String, threads: Int?) throws -> Report {
        try convert(input, to: output, codec: .none, hashes: CheckpointFiles(directory: input).hasHashes, threads: threads, verb: "unpacked")
    }

    private static func convert(_ input: String, to output: String, codec: Codec, hashes: Bool, threads: Int?, verb: String) throws -> Report {
        let start = ContinuousClock.now
        let source = try CheckpointFiles(directory: input), files = try source.all()
        let packer = try FilePacker(codec: codec, hashes: hashes, pool: ThreadPool(threadCount: threads ?? Machine.availableProcessorCount))
        let directory = try AtomicDirectory(output, resumable: true)
        let store = CheckpointStore(path: output, codec: codec, hashes: hashes)
        var progress = StorageProgress(verb: verb, total: files.reduce(0) { $0 + $1.file.byteCount })
        var index = PackedIndex(contents: .packed(codec), files: [], companions: [])
        for (name, file) in files {
            let record = try store.store(file, name: name, fingerprint: source.fingerprint(name), packer: packer) { progress.add($0) }
            try source.require(record.sha256, of: name)
            index.files.append(record)
        }
        for name in try source.companions() {
            let companion = try store.copy("\(input)/\(name)", as: name)
            try source.require(companion)
            index.companions.append(companion)
        }
        try store.finish(directory, index: codec == .none ? nil : index)
        progress.close()
        return Report(
            path: output, verb: verb, codec: codec == .none ? (source.codecName ?? "none") : codec.rawValue, fileCount: files.count,
            plainByteCount: index.byteCount, storedByteCount: codec == .none ? source.packedSizes?.stored ?? index.byteCount : index.storedByteCount,
            seconds: start.duration(to: .now) / .seconds(1))
    }

    /// Reads everything and compares it with what checkpoint.json says; of a plain directory headers and the index.
    ///
    /// - Throws: the first thing that is wrong.
    public static func verify(_ path: String, threads: Int?) throws -> Report {
        let start = ContinuousClock.now
        let source = try CheckpointFiles(directory: path), files = try source.all()
        let total = files.reduce(0) { $0 + $1.file.byteCount }
        if let index = source.index {
            let pool = try ThreadPool(threadCount: threads ?? Machine.availableProcessorCount)
            let packer = try FilePacker(codec: .none, hashes: true, pool: pool)
            var progress = StorageProgress(verb: "verified", total: total)
            if case .base(let base) = index.contents { try base.verify(directory: path, packer: packer) }
            for (name, file) in files {
                let record = try packer.pack(file, name: name, to: nil) { progress.add($0) }
                try source.require(record.sha256, of: name)
            }
            for companion in index.companions { try source.verify(companion) }
            progress.close()
        }
        if let type = (try? JSONValue.parse(contentsOf: "\(path)/\(Checkpoint.configName)"))?["model_type"]?.stringValue,
            [LlamaConfig.modelType, LlamaConfig.prunedModelType].contains(type), Checkpoint.hasWeights(path)
        {
            try Checkpoint(directory: path).validate()
        }
        return Report(
            path: path, verb: source.index == nil ? "checked the headers of" : "verified", codec: source.codecName ?? "plain", fileCount: files.count,
            plainByteCount: total, storedByteCount: source.packedSizes?.stored ?? total, seconds: start.duration(to: .now) / .seconds(1))
    }

    /// Writes single tensors as a safetensors file, without reading the others.
    ///
    /// - Throws: `CompressionError.noSuchTensor`; errors of reading and writing.
    public static func extract(_ names: [String], from input: String, to output: String) throws {
        let source = try CheckpointFiles(directory: input)
        guard !FilePath.exists(output) else { throw FileError.exists(path: output) }
        let places = try names.map { name in
            guard let place = try source.find(name) else { throw CompressionError.noSuchTensor(path: input, tensor: name) }
            return place
        }
        let writer = try SafetensorsWriter(path: output, tensors: places.map { $0.file.header.entries[$0.entry].info })
        let buffer = ByteBuffer(count: 4 << 20)
        for (file, entry) in places {
            let info = file.header.entries[entry].info
            for start in stride(from: 0, to: info.byteCount, by: buffer.count) {
                let bytes = start..<min(start + buffer.count, info.byteCount)
                try file.read(entry, bytes, into: buffer.base)
                try writer.append(UnsafeRawBufferPointer(start: buffer.base, count: bytes.count), to: info.name)
            }
        }
        try writer.finish()
    }
}

/// The progress line of a command that goes over files.
package struct StorageProgress {
    private var line: ByteProgress
    private let total: Int
    private var done = 0
    private let start = ContinuousClock.now

    package init(verb: String, total: Int) {
        line = ByteProgress(verb: verb)
        self.total = total
    }

    package mutating func add(_ count: Int) {
        done += count
        show(min(done, total - 1))
    }

    package mutating func close() { show(total) }

    private mutating func show(_ done: Int) {
        if let text = line.update(done: done, total: total, elapsed: start.duration(to: .now)) {
            FileHandle.standardError.write(Data(text.utf8))
        }
    }
}
