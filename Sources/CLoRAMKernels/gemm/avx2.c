// The AVX2 set: f32 FMA; its bf16 engine keeps values rounded to bf16 in f32.
#if defined(__x86_64__)
#include "avx2.h"
#include "portable.h"

static int available(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"); }

static LORAM_AVX2 double peak(loram_compute compute, long rounds) {
    enum { CHAINS = 12 };
    (void)compute;
    __m256 sum[CHAINS], factor = _mm256_set1_ps(0.5f);
    LORAM_UNROLL
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_set1_ps((float)i);
    for (long n = 0; n < rounds; n++) {
        LORAM_UNROLL
        for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_fmadd_ps(sum[i], factor, factor);
        __asm__ volatile("" : "+x"(factor));
    }
    LORAM_UNROLL
    for (int i = 1; i < CHAINS; i++) sum[0] = _mm256_add_ps(sum[0], sum[i]);
    volatile float keep = _mm256_cvtss_f32(sum[0]);
    (void)keep;
    return 2.0 * 8 * CHAINS * (double)rounds;
}

#define ENGINE(SUFFIX)                                                                                                                   \
    {                                                                                                                                         \
        .tile_rows = LORAM_256_ROWS, .tile_columns = LORAM_256_COLUMNS, .group = 1, .element_bytes = 4, .depth = 512, .width = 512, .strip = 12, .task_rows = 1024, .task_columns = 128,\
        .multiply = loram_avx2_multiply, .pack_rows = loram_avx2_pack_rows##SUFFIX, .pack_columns = loram_avx2_pack_columns##SUFFIX,          \
        .decode = loram_avx2_decode##SUFFIX, .decode_bf16 = loram_avx2_decode_rounded, .transpose = loram_avx2_transpose, .interleave = loram_avx2_interleave, \
        .convert = loram_avx2_convert##SUFFIX, .dot = loram_avx2_dot, .arrange = loram_avx2_arrange##SUFFIX,                                  \
        .dot_nf4 = loram_avx2_dot_nf4##SUFFIX, .dot_nf4_bf16 = loram_avx2_dot_nf4_rounded, .nf4_tokens = LORAM_256_NF4_TOKENS, .nf4_blocks = LORAM_256_NF4_BLOCKS, .nf4_rows = {4, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4},         \
        .sum_lanes = loram_avx2_sum_lanes                                                                                                     \
    }

const loram_kernels loram_kernels_avx2 = {
    .name = "avx2",
    .available = available,
    .engine = {ENGINE(), ENGINE(_rounded)},
    .thin = {.tokens = 4, .ranks = 3, .project = loram_avx2_project, .outer = loram_avx2_outer},
    .scales = loram_portable_scales,
    .quantize_blocks = loram_avx2_quantize_blocks,
    .narrow = loram_avx2_narrow,
    .peak = peak,
};
#endif
