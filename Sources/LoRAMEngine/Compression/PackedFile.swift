import Foundation
internal import CLoRAMKernels

/// A packed safetensors file, decoded as it is read. Memory: a few frames for each thread that reads at the same time.
final class PackedFile: TensorFile {
    let path: String
    let header: SafetensorsHeader
    let headerBytes: [UInt8]
    let record: PackedRecord
    private let file: ReadableFile
    /// Offset of each frame, section after section, and the first frame of each section.
    private let layout: Layout
    private let readers: LeasePool<Reader>
    private let views = DecodedViews()

    private struct Layout {
        var offsets: [[Int]]

        init(_ record: PackedRecord) {
            var at = 0
            offsets = []
            for (index, section) in record.sections.enumerated() {
                let planes = record.format(index).planeCount
                var frames = [at]
                frames.reserveCapacity(section.hashes.count + 1)
                for frame in section.hashes.indices {
                    at = section.sizes[frame * planes..<(frame + 1) * planes].reduce(at, +)
                    frames.append(at)
                }
                offsets.append(frames)
            }
        }
    }

    /// Opens the file and decodes its header.
    ///
    /// - Throws: `FileError`, `CompressionError`, `SafetensorsError`.
    init(directory: String, record: PackedRecord) throws {
        let path = "\(directory)/\(record.storedName)"
        guard FilePath.isRegularFile(path) else {
            throw CompressionError.missingFile(index: "\(directory)/\(PackedIndex.fileName)", file: record.storedName)
        }
        file = try ReadableFile(path: path)
        guard file.byteCount == record.storedByteCount else {
            throw CompressionError.wrongSize(path: path, expected: record.storedByteCount, found: file.byteCount)
        }
        self.path = path
        self.record = record
        layout = Layout(record)
        let frameByteCount = record.frameByteCount
        readers = LeasePool { try Reader(frameByteCount: frameByteCount) }

        guard let first = record.sections.first, first.byteCount <= SafetensorsHeader.maxHeaderByteCount + 8 else {
            throw CompressionError.otherTensors(path: path, expected: "a header", found: "none")
        }
        let bytes = ByteBuffer(count: first.byteCount)
        try Self.read(0, 0..<first.byteCount, into: bytes.base, record, layout, file, readers, path)
        let text = UnsafeRawBufferPointer(start: bytes.base, count: first.byteCount)
        headerBytes = Array(text)
        header = try SafetensorsHeader(prefix: text, fileByteCount: record.byteCount, path: path)
        let expected = record.sections.dropFirst().compactMap(\.tensor), found = header.entries.map(\.info)
        guard expected == found, header.dataStart == first.byteCount else {
            let index = zip(expected, found).enumerated().first { $1.0 != $1.1 }?.offset ?? min(expected.count, found.count)
            func name(_ list: [TensorInfo]) -> String { list.indices.contains(index) ? "\(list[index].name) \(list[index].dtype.rawValue) \(list[index].shape)" : "no further tensor" }
            throw CompressionError.otherTensors(path: path, expected: name(expected), found: name(found))
        }
    }

    func read(_ entry: Int, _ bytes: Range<Int>, into destination: UnsafeMutableRawPointer) throws {
        precondition(bytes.lowerBound >= 0 && bytes.upperBound <= header.entries[entry].info.byteCount, "bytes outside of a tensor")
        try Self.read(entry + 1, bytes, into: destination, record, layout, file, readers, path)
    }

    func view(_ entry: Int) throws -> TensorView {
        let info = header.entries[entry].info
        let buffer = try views.buffer(entry, byteCount: info.byteCount) { try read(entry, 0..<info.byteCount, into: $0) }
        return TensorView(info: info, bytes: UnsafeRawBufferPointer(start: buffer.base, count: info.byteCount), origin: path, owner: buffer)
    }

    private static func read(
        _ section: Int, _ bytes: Range<Int>, into destination: UnsafeMutableRawPointer, _ record: PackedRecord, _ layout: Layout,
        _ file: ReadableFile, _ readers: LeasePool<Reader>, _ path: String
    ) throws {
        if bytes.isEmpty { return }
        let size = record.frameByteCount, total = record.sections[section].byteCount
        try readers.with { reader in
            for frame in bytes.lowerBound / size...(bytes.upperBound - 1) / size {
                let range = frame * size..<min((frame + 1) * size, total)
                let wanted = range.clamped(to: bytes)
                let target = destination + (wanted.lowerBound - bytes.lowerBound)
                if wanted == range, !reader.holds(section, frame) {
                    try reader.decode(section, frame, record, layout.offsets[section], file, path, count: range.count, into: target)
                } else {
                    let whole = try reader.remembered(section, frame, record, layout.offsets[section], file, path, count: range.count)
                    target.copyMemory(from: whole + (wanted.lowerBound - range.lowerBound), byteCount: wanted.count)
                }
            }
        }
    }
}

/// What one thread needs to decode: and the last frame of which it gave a part, since the rest is likely to be wanted next.
private final class Reader: @unchecked Sendable {
    private let decoder: FrameDecoder
    private let stored: ByteBuffer
    private let frame: ByteBuffer
    private var held: (section: Int, frame: Int)?

    init(frameByteCount: Int) throws {
        decoder = try FrameDecoder(frameByteCount: frameByteCount)
        stored = ByteBuffer(count: FrameEncoder.capacity(byteCount: frameByteCount))
        frame = ByteBuffer(count: frameByteCount)
    }

    func holds(_ section: Int, _ frame: Int) -> Bool { held.map { $0 == (section, frame) } ?? false }

    func decode(
        _ section: Int, _ frame: Int, _ record: PackedRecord, _ offsets: [Int], _ file: ReadableFile, _ path: String, count: Int,
        into destination: UnsafeMutableRawPointer
    ) throws {
        let part = record.sections[section], format = record.format(section), storedCount = offsets[frame + 1] - offsets[frame]
        func damaged(_ reason: String) -> CompressionError {
            .damagedFrame(path: path, tensor: part.tensor?.name, frame: frame, reason: reason)
        }
        try file.read(offsets[frame], count: storedCount, into: stored.base)
        guard loram_xxh64(stored.base, storedCount) == part.hashes[frame] else { throw damaged("wrong XXH64") }
        do {
            try part.sizes.withUnsafeBufferPointer { sizes throws(FrameDecoder.Damage) in
                try decoder.decode(stored.base, sizes: sizes.baseAddress! + frame * format.planeCount, format: format, into: destination, count: count)
            }
        } catch let damage {
            throw damaged(damage.reason)
        }
    }

    func remembered(
        _ section: Int, _ frame: Int, _ record: PackedRecord, _ offsets: [Int], _ file: ReadableFile, _ path: String, count: Int
    ) throws -> UnsafeRawPointer {
        if !holds(section, frame) {
            held = nil
            try decode(section, frame, record, offsets, file, path, count: count, into: self.frame.base)
            held = (section, frame)
        }
        return UnsafeRawPointer(self.frame.base)
    }
}
