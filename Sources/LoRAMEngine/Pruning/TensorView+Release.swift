import Foundation

extension TensorView {
    /// Gives a byte range that was read to its end back to the system: it stays in the page cache but leaves this process's memory.
    ///
    /// Pages count from the one in which the range starts, since what lies before was read earlier, to the last that it fills. A page
    /// that is needed after all comes back when it is read.
    ///
    /// Does nothing for bytes that are no mapping of a file.
    func release(_ range: Range<Int>) {
        guard isMapped, let base = bytes.baseAddress, !range.isEmpty else { return }
        let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
        let start = UInt(bitPattern: base + range.lowerBound) / page * page
        let end = UInt(bitPattern: base + range.upperBound) / page * page
        guard start < end, let address = UnsafeMutableRawPointer(bitPattern: start) else { return }
        _ = madvise(address, Int(end - start), MADV_DONTNEED)
    }
}

extension ModelReference {
    /// Gives the mapped pages of a part's weights back to the system when they have been read; nothing for weights that are made or decoded.
    public func release(_ range: StageRange) {
        for (file, entry) in places(range) { file.release(entry, 0..<file.header.entries[entry].info.byteCount) }
    }

    /// Has the system read a part's weights from their plain files, if they are in any, without waiting for it.
    func readAhead(_ range: StageRange) {
        for (file, entry) in places(range) { (file as? SafetensorsFile)?.file.advise(.willNeed, range: file.header.entries[entry].range) }
    }

    /// Where a part's tensors are, those beside quantized weights among them.
    private func places(_ range: StageRange) -> [(file: any TensorFile, entry: Int)] {
        guard case .checkpoint(let checkpoint) = origin else { return [] }
        let suffixes = [""] + (checkpoint.quantization == nil ? [] : NF4Tensor.Part.allCases.map(\.rawValue))
        return StageWeights.weights(of: range, config).flatMap { name, _ in
            let stored = FrozenWeights.storedName(name, tied: config.tiesWordEmbeddings)
            return suffixes.compactMap { try? checkpoint.locate(stored + $0) }
        }
    }

    /// Bytes of a layer's linear weights as they are stored.
    public func storedByteCount(layer: Int) -> Int {
        LinearSite.inLayer.reduce(0) { total, site in
            let shape = site.shape(in: config, layer: layer)
            let type = (try? dtype("\(site.modulePath(layer: layer)).weight", [shape.out, shape.in])) ?? config.dtype
            return total + shape.out * shape.in * type.byteCount
        }
    }
}
