// Pieces shared by the files of the AVX2 set: tiles of 6 rows x 16 columns, 12 accumulators of the 16 registers.
#ifndef LORAM_AVX2_H
#define LORAM_AVX2_H

#include <immintrin.h>

#include "gemm_internal.h"

#define LORAM_AVX2 __attribute__((target("avx2,fma,f16c")))
/// Arrays of vectors live in registers only where every loop over them is unrolled.
#define LORAM_UNROLL _Pragma("clang loop unroll(full)")
#define LORAM_INLINE static inline __attribute__((always_inline))

enum { LORAM_256_ROWS = 6, LORAM_256_COLUMNS = 16 };

/// Lanes below count are set, for maskload and maskstore.
LORAM_INLINE LORAM_AVX2 __m256i loram_mask8(long count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)loram_min(count, 8)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/// f32 rounded to the nearest bf16 value, ties to even, kept as f32; NaN stays NaN.
LORAM_INLINE LORAM_AVX2 __m256 loram_round_bf16_256(__m256 x) {
    __m256i bits = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256 quiet = _mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_set1_epi32(0x00400000)));
    __m256 chosen = _mm256_blendv_ps(_mm256_castsi256_ps(rounded), quiet, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_and_ps(chosen, _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000)));
}

void loram_avx2_multiply(long groups, const void *a, const void *b, float *c, long c_stride, int rows, int columns, int accumulate);
void loram_avx2_dot(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate);
void loram_avx2_sum_lanes(float *out, const float *lanes, long count);
void loram_avx2_decode(const loram_weight *weight, long row, long column, long count, void *out);
void loram_avx2_decode_rounded(const loram_weight *weight, long row, long column, long count, void *out);
void loram_avx2_pack_rows(void *panel, const float *a, long a_stride, int rows, long k, float scale);
void loram_avx2_pack_rows_rounded(void *panel, const float *a, long a_stride, int rows, long k, float scale);
void loram_avx2_pack_columns(void *panel, const float *a, long a_stride, int rows, long k);
void loram_avx2_pack_columns_rounded(void *panel, const float *a, long a_stride, int rows, long k);
void loram_avx2_transpose(void *panel, const void *decoded, long stride, int columns, long k);
void loram_avx2_interleave(void *block, long panel_stride, const void *decoded, long stride, int present, long panels);
void loram_avx2_convert(void *out, const float *x, long count, float scale);
void loram_avx2_convert_rounded(void *out, const float *x, long count, float scale);
void loram_avx2_project(float *lanes, const float *x, long x_stride, int tokens, const float *a, long a_stride, int ranks, long k, int accumulate);
void loram_avx2_outer(float *sums, long sums_stride, const float *g, long g_stride, int ranks, const float *v, long v_stride, long width, long tokens);
void loram_avx2_quantize_blocks(const void *source, loram_element element, long blocks, uint8_t *codes, void *absmax);
void loram_avx2_narrow(void *target, loram_element element, const float *source, long count);

#endif
