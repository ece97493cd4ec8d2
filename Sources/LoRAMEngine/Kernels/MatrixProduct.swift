internal import COpenBLAS

/// Small f32 products inside a task of the pool, by OpenBLAS: attention's tiles and what dropout stands in the middle of.
///
/// Always single-threaded: with threads, and with another cut of the first dimension, OpenBLAS's last bits change. Callers cut by
/// shapes alone.
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
