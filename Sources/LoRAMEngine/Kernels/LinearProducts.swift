internal import CLoRAMKernels

/// The matrix products of linear layers and of LoRA's thin factors, on one pool with one workspace.
///
/// Legend: N rows (tokens), O outputs, I inputs, R rank. The kernels' formulas, rounding and order stand in loram_gemm.h.
struct LinearProducts {
    let kernels: ComputeKernels
    private let execution: loram_execution

    /// `workspace` must hold `workspaceByteCount` of every product that will be run.
    init(kernels: ComputeKernels, pool: ThreadPool, workspace: UnsafeMutableRawPointer, workspaceByteCount: Int) {
        self.kernels = kernels
        execution = loram_execution(
            kernels: kernels.set, compute: kernels.compute, parallel_for: { loram_pool_run($0, $1, $2, $3) }, pool: UnsafeMutableRawPointer(pool.pool),
            workers: Int32(pool.threadCount), workspace: workspace, workspace_bytes: workspaceByteCount)
    }

    /// Bytes of workspace for all products of a linear layer with up to `rows` tokens.
    static func workspaceByteCount(
        _ kernels: ComputeKernels, rows: Int, outputs: Int, inputs: Int, rank: Int, trainsWeight: Bool, workers: Int
    ) -> Int {
        let products = [LORAM_FORWARD, LORAM_INPUT_GRADIENT] + (trainsWeight ? [LORAM_WEIGHT_GRADIENT] : [])
        // A small number of rows takes a path of its own.
        let linear = products.flatMap { product in
            [rows, min(rows, Int(LORAM_SMALL_TOKENS))].map {
                loram_linear_workspace(kernels.set, kernels.compute, product, $0, outputs, inputs, rank, Int32(workers))
            }
        }
        // Up to three sites read one input together.
        let ranks = min(3 * rank, max(rank, Int(LORAM_RANKS_TOGETHER)))
        return Int(max(linear.max() ?? 0, loram_thin_workspace(kernels.set, rows, max(outputs, inputs), ranks, Int32(workers))))
    }

    /// Whether results that backward needs are bf16 values, so that keeping them in bf16 loses nothing.
    var keepsBF16: Bool { kernels.type == .bf16 }

    /// y[N, O] = start[N, O] (nil: 0) + x[N, I] W^T + low-rank term; `rounds`: to bf16 values; `again`: no other product has run since one
    /// of the same x.
    func forward(
        _ y_NO: UnsafeMutablePointer<Float>, _ x_NI: UnsafePointer<Float>, _ weight: WeightMatrix, rows N: Int,
        start_NO: UnsafePointer<Float>? = nil, rounds: Bool, again: Bool = false, lowRank: loram_low_rank?
    ) {
        let product = again ? loram_linear_forward_again : loram_linear_forward
        run { execution in
            withPointers(weight, lowRank) {
                product(execution, y_NO, weight.rowCount, start_NO, rounds ? 1 : 0, x_NI, weight.columnCount, $0, N, $1)
            }
        }
    }

    /// dx[N, I] (= or +=) dy[N, O] W + low-rank term.
    func inputGradient(
        _ dx_NI: UnsafeMutablePointer<Float>, _ dy_NO: UnsafePointer<Float>, _ weight: WeightMatrix, rows N: Int, accumulate: Bool,
        lowRank: loram_low_rank?
    ) {
        run { execution in
            withPointers(weight, lowRank) {
                loram_linear_input_gradient(execution, dx_NI, weight.columnCount, accumulate ? 1 : 0, dy_NO, weight.rowCount, $0, N, $1)
            }
        }
    }

    /// dW[O, I] += dy[N, O]^T x[N, I].
    func weightGradient(
        _ dW_OI: UnsafeMutablePointer<Float>, _ dy_NO: UnsafePointer<Float>, _ x_NI: UnsafePointer<Float>, rows N: Int, outputs O: Int, inputs I: Int
    ) {
        run { loram_linear_weight_gradient($0, dW_OI, I, 1, dy_NO, O, x_NI, I, N, O, I) }
    }

