internal import CZlib
internal import CZstd

/// Brings a compressed dataset to its text, block by block, in a fixed amount of memory.
enum Decompression {
    enum Kind { case gzip, zstd }

    /// By the first bytes; nil for a file that is neither.
    static func kind(_ bytes: UnsafeBufferPointer<UInt8>) -> Kind? {
        if bytes.starts(with: [0x1f, 0x8b]) { return .gzip }
        let isFrame = bytes.starts(with: [0x28, 0xb5, 0x2f, 0xfd])
        // Skippable frames: 0x184D2A5? in little-endian order.
        let isSkippable = bytes.count >= 4 && bytes[0] & 0xf0 == 0x50 && bytes.dropFirst().starts(with: [0x2a, 0x4d, 0x18])
        return isFrame || isSkippable ? .zstd : nil
    }

    struct Damage: Error { var reason: String }

    /// Bytes of a block of output.
    private static let blockBytes = 1 << 17

    /// Calls `output` with the text, piece after piece. Several streams one behind the other are one text.
    ///
    /// - Throws: `Damage`; what `output` throws.
    static func run(_ kind: Kind, _ input: UnsafeBufferPointer<UInt8>, _ output: (UnsafeRawBufferPointer) throws -> Void) throws {
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: blockBytes, alignment: 64)
        defer { block.deallocate() }
        switch kind {
        case .gzip: try inflateAll(input, block, output)
        case .zstd: try decompressAll(input, block, output)
        }
    }

    private static func inflateAll(
        _ input: UnsafeBufferPointer<UInt8>, _ block: UnsafeMutableRawBufferPointer, _ output: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var stream = z_stream()
        guard loram_inflate_init(&stream) == Z_OK else { throw Damage(reason: "zlib has no memory") }
        defer { inflateEnd(&stream) }
        var position = 0
        var isInsideStream = true
        while true {
            // A call takes 32-bit counts.
            let available = min(input.count - position, 1 << 30)
            if available == 0 {
                guard isInsideStream else { return }
                throw Damage(reason: "expected the end of a gzip stream, found the end of the file")
            }
            stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress! + position)
            stream.avail_in = UInt32(available)
            stream.next_out = block.baseAddress!.assumingMemoryBound(to: UInt8.self)
            stream.avail_out = UInt32(block.count)
            let code = inflate(&stream, Z_NO_FLUSH)
            position += available - Int(stream.avail_in)
            guard code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR else {
                throw Damage(reason: "expected gzip data, found at byte \(position) what is none")
            }
            let count = block.count - Int(stream.avail_out)
            if count > 0 { try output(UnsafeRawBufferPointer(rebasing: block[..<count])) }
            isInsideStream = code != Z_STREAM_END
            guard code == Z_STREAM_END else { continue }
            // Zeros behind the last stream are padding, as gzip has it.
            while position < input.count, input[position] == 0 { position += 1 }
            inflateReset(&stream)
        }
    }

    private static func decompressAll(
        _ input: UnsafeBufferPointer<UInt8>, _ block: UnsafeMutableRawBufferPointer, _ output: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard let context = ZSTD_createDStream() else { throw Damage(reason: "zstd has no memory") }
        defer { ZSTD_freeDStream(context) }
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var isInsideFrame = false
        while source.pos < source.size || isInsideFrame {
            var target = ZSTD_outBuffer(dst: block.baseAddress, size: block.count, pos: 0)
            let before = source.pos
            let code = ZSTD_decompressStream(context, &target, &source)
            guard ZSTD_isError(code) == 0 else {
                throw Damage(reason: "expected zstd data, found at byte \(source.pos): \(String(cString: ZSTD_getErrorName(code)))")
            }
            if target.pos > 0 { try output(UnsafeRawBufferPointer(rebasing: block[..<target.pos])) }
            isInsideFrame = code != 0
            if isInsideFrame, source.pos == before, target.pos == 0 {
                throw Damage(reason: "expected the end of a zstd frame, found the end of the file")
            }
        }
    }
}
