internal import CLoRAMKernels

/// Which number type products are computed in.
public enum ComputeType: String, Sendable, CaseIterable {
    case f32
    /// Inputs rounded to bf16 as they are packed, sums in f32.
    case bf16
}

/// The set of matrix kernels that a process uses, checked against the portable one before its first use.
///
/// Unchecked: points to constant tables of the C library.
public struct ComputeKernels: @unchecked Sendable {
    public let type: ComputeType
    let set: OpaquePointer

    /// - Parameter name: of one set (`ComputeKernels.names`), nil for the best that this CPU has.
    /// - Throws: `KernelError.unknownKernels`, `.kernelsUnavailable`, `.kernelsDisagree`.
    public init(type: ComputeType = .f32, name: String? = nil) throws {
        self.type = type
        if let name {
            guard Self.names.contains(name) else { throw KernelError.unknownKernels(name, known: Self.names) }
            guard let set = loram_kernels_named(name) else { throw KernelError.kernelsUnavailable(name, available: Self.availableNames) }
            self.set = set
        } else {
            set = loram_kernels_best()
        }
        let error = loram_kernels_check(set, compute), tolerance = loram_kernels_check_tolerance(compute)
        guard error >= 0, error <= tolerance else { throw KernelError.kernelsDisagree(self.name, error: error, tolerance: tolerance) }
    }

    /// "avx512-bf16", "avx512", "avx2" or "portable".
    public var name: String { String(cString: loram_kernels_name(set)) }

    /// Every set of this build, best first.
    public static var names: [String] {
        (0..<loram_kernels_count()).map { String(cString: loram_kernels_name(loram_kernels_at($0))) }
    }

    /// Those that this CPU can run.
    public static var availableNames: [String] { names.filter { loram_kernels_named($0) != nil } }

    var compute: loram_compute { type == .bf16 ? LORAM_COMPUTE_BF16 : LORAM_COMPUTE_F32 }

    /// GFLOP/s of one core in a register loop of this type's multiply-add, for about `seconds`.
    public func measurePeak(seconds: Double) -> Double { loram_peak_gflops(set, compute, seconds) }

    /// Elements per second that one core decodes from NF4 with double quantization while codes and values stay in its first-level cache.
    public func measureDecoding(seconds: Double) -> Double { loram_peak_decode(set, compute, seconds) }

    /// Bytes per second that one core copies from `source` to `target`, for about `seconds`.
    public static func measureCopying(to target: UnsafeMutableRawPointer, from source: UnsafeRawPointer, count: Int, seconds: Double) -> Double {
        loram_peak_copy(target, source, count, seconds)
    }
}
