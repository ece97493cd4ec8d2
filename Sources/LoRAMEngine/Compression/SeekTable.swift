/// The end of a file in zstd's seekable format: a skippable frame that lists the frames before it, so that other programs can seek too.
/// (Format: contrib/seekable_format in zstd, version 0.1.0. Little-endian: magic 0x184D2A5E, size; for each frame its stored and plain size;
/// number of frames, a descriptor of zero, magic 0x8F92EAB1.)
enum SeekTable {
    static func write(_ record: PackedRecord, to output: OutputFile) throws -> Int {
        var bytes: [UInt8] = []
        func append(_ value: Int) { withUnsafeBytes(of: UInt32(truncatingIfNeeded: value).littleEndian) { bytes.append(contentsOf: $0) } }
        let count = record.sections.reduce(0) { $0 + $1.sizes.count }
        append(0x184d_2a5e)
        append(8 * count + 9)
        for section in record.sections {
            for (frame, size) in section.sizes.enumerated() {
                append(size)
                append(min(record.frameByteCount, section.byteCount - frame * record.frameByteCount))
            }
        }
        append(count)
        bytes.append(0)
        append(0x8f92_eab1)
        try output.write(bytes)
        return bytes.count
    }
}
