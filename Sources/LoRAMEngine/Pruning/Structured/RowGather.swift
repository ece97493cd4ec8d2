/// Streams kept rows and columns of one tensor after the other into a checkpoint, through one block of memory.
final class RowGather {
    static let blockByteCount = 8 << 20

    private let writer: CheckpointWriter
    private var block = UnsafeMutableRawBufferPointer.allocate(byteCount: blockByteCount, alignment: 64)
    private let floats = UnsafeMutablePointer<Float>.allocate(capacity: floatCount)
    private static let floatCount = 1 << 16
    /// Of the source's files so far: whole rows, whatever is kept of their columns.
    private(set) var readByteCount = 0

    init(writer: CheckpointWriter) {
        self.writer = writer
    }

    deinit {
        block.deallocate()
        floats.deallocate()
    }

    /// From a file, bit for bit.
    ///
    /// - Throws: `PruningError.nonFinite`; errors of reading and writing.
    func copy(_ file: any TensorFile, _ entry: Int, _ tensor: PrunedTensor) throws {
        let dtype = file.header.entries[entry].info.dtype
        let rowByteCount = tensor.sourceShape.dropFirst().reduce(dtype.byteCount, *)
        let keptByteCount = tensor.info.shape.dropFirst().reduce(dtype.byteCount, *)
        let wholeRow = ByteBuffer(count: tensor.columns == nil ? 0 : rowByteCount)
        try forEachBlock(tensor, keptRowByteCount: keptByteCount) { rows, used in
            readByteCount += rows.count * rowByteCount
            guard let columns = tensor.columns else {
                try file.read(entry, rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount, into: block.baseAddress! + used)
                used += rows.count * rowByteCount
                return
            }
            for row in rows {
                try file.read(entry, row * rowByteCount..<(row + 1) * rowByteCount, into: wholeRow.base)
                for run in columns {
                    let byteCount = run.count * dtype.byteCount
                    (block.baseAddress! + used).copyMemory(from: wholeRow.base + run.lowerBound * dtype.byteCount, byteCount: byteCount)
                    used += byteCount
                }
            }
        } flush: { used in
            let bytes = UnsafeRawBufferPointer(rebasing: block[..<used])
            try requireFinite(bytes, tensor.info, origin: file.path)
            try writer.append(bytes, to: tensor.info.name)
        } done: { rows in
            file.release(entry, rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount)
        }
    }

    /// From a generator, whose values are representable in the tensor's type.
    ///
    /// - Throws: errors of writing.
    func generate(_ source: SyntheticWeights, _ tensor: PrunedTensor) throws {
        let width = tensor.sourceShape.dropFirst().reduce(1, *)
        let keptWidth = tensor.info.shape.dropFirst().reduce(1, *)
        var wholeRow = [Float](repeating: 0, count: width)
        try forEachBlock(tensor, keptRowByteCount: keptWidth * 4) { rows, used in
            for row in rows {
                try source.copyFloats(tensor.info.name, shape: tensor.sourceShape, rows: row..<row + 1, into: &wholeRow)
                for run in tensor.columns ?? [0..<width] {
                    wholeRow.withUnsafeBytes { bytes in
                        (block.baseAddress! + used).copyMemory(from: bytes.baseAddress! + run.lowerBound * 4, byteCount: run.count * 4)
                    }
                    used += run.count * 4
                }
            }
        } flush: { used in
            try writer.append(floats: block.baseAddress!.assumingMemoryBound(to: Float.self), count: used / 4, to: tensor.info.name)
        } done: { _ in
        }
    }

    /// Cuts the kept rows into blocks that fit the buffer. `fill` adds rows behind `used` bytes, `flush` writes what is there, `done` says
    /// which source rows are no longer needed: kept or not, each row once, in order.
    private func forEachBlock(
        _ tensor: PrunedTensor, keptRowByteCount: Int, fill: (_ rows: Range<Int>, _ used: inout Int) throws -> Void,
        flush: (_ used: Int) throws -> Void, done: (_ rows: Range<Int>) -> Void
    ) throws {
        if keptRowByteCount > block.count {
            block.deallocate()
            block = .allocate(byteCount: keptRowByteCount, alignment: 64)
        }
        let rowsPerBlock = max(1, block.count / max(keptRowByteCount, 1))
        var used = 0
        var rowCount = 0
        var doneRow = 0
        for run in tensor.rows ?? [0..<tensor.sourceShape[0]] {
            var row = run.lowerBound
            while row < run.upperBound {
                let end = min(run.upperBound, row + rowsPerBlock - rowCount)
                try fill(row..<end, &used)
                rowCount += end - row
                if rowCount == rowsPerBlock {
                    try flush(used)
                    done(doneRow..<end)
                    (used, rowCount, doneRow) = (0, 0, end)
                }
                row = end
            }
        }
        if used > 0 { try flush(used) }
        done(doneRow..<tensor.sourceShape[0])
    }

    private func requireFinite(_ bytes: UnsafeRawBufferPointer, _ info: TensorInfo, origin: String) throws {
        let view = TensorView(
            info: TensorInfo(name: info.name, dtype: info.dtype, shape: [bytes.count / info.dtype.byteCount]), bytes: bytes, origin: origin, owner: self)
        var start = 0
        while start < view.info.elementCount {
            let end = min(start + Self.floatCount, view.info.elementCount)
            try view.copyFloats(start..<end, into: floats)
            if FloatConversion.firstNonFinite(floats, count: end - start) != nil {
                throw PruningError.nonFinite(path: origin, tensor: info.name)
            }
            start = end
        }
    }
}
