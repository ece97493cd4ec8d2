// Pieces shared by the AVX-512 kernel sets. Both have tiles of 14 rows x 32 columns: 28 accumulators, 2 vectors of B and one broadcast
// of A fill the 32 registers.
#ifndef LORAM_AVX512_H
#define LORAM_AVX512_H

#include <immintrin.h>

#include "gemm_internal.h"

#define LORAM_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))
#define LORAM_AVX512BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512bf16,avx2,fma,f16c")))
/// Arrays of vectors live in registers only where every loop over them is unrolled.
#define LORAM_UNROLL _Pragma("clang loop unroll(full)")
#define LORAM_INLINE static inline __attribute__((always_inline))

enum {
    LORAM_512_ROWS = 14,
    LORAM_512_NF4_BLOCKS = 96,
    LORAM_512_COLUMNS = 32,
    /// Groups that a tile prefetches ahead: A comes from the third-level cache, B from the second. The hardware's own prefetchers alone
    /// leave 15 % of the peak.
    LORAM_AHEAD_A = 64,
    LORAM_AHEAD_B = 24,
};

LORAM_INLINE LORAM_AVX512 __mmask16 loram_mask16(long count) { return (__mmask16)(count >= 16 ? 0xffff : count <= 0 ? 0 : (1u << count) - 1); }

/// r[i][j] becomes r[j][i], in 32-bit words.
LORAM_INLINE LORAM_AVX512 void loram_transpose16(__m512i r[16]) {
    __m512i t[16];
    LORAM_UNROLL
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    LORAM_UNROLL
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    // r[4q + j] holds columns j, 4 + j, 8 + j, 12 + j of rows 4q ..< 4q + 4, one column per 128-bit lane.
    LORAM_UNROLL
    for (int j = 0; j < 4; j++) {
        t[j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88);
        t[4 + j] = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);
        t[8 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
        t[12 + j] = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
    }
    LORAM_UNROLL
    for (int j = 0; j < 4; j++) {
        r[j] = _mm512_shuffle_i32x4(t[j], t[8 + j], 0x88);
        r[8 + j] = _mm512_shuffle_i32x4(t[j], t[8 + j], 0xdd);
        r[4 + j] = _mm512_shuffle_i32x4(t[4 + j], t[12 + j], 0x88);
        r[12 + j] = _mm512_shuffle_i32x4(t[4 + j], t[12 + j], 0xdd);
    }
}

/// Word i: the sum of the 16 lanes of v[i], halves added to halves.
LORAM_INLINE LORAM_AVX512 __m512 loram_sum16(__m512 v[16]) {
    // Each level adds the upper to the lower half of every lane group, two vectors at a time in one register.
    __m512 a[8], b[4], c[2];
    LORAM_UNROLL
    for (int i = 0; i < 8; i++) a[i] = _mm512_add_ps(_mm512_shuffle_f32x4(v[i], v[8 + i], 0x44), _mm512_shuffle_f32x4(v[i], v[8 + i], 0xee));
    // a[i]: 8 sums of v[i], then 8 of v[8 + i].
    LORAM_UNROLL
    for (int i = 0; i < 4; i++) b[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a[i], a[4 + i], 0x88), _mm512_shuffle_f32x4(a[i], a[4 + i], 0xdd));
    // b[i]: 4 sums of v[i], v[8 + i], v[4 + i], v[12 + i].
    LORAM_UNROLL
    for (int i = 0; i < 2; i++) c[i] = _mm512_add_ps(_mm512_shuffle_ps(b[i], b[2 + i], 0x44), _mm512_shuffle_ps(b[i], b[2 + i], 0xee));
    // c[i], per 128-bit lane: 2 sums of b[i]'s, 2 of b[2 + i]'s.
    __m512 d = _mm512_add_ps(_mm512_shuffle_ps(c[0], c[1], 0x88), _mm512_shuffle_ps(c[0], c[1], 0xdd));
    // d, per lane of v[0], v[8], v[4], v[12]: offsets 0, 2, 1, 3.
    const __m512i order = _mm512_set_epi32(15, 13, 14, 12, 7, 5, 6, 4, 11, 9, 10, 8, 3, 1, 2, 0);
    return _mm512_permutexvar_ps(order, d);
}

