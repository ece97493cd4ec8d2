internal import COpenBLAS

/// Dense f32 products by OpenBLAS, single-threaded on tiles that a pool shares out.
///
/// OpenBLAS's own threads, and its results for a split first dimension, depend on how work is cut; so the cut here depends on
/// the shapes alone and results do not change with the number of threads.
enum MatrixProduct {
    /// y (=, or += where `accumulate`) alpha * a * b on one tile, row-major with leading dimensions; `transposeA`: a is [k, m]; `transposeB`: b is [n, k].
    @inline(__always)
    static func tile(
        _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, transposeA: Bool = false,
        _ b: UnsafePointer<Float>, _ ldb: Int, transposeB: Bool = false,
        _ y: UnsafeMutablePointer<Float>, _ ldy: Int, alpha: Float = 1, accumulate: Bool
    ) {
        cblas_sgemm(
            CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
            blasint(m), blasint(n), blasint(k), alpha, a, blasint(lda), b, blasint(ldb), accumulate ? 1 : 0, y, blasint(ldy))
    }

    /// Cut of a [rows, columns] result: tiles large enough that OpenBLAS's packing stays below a tenth of the work, small enough
    /// that there are some to share out.
    struct Tiling {
        let rowBlock: Int
        let columnBlock: Int
        let rowBlocks: Int
        let columnBlocks: Int

        init(rows: Int, columns: Int) {
            var rowBlock = 512, columnBlock = 512
            func count(_ total: Int, _ block: Int) -> Int { (total + block - 1) / block }
            while count(rows, rowBlock) * count(columns, columnBlock) < 8, max(rowBlock, columnBlock) > 64 {
                if min(rows, rowBlock) >= min(columns, columnBlock) { rowBlock /= 2 } else { columnBlock /= 2 }
            }
            self.rowBlock = rowBlock
            self.columnBlock = columnBlock
            rowBlocks = count(rows, rowBlock)
            columnBlocks = count(columns, columnBlock)
        }

        var count: Int { rowBlocks * columnBlocks }

        func rows(_ index: Int, of rows: Int) -> Range<Int> {
            let start = index / columnBlocks * rowBlock
            return start..<min(start + rowBlock, rows)
        }

        func columns(_ index: Int, of columns: Int) -> Range<Int> {
            let start = index % columnBlocks * columnBlock
            return start..<min(start + columnBlock, columns)
        }
    }
}

/// What OpenBLAS does in this process.
public enum BLASBackend {
    /// The kernel set that OpenBLAS picked when it was loaded ("Haswell", "SkylakeX", ...).
    public static var coreName: String { String(cString: openblas_get_corename()) }
    /// Version and build options.
    public static var configuration: String { String(cString: openblas_get_config()) }
    /// OpenBLAS must never use threads of its own here.
    public static func useOneThread() { openblas_set_num_threads(1) }
}
