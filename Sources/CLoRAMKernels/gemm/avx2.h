// Pieces shared by the files of the AVX2 set: tiles of 6 rows x 16 columns, 12 accumulators of the 16 registers.
#ifndef LORAM_AVX2_H
#define LORAM_AVX2_H

#include <immintrin.h>

#include "gemm_internal.h"

#define LORAM_AVX2 __attribute__((target("avx2,fma,f16c")))
/// Arrays of vectors live in registers only where every loop over them is unrolled.
#define LORAM_UNROLL _Pragma("clang loop unroll(full)")
#define LORAM_INLINE static inline __attribute__((always_inline))

enum { LORAM_256_ROWS = 6, LORAM_256_COLUMNS = 16, LORAM_256_NF4_TOKENS = LORAM_SMALL_TOKENS, LORAM_256_NF4_BLOCKS = 32 };

/// Lanes below count are set, for maskload and maskstore.
LORAM_INLINE LORAM_AVX2 __m256i loram_mask8(long count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)loram_min(count, 8)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/// The first `count` (at most 8) lanes of x; what lies beyond them stays. Some CPUs take tens of cycles for a masked store.
LORAM_INLINE LORAM_AVX2 void loram_store8(float *out, __m256 x, long count) {
    if (count >= 8) {
        _mm256_storeu_ps(out, x);
        return;
    }
    __m128 part = _mm256_castps256_ps128(x);
    if (count >= 4) {
        _mm_storeu_ps(out, part);
        part = _mm256_extractf128_ps(x, 1);
        out += 4;
        count -= 4;
    }
    if (count >= 2) {
        _mm_storel_pi((__m64 *)(void *)out, part);
        part = _mm_movehl_ps(part, part);
        out += 2;
        count -= 2;
    }
    if (count > 0) _mm_store_ss(out, part);
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

LORAM_INLINE LORAM_AVX2 __m256 loram_maybe_round_256(__m256 x, const int rounded) { return rounded ? loram_round_bf16_256(x) : x; }

/// The sixteen values of an NF4 block, byte by byte: plane[b] has byte b of all of them, twice.
typedef struct loram_nf4_planes {
    __m256i plane[4];
} loram_nf4_planes;

/// The sixteen values of an NF4 block by byte and quarter: out[i] has, as words of four, bytes 2 i of values 0 ... 3 and 4 ... 7, bytes 2 i + 1
/// of both, and the same of the upper eight values. Rounded values have nothing in their lower bytes, out[0], which is then not made.
LORAM_INLINE LORAM_AVX2 void loram_make_quarters(__m256i out[2], const float *scale, const int rounded) {
    const __m256i gather = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m256 factor = _mm256_broadcast_ss(scale);
    // Rounding below carries into a NaN's sign only where its lower bits are set; a scale that is NaN gives values that are.
    if (rounded) factor = _mm256_blendv_ps(factor, _mm256_set1_ps(__builtin_nanf("")), _mm256_cmp_ps(factor, factor, _CMP_UNORD_Q));
    __m256i bytes[2];
    LORAM_UNROLL
    for (int i = 0; i < 2; i++) {
        // Quarters 0 and 2, and 1 and 3.
        __m256 levels = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(loram_nf4_codes + 4 * i)), _mm_loadu_ps(loram_nf4_codes + 8 + 4 * i), 1);
        __m256i bits = _mm256_castps_si256(_mm256_mul_ps(levels, factor));
        if (rounded) bits = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1)));
        bytes[i] = _mm256_shuffle_epi8(bits, gather);
    }
    if (!rounded) out[0] = _mm256_unpacklo_epi32(bytes[0], bytes[1]);
    out[1] = _mm256_unpackhi_epi32(bytes[0], bytes[1]);
}

LORAM_INLINE LORAM_AVX2 loram_nf4_planes loram_make_planes(const float *scale, const int rounded) {
    loram_nf4_planes planes;
    __m256i quarters[2];
    loram_make_quarters(quarters, scale, rounded);
    LORAM_UNROLL
    for (int i = rounded; i < 2; i++) {
        planes.plane[2 * i] = _mm256_permute4x64_epi64(quarters[i], 0x88);
        planes.plane[2 * i + 1] = _mm256_permute4x64_epi64(quarters[i], 0xdd);
    }
    return planes;
}

/// The values of 32 codes, one a byte below 16: the lower half of vector i has those of bytes 4 i ... 4 i + 3 of the lower half, the upper half
/// likewise.
LORAM_INLINE LORAM_AVX2 void loram_look_up(__m256 values[4], const loram_nf4_planes *planes, __m256i codes, const int rounded) {
    const __m256i second = _mm256_shuffle_epi8(planes->plane[2], codes), first = _mm256_shuffle_epi8(planes->plane[3], codes);
    const __m256i high[2] = {_mm256_unpacklo_epi8(second, first), _mm256_unpackhi_epi8(second, first)};
    __m256i low[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    if (!rounded) {
        const __m256i fourth = _mm256_shuffle_epi8(planes->plane[0], codes), third = _mm256_shuffle_epi8(planes->plane[1], codes);
        low[0] = _mm256_unpacklo_epi8(fourth, third);
        low[1] = _mm256_unpackhi_epi8(fourth, third);
    }
    LORAM_UNROLL
    for (int i = 0; i < 2; i++) {
        values[2 * i] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(low[i], high[i]));
        values[2 * i + 1] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(low[i], high[i]));
    }
}

void loram_avx2_multiply(long groups, const void *a, const void *b, float *c, long c_stride, int rows, int columns, int accumulate);
void loram_avx2_dot(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate);
void loram_avx2_arrange(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks);
void loram_avx2_arrange_rounded(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks);
void loram_avx2_dot_nf4(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate);
void loram_avx2_dot_nf4_rounded(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate);
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
