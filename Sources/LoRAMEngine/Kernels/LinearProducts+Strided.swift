internal import CLoRAMKernels

/// The same products where the outputs are some neighbouring columns of a wider matrix.
extension LinearProducts {
    /// y[N, O of `stride`] = x[N, I] W^T, or as `mode` says (LORAM_ACCUMULATE, LORAM_ROUND).
    func forward(
        _ y_NO: UnsafeMutablePointer<Float>, stride: Int, _ x_NI: UnsafePointer<Float>, _ weight: WeightMatrix, rows N: Int, mode: Int
    ) {
        run { execution in
            withUnsafePointer(to: weight.c) {
                loram_linear_forward(execution, y_NO, stride, Int32(mode), x_NI, weight.columnCount, $0, N, nil)
            }
        }
    }

    /// dx[N, I] (= or +=) dy[N, O of `stride`] W.
    func inputGradient(
        _ dx_NI: UnsafeMutablePointer<Float>, _ dy_NO: UnsafePointer<Float>, stride: Int, _ weight: WeightMatrix, rows N: Int, accumulate: Bool
    ) {
        run { execution in
            withUnsafePointer(to: weight.c) {
                loram_linear_input_gradient(execution, dx_NI, weight.columnCount, accumulate ? 1 : 0, dy_NO, stride, $0, N, nil)
            }
        }
    }

    /// dW[O, I] = dy[N, O of `stride`]^T x[N, I].
    func weightGradient(
        _ dW_OI: UnsafeMutablePointer<Float>, _ dy_NO: UnsafePointer<Float>, stride: Int, _ x_NI: UnsafePointer<Float>, rows N: Int, outputs O: Int,
        inputs I: Int
    ) {
        run { loram_linear_weight_gradient($0, dW_OI, I, 0, dy_NO, stride, x_NI, I, N, O, I) }
    }
}
