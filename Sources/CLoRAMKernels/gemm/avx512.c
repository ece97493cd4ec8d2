// The AVX-512 sets. "avx512" keeps bf16 values in f32; "avx512bf16" has vdpbf16ps (and VBMI, which every CPU with AVX-512-BF16 but
// Cooper Lake has).
#if defined(__x86_64__)
#include "avx512.h"
#include "avx512_f32.h"
#include "avx512bf16.h"

static int available_512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

static int available_512bf16(void) { return available_512() && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi"); }

enum { CHAINS = 24 };

LORAM_AVX512 double loram_avx512_peak(loram_compute compute, long rounds) {
    (void)compute;
    __m512 sum[CHAINS], factor = _mm512_set1_ps(0.5f);
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_set1_ps((float)i);
    for (long n = 0; n < rounds; n++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_fmadd_ps(sum[i], factor, factor);
        __asm__ volatile("" : "+v"(factor));
    }
    for (int i = 1; i < CHAINS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    volatile float keep = _mm512_reduce_add_ps(sum[0]);
    (void)keep;
    return 2.0 * 16 * CHAINS * (double)rounds;
}

static LORAM_AVX512BF16 double peak_bf16(loram_compute compute, long rounds) {
    if (compute == LORAM_COMPUTE_F32) return loram_avx512_peak(compute, rounds);
    __m512 sum[CHAINS];
    __m512i factor = _mm512_set1_epi32(0x3f003f00);
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_set1_ps((float)i);
    for (long n = 0; n < rounds; n++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)factor, (__m512bh)factor);
        __asm__ volatile("" : "+v"(factor));
    }
    for (int i = 1; i < CHAINS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    volatile float keep = _mm512_reduce_add_ps(sum[0]);
    (void)keep;
    return 2.0 * 32 * CHAINS * (double)rounds;
}

// Sizes found by measurement: an A panel (14 x depth, 28 KB) stays in the first-level cache while the panels of a block of B (256 KB) pass
// by from the second.
#define ENGINE_F32(SUFFIX)                                                                                                                      \
    {                                                                                                                                         \
        .tile_rows = LORAM_512_ROWS, .tile_columns = LORAM_512_COLUMNS, .group = 1, .element_bytes = 4, .depth = 512, .width = 128, .strip = 1, .task_rows = 512, .task_columns = 128,                    \
        .multiply = loram_avx512_multiply, .pack_rows = loram_avx512_pack_rows##SUFFIX, .pack_columns = loram_avx512_pack_columns##SUFFIX,     \
        .decode = loram_avx512_decode##SUFFIX, .decode_bf16 = loram_avx512_decode_rounded, .transpose = loram_avx512_transpose, .interleave = loram_avx512_interleave,                     \
        .convert = loram_avx512_convert##SUFFIX, .dot = loram_avx512_dot, .arrange = loram_avx512_arrange##SUFFIX, .dot_nf4 = loram_avx512_dot_nf4##SUFFIX, .dot_nf4_bf16 = loram_avx512_dot_nf4_rounded, .nf4_tokens = LORAM_SMALL_TOKENS, .nf4_blocks = LORAM_512_NF4_BLOCKS, .nf4_rows = {4, 4, 4, 4, 4, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, .sum_lanes = loram_avx512_sum_lanes                                                                       \
    }
#define THIN {.tokens = 3, .ranks = 8, .project = loram_avx512_project, .outer = loram_avx512_outer}

const loram_kernels loram_kernels_avx512 = {
    .name = "avx512",
    .available = available_512,
    .engine = {ENGINE_F32(), ENGINE_F32(_rounded)},
    .thin = THIN,
    .scales = loram_avx512_scales,
    .quantize_blocks = loram_avx512_quantize_blocks,
    .narrow = loram_avx512_narrow,
    .peak = loram_avx512_peak,
};

const loram_kernels loram_kernels_avx512bf16 = {
    .name = "avx512-bf16",
    .available = available_512bf16,
    .engine = {ENGINE_F32(),
               {.tile_rows = LORAM_512_ROWS, .tile_columns = LORAM_512_COLUMNS, .group = 2, .element_bytes = 2, .depth = 1024, .width = 128, .strip = 1, .task_rows = 512, .task_columns = 128,
                .multiply = loram_avx512bf16_multiply, .pack_rows = loram_avx512bf16_pack_rows, .pack_columns = loram_avx512bf16_pack_columns,
                .decode = loram_avx512bf16_decode, .decode_bf16 = loram_avx512bf16_decode, .transpose = loram_avx512bf16_transpose, .interleave = loram_avx512bf16_interleave,
                .convert = loram_avx512bf16_convert, .dot = loram_avx512bf16_dot, .arrange = loram_avx512bf16_arrange, .dot_nf4 = loram_avx512bf16_dot_nf4, .dot_nf4_bf16 = loram_avx512bf16_dot_nf4, .nf4_tokens = LORAM_SMALL_TOKENS, .nf4_blocks = LORAM_512_NF4_BLOCKS, .nf4_rows = {4, 4, 4, 4, 4, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, .sum_lanes = loram_avx512_sum_lanes}},
    .thin = THIN,
    .scales = loram_avx512_scales,
    .quantize_blocks = loram_avx512_quantize_blocks,
    .narrow = loram_avx512_narrow,
    .peak = peak_bf16,
};
#endif
