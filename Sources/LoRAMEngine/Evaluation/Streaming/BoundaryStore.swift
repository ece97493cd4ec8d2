import Foundation

/// The activations [N, D] of every micro-batch at one boundary between layers: the first ones in memory, those beyond a limit in a file
/// without a name, of which one micro-batch at a time is in memory.
final class BoundaryStore {
    /// Floats of each micro-batch, and where they begin: in memory, or behind `keptCount` in the file.
    private let counts: [Int]
    private let starts: [Int]
    private let keptCount: Int
    private let kept: Arena
    private let buffer: Arena
    private let directory: String
    /// Of the file; nil where all is in memory.
    private let descriptor: Int32?

    /// Bytes in the file.
    let spilledByteCount: Int

    /// - Parameters:
    ///   - counts: floats of each micro-batch.
    ///   - memoryByteCount: of activations that stay in memory, beside the largest micro-batch.
    ///   - directory: for the file, if there is one; it should not lie in memory.
    /// - Throws: `FileError.cannotWrite`, `MemoryError`.
    init(counts: [Int], memoryByteCount: Int, directory: String) throws {
        var starts: [Int] = [], total = 0, keptCount = 0, keptFloats = 0
        for count in counts {
            if keptCount == starts.count, (total + count) * 4 <= memoryByteCount { (keptCount, keptFloats) = (keptCount + 1, total + count) }
            starts.append(total)
            total += count
        }
        self.counts = counts
        self.starts = starts
        self.keptCount = keptCount
        self.directory = directory
        kept = try Arena(Self.layout(keptFloats))
        buffer = try Arena(Self.layout(counts[keptCount...].max() ?? 0))
        spilledByteCount = (total - keptFloats) * 4
        descriptor = spilledByteCount > 0 ? try FileSystem.unnamedFile(in: directory) : nil
    }

    deinit { if let descriptor { close(descriptor) } }

    private static func layout(_ count: Int) -> ArenaLayout {
        var layout = ArenaLayout()
        _ = layout.reserve(count)
        return layout
    }

    /// A micro-batch's activations, to be changed in place and given back by `put`; valid until the next call.
    /// - Parameter empty: what was there is not wanted.
    func get(_ index: Int, empty: Bool = false) throws -> UnsafeMutablePointer<Float> {
        guard index >= keptCount, let descriptor else { return memory(index) }
        if !empty {
            try transfer(index) { pread(descriptor, $0, $1, off_t($2)) }
            // The next one is read while this one is computed with.
            if index + 1 < counts.count { posix_fadvise(descriptor, off_t(offset(index + 1)), off_t(counts[index + 1] * 4), POSIX_FADV_WILLNEED) }
        }
        return memory(index)
    }

    /// Keeps what was changed in the memory that `get` gave.
    func put(_ index: Int) throws {
        guard index >= keptCount, let descriptor else { return }
        try transfer(index) { pwrite(descriptor, $0, $1, off_t($2)) }
    }

    private func memory(_ index: Int) -> UnsafeMutablePointer<Float> {
        index < keptCount
            ? (kept.base + starts[index] * 4).assumingMemoryBound(to: Float.self) : buffer.base.assumingMemoryBound(to: Float.self)
    }

    private func offset(_ index: Int) -> Int { (starts[index] - (keptCount < starts.count ? starts[keptCount] : 0)) * 4 }

    private func transfer(_ index: Int, _ call: (UnsafeMutableRawPointer, Int, Int) -> Int) throws {
        let base = UnsafeMutableRawPointer(memory(index)), count = counts[index] * 4
        var done = 0
        while done < count {
            let moved = call(base + done, count - done, offset(index) + done)
            if moved > 0 {
                done += moved
            } else if moved == 0 || errno != EINTR {
                throw FileError.cannotWrite(path: "\(directory) (activations)", call: "pread or pwrite", code: moved == 0 ? EIO : errno)
            }
        }
    }
}