    /// h[N, R] = dropout(x[N, I]) A[R, I]^T for each of several factors that share one reading of x.
    func project(
        _ x_NI: UnsafePointer<Float>, rows N: Int, columns I: Int, _ factors: [(h_NR: UnsafeMutablePointer<Float>, a_RI: UnsafePointer<Float>, rank: Int)],
        dropout: loram_dropout_mask?
    ) {
        run { execution in
            withUnsafeTemporaryAllocation(of: loram_thin_factor.self, capacity: factors.count) { thin in
                for (index, factor) in factors.enumerated() {
                    thin.initializeElement(
                        at: index,
                        to: loram_thin_factor(a: factor.a_RI, a_stride: I, rank: factor.rank, h: factor.h_NR, h_stride: factor.rank, scale: 1))
                }
                return withPointer(dropout) { loram_thin_project(execution, x_NI, I, N, I, thin.baseAddress, Int32(factors.count), $0) }
            }
        }
    }

    /// dx[N, I] += dropout(dh[N, R] A[R, I]).
    func addDropped(
        _ dx_NI: UnsafeMutablePointer<Float>, _ dh_NR: UnsafePointer<Float>, _ a_RI: UnsafePointer<Float>, rows N: Int, columns I: Int, rank R: Int,
        dropout: loram_dropout_mask
    ) {
        run { execution in withPointer(dropout) { loram_thin_add(execution, dx_NI, I, dh_NR, R, a_RI, I, N, I, R, $0) } }
    }

    /// dh[N, R] = scale * dy[N, O] B[O, R].
    func projectTransposed(
        _ dh_NR: UnsafeMutablePointer<Float>, _ dy_NO: UnsafePointer<Float>, _ b_OR: UnsafePointer<Float>, rows N: Int, columns O: Int, rank R: Int,
        scale: Float
    ) {
        run { loram_thin_project_transposed($0, dh_NR, R, dy_NO, O, b_OR, R, N, O, R, scale) }
    }

    /// dA[R, I] += dh[N, R]^T dropout(x[N, I]).
    func gradientA(
        _ dA_RI: UnsafeMutablePointer<Float>, _ dh_NR: UnsafePointer<Float>, _ x_NI: UnsafePointer<Float>, rows N: Int, columns I: Int, rank R: Int,
        dropout: loram_dropout_mask?
    ) {
        run { execution in withPointer(dropout) { loram_thin_gradient_a(execution, dA_RI, I, dh_NR, R, x_NI, I, N, I, R, 1, $0) } }
    }

    /// dB[O, R] += scale * dy[N, O]^T h[N, R].
    func gradientB(
        _ dB_OR: UnsafeMutablePointer<Float>, _ dy_NO: UnsafePointer<Float>, _ h_NR: UnsafePointer<Float>, rows N: Int, columns O: Int, rank R: Int,
        scale: Float
    ) {
        run { loram_thin_gradient_b($0, dB_OR, R, dy_NO, O, h_NR, R, N, O, R, scale) }
    }

    @inline(__always)
    func run(_ product: (UnsafePointer<loram_execution>) -> loram_status) {
        let status = withUnsafePointer(to: execution, product)
        // Shapes and workspace were planned before the first step: anything else is a mistake of ours.
        precondition(status == LORAM_OK, "a matrix product was refused: status \(status.rawValue)")
    }

    @inline(__always)
    private func withPointer(_ dropout: loram_dropout_mask?, _ body: (UnsafePointer<loram_dropout_mask>?) -> loram_status) -> loram_status {
        guard let dropout else { return body(nil) }
        return withUnsafePointer(to: dropout) { body($0) }
    }

    @inline(__always)
    private func withPointers(
        _ weight: WeightMatrix, _ lowRank: loram_low_rank?, _ body: (UnsafePointer<loram_weight>, UnsafePointer<loram_low_rank>?) -> loram_status
    ) -> loram_status {
        withUnsafePointer(to: weight.c) { weight in
            guard let lowRank else { return body(weight, nil) }
            return withUnsafePointer(to: lowRank) { body(weight, $0) }
        }
    }
}