/// x[at ..< at + 16], zero outside 0 ..< count.
LORAM_INLINE LORAM_AVX512 __m512 loram_load_within(const float *x, long at, long count) {
    const __mmask16 mask = (__mmask16)(loram_mask16(count - at) & ~loram_mask16(-at));
    return mask ? _mm512_maskz_loadu_ps(mask, x + at) : _mm512_setzero_ps();
}

/// f32 rounded to the nearest bf16 value, ties to even, kept as f32; NaN stays NaN.
LORAM_INLINE LORAM_AVX512 __m512 loram_round_bf16_512(__m512 x) {
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x00400000));
    return _mm512_castsi512_ps(_mm512_and_si512(rounded, _mm512_set1_epi32((int)0xffff0000)));
}

LORAM_INLINE LORAM_AVX512 __m512 loram_maybe_round_512(__m512 x, const int rounded) { return rounded ? loram_round_bf16_512(x) : x; }

/// One NF4 block: the 16 values of the block are a table, and each nibble becomes an index into it, of which four bits count.
LORAM_INLINE LORAM_AVX512 void loram_decode_block_f32(float *out, const uint8_t *codes, __m512 levels, const float *scale, const int rounded) {
    __m512 table = loram_maybe_round_512(_mm512_mul_ps(levels, _mm512_set1_ps(*scale)), rounded);
    const __m512i words = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i shifts = _mm512_set_epi32(24, 28, 16, 20, 8, 12, 0, 4, 24, 28, 16, 20, 8, 12, 0, 4);
    __m512i bytes = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)codes));
    LORAM_UNROLL
    for (int quarter = 0; quarter < 4; quarter++) {
        __m512i word = _mm512_permutexvar_epi32(_mm512_add_epi32(words, _mm512_set1_epi32(2 * quarter)), bytes);
        _mm512_storeu_ps(out + 16 * quarter, _mm512_permutexvar_ps(_mm512_srlv_epi32(word, shifts), table));
    }
}

/// 16 entries of a map of 256 f32: eight lookups of 32 entries each, then three levels of choices by the upper bits of the index.
LORAM_INLINE LORAM_AVX512 __m512 loram_lookup256(const char *map, __m512i index) {
    __m512 part[8];
    LORAM_UNROLL
    for (int i = 0; i < 8; i++) part[i] = _mm512_permutex2var_ps(_mm512_loadu_ps(map + 128 * i), index, _mm512_loadu_ps(map + 128 * i + 64));
    __mmask16 bit5 = _mm512_test_epi32_mask(index, _mm512_set1_epi32(32)), bit6 = _mm512_test_epi32_mask(index, _mm512_set1_epi32(64)), bit7 = _mm512_test_epi32_mask(index, _mm512_set1_epi32(128));
    LORAM_UNROLL
    for (int i = 0; i < 8; i += 2) part[i] = _mm512_mask_blend_ps(bit5, part[i], part[i + 1]);
    LORAM_UNROLL
    for (int i = 0; i < 8; i += 4) part[i] = _mm512_mask_blend_ps(bit6, part[i], part[i + 2]);
    return _mm512_mask_blend_ps(bit7, part[0], part[4]);
}

/// loram_block_scales, 16 at a time.
LORAM_INLINE LORAM_AVX512 void loram_block_scales_512(const loram_nf4_scales *scales, long first, long blocks, float *out) {
    const uint8_t *codes = (const uint8_t *)scales->absmax + first;
    const char *nested = scales->nested_absmax;
    if (!nested) {
        loram_block_scales(scales, first, blocks, out);
        return;
    }
    for (long i = 0; i < blocks; i += 16) {
        __mmask16 mask = loram_mask16(blocks - i);
        long block = first + i, left = LORAM_NF4_NESTED_BLOCK - block % LORAM_NF4_NESTED_BLOCK;
        __m512 factor = _mm512_set1_ps(loram_load_f32(nested + 4 * (block / LORAM_NF4_NESTED_BLOCK)));
        // At most one boundary of nested blocks lies within 16.
        if (left < loram_min(16, blocks - i)) factor = _mm512_mask_blend_ps(loram_mask16(left), _mm512_set1_ps(loram_load_f32(nested + 4 * (block / LORAM_NF4_NESTED_BLOCK + 1))), factor);
        __m512i index = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, codes + i));
        // Two instructions, two roundings.
        __m512 product = _mm512_mul_ps(loram_lookup256(scales->nested_map, index), factor);
        _mm512_mask_storeu_ps(out + i, mask, _mm512_add_ps(product, _mm512_set1_ps(scales->nested_offset)));
    }
}

#endif
