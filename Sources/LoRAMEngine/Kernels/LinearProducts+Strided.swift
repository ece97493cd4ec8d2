internal import CLoRAMKernels

/// The same products where the outputs are some neighbouring columns of a wider matrix.
extension LinearProducts {
    /// y[N, O of `stride`] (= or +=) x[N, I] W^T; `rounds`: to bf16 values.
    func forward(
        _ y_NO: UnsafeMutablePointer<Float>, stride: Int, _ x_NI: UnsafePointer<Float>, _ weight: WeightMatrix, rows N: Int, accumulate: Bool,
        rounds: Bool
    ) {
        run { execution in
            withUnsafePointer(to: weight.c) {
                loram_linear_forward(
                    execution, y_NO, stride, accumulate ? UnsafePointer(y_NO) : nil, rounds ? 1 : 0, x_NI, weight.columnCount, $0, N, nil)
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
