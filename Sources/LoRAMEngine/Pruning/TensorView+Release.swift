import Foundation

extension TensorView {
    /// Gives the whole pages of a byte range back to the system, for mapped bytes that are not needed again: they stay in the page cache
    /// but leave this process's memory.
    ///
    /// - Precondition: the bytes are a read-only mapping of a file.
    func release(_ range: Range<Int>) {
        guard let base = bytes.baseAddress, !range.isEmpty else { return }
        let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
        let start = (UInt(bitPattern: base + range.lowerBound) + page - 1) / page * page
        let end = UInt(bitPattern: base + range.upperBound) / page * page
        guard start < end, let address = UnsafeMutableRawPointer(bitPattern: start) else { return }
        _ = madvise(address, Int(end - start), MADV_DONTNEED)
    }
}
