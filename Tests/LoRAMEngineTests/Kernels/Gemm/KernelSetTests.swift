import CLoRAMKernels
import Testing

@Suite struct KernelSetTests {
    @Test func portableIsLastAndAlwaysThere() throws {
        let count = loram_kernels_count()
        #expect(String(cString: loram_kernels_name(loram_kernels_at(count - 1))) == "portable")
        #expect(loram_kernels_named("portable") != nil)
        #expect(loram_kernels_at(count) == nil && loram_kernels_at(-1) == nil)
        #expect(loram_kernels_named("unheard-of") == nil)
    }

    @Test func bestIsTheFirstAvailable() {
        #expect(String(cString: loram_kernels_name(loram_kernels_best())) == KernelCase.availableNames.first)
    }

    /// The start-up check passes for every set that this CPU runs; the portable set is its own reference.
    @Test(arguments: KernelCase.all) func selfCheckPasses(kernels: KernelCase) {
        let error = loram_kernels_check(kernels.set, kernels.compute)
        #expect(error >= 0 && error < loram_kernels_check_tolerance(kernels.compute))
        if kernels.name == "portable" { #expect(error == 0) }
    }

    /// A register loop beats no physical limit and measures something.
    @Test(arguments: KernelCase.all) func limitsAreMeasured(kernels: KernelCase) {
        #expect(loram_peak_gflops(kernels.set, kernels.compute, 0.001) > 0)
        #expect(loram_peak_decode(kernels.set, kernels.compute, 0.001) > 0)
    }
}
