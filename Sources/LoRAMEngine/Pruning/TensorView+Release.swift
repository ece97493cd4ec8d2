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
    /// Gives the mapped pages of a layer's weights back to the system when they have been read; nothing for weights that are made.
    public func releaseLayer(_ layer: Int) {
        guard case .checkpoint(let checkpoint) = origin else { return }
        for site in LinearSite.inLayer {
            guard let view = try? checkpoint.tensor("\(site.modulePath(layer: layer)).weight") else { continue }
            view.release(0..<view.bytes.count)
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
