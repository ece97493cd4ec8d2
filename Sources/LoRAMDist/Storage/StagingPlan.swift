import LoRAMEngine

/// What rank 0 is about to send to the hosts that do not see its files.
struct StagingPlan: Codable {
    /// A file, or parts of it.
    struct File: Codable {
        /// Where rank 0 has it.
        var path: String
        /// Of the whole file. A host gets a file of that size; what it does not need stays a hole, which takes no room.
        var byteCount: Int
        /// Starts and ends of the parts.
        var ranges: [[Int]]
        /// Ranks of the stream's group that get these parts: the first from rank 0, every further one from the one before it.
        var receivers: [Int]
    }

    /// Files and directories that are sent anew: what was there is gone first.
    var renewed: [String] = []
    var directories: [String] = []
    var files: [File] = []

    /// One more part, in the order of the file.
    mutating func add(_ range: Range<Int>, of path: String, byteCount: Int, receivers: [Int]) {
        let range = [range.lowerBound, range.upperBound]
        if let last = files.last, last.path == path, last.receivers == receivers {
            files[files.count - 1].ranges.append(range)
        } else {
            files.append(File(path: path, byteCount: byteCount, ranges: [range], receivers: receivers))
        }
    }

    private static let maxOtherByteCount = 1 << 28

    /// What of a directory all hosts get, each file up to `end`: everything small, and of safetensors files the header, which says what is
    /// where. A packed checkpoint goes as it is. Subdirectories, and other large files, which no command here reads, stay.
    ///
    /// - Throws: `FileError`, `SafetensorsError`.
    static func listing(_ directory: String) throws -> [(path: String, byteCount: Int, end: Int)] {
        let isPacked = CheckpointFiles.isPacked(directory)
        return try FilePath.names(inDirectory: directory).compactMap { name in
            let path = "\(directory)/\(name)"
            guard !name.hasPrefix("."), let byteCount = FileSystem.fileSize(path) else { return nil }
            if !isPacked, name.hasSuffix(CheckpointFiles.plainSuffix) { return (path, byteCount, try SafetensorsFile(path: path).header.dataStart) }
            return isPacked || byteCount <= maxOtherByteCount ? (path, byteCount, byteCount) : nil
        }
    }
}

extension StageRange {
    /// Whether a stage reads a tensor: a weight, its parts in 4 bit, its mask, its adapter's factors or its training state. A name that
    /// speaks of no layer, embedding or head is taken for everybody's.
    package func needs(tensor name: String, tied: Bool) -> Bool {
        if let match = name.firstMatch(of: /layers\.(\d+)\./), let layer = Int(match.output.1) { return layers.contains(layer) }
        if name.contains("embed_tokens") { return isFirst || (tied && isLast) }
        if name.contains("lm_head") || name.contains("model.norm.") { return isLast }
        return true
    }
}
