// Packing and decoding to bf16. vcvtne2ps2bf16 rounds to nearest even and turns denormals into zero, which vdpbf16ps would do anyway.
#if defined(__x86_64__)
#include "avx512bf16.h"

/// 32 values of a row of f32 from x, of which `left` exist, times scale, as bf16.
LORAM_INLINE LORAM_AVX512BF16 __m512i load_bf16(const float *x, long left, __m512 scale) {
    __m512 low, high;
    if (left >= 32) {
        low = _mm512_loadu_ps(x);
        high = _mm512_loadu_ps(x + 16);
    } else {
        low = _mm512_maskz_loadu_ps(loram_mask16(left), x);
        high = _mm512_maskz_loadu_ps(loram_mask16(left - 16), x + 16);
    }
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_mul_ps(high, scale), _mm512_mul_ps(low, scale));
}

LORAM_AVX512BF16 void loram_avx512bf16_pack_rows(void *panel, const float *a, long a_stride, int rows, long k, float scale) {
    uint32_t *out = panel;
    __m512 factor = _mm512_set1_ps(scale);
    long groups = loram_ceil(k, 2);
    for (long g = 0; g < groups; g += 16) {
        __m512i r[16];
        LORAM_UNROLL
        for (int i = 0; i < 16; i++) r[i] = i < rows ? load_bf16(a + i * a_stride + 2 * g, k - 2 * g, factor) : _mm512_setzero_si512();
        loram_transpose16(r);
        long words = loram_min(16, groups - g);
        if (words == 16) {
            LORAM_UNROLL
            for (int j = 0; j < 16; j++) _mm512_mask_storeu_epi32(out + (g + j) * LORAM_512_ROWS, 0x3fff, r[j]);
        } else {
            for (int j = 0; j < words; j++) _mm512_mask_storeu_epi32(out + (g + j) * LORAM_512_ROWS, 0x3fff, r[j]);
        }
    }
}

/// Words of 16-bit lanes of two registers of 16 values each, alternately.
LORAM_INLINE LORAM_AVX512BF16 __m512i alternate_index(void) {
    return _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
}

LORAM_AVX512BF16 void loram_avx512bf16_pack_columns(void *panel, const float *a, long a_stride, int rows, long k) {
    uint32_t *out = panel;
    __mmask16 mask = loram_mask16(rows);
    __m512i index = alternate_index();
    for (long p = 0; p < k; p += 2) {
        __m512 first = _mm512_maskz_loadu_ps(mask, a + p * a_stride);
        __m512 second = p + 1 < k ? _mm512_maskz_loadu_ps(mask, a + (p + 1) * a_stride) : _mm512_setzero_ps();
        __m512i pair = (__m512i)_mm512_cvtne2ps_pbh(second, first);
        _mm512_mask_storeu_epi32(out + p / 2 * LORAM_512_ROWS, 0x3fff, _mm512_permutexvar_epi16(index, pair));
    }
}

LORAM_AVX512BF16 void loram_avx512bf16_transpose(void *panel, const void *decoded, long stride, int columns, long k) {
    // Pairs of bf16 are words already.
    uint32_t *out = panel;
    const uint16_t *in = decoded;
    long groups = loram_ceil(k, 2);
    for (long g = 0; g < groups; g += 16) {
        __m512i r[16];
        if (columns == 16) {
            LORAM_UNROLL
            for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(in + i * stride + 2 * g);
        } else {
            LORAM_UNROLL
            for (int i = 0; i < 16; i++) r[i] = i < columns ? _mm512_loadu_si512(in + i * stride + 2 * g) : _mm512_setzero_si512();
        }
        loram_transpose16(r);
        long words = loram_min(16, groups - g);
        if (words == 16) {
            LORAM_UNROLL
            for (int j = 0; j < 16; j++) _mm512_storeu_si512(out + (g + j) * LORAM_512_COLUMNS, r[j]);
        } else {
            for (int j = 0; j < words; j++) _mm512_storeu_si512(out + (g + j) * LORAM_512_COLUMNS, r[j]);
        }
    }
}

LORAM_AVX512BF16 void loram_avx512bf16_interleave(void *block, long panel_stride, const void *decoded, long stride, int present, long panels) {
    const uint16_t *in = decoded;
    __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    for (long p = 0; p < panels; p++) {
        uint32_t *out = (uint32_t *)block + p * panel_stride;
        __m512i first = _mm512_loadu_si512(in + 32 * p);
        __m512i second = present > 1 ? _mm512_loadu_si512(in + stride + 32 * p) : _mm512_setzero_si512();
        _mm512_storeu_si512(out, _mm512_permutex2var_epi16(first, low, second));
        _mm512_storeu_si512(out + 16, _mm512_permutex2var_epi16(first, high, second));
    }
}

LORAM_AVX512BF16 void loram_avx512bf16_convert(void *out, const float *x, long count, float scale) {
    __m512 factor = _mm512_set1_ps(scale);
    for (long i = 0; i < count; i += 32) _mm512_storeu_si512((uint16_t *)out + i, load_bf16(x + i, count - i, factor));
}

LORAM_INLINE LORAM_AVX512BF16 void decode_nf4(const loram_weight *weight, long row, long column, long count, uint16_t *out) {
    long first = row * weight->columns + column, block = first / LORAM_NF4_BLOCK, last = (first + count - 1) / LORAM_NF4_BLOCK;
    out -= first - block * LORAM_NF4_BLOCK;
    const __m512 levels = _mm512_loadu_ps(loram_nf4_codes);
    float scales[LORAM_SCALE_RUN];
    while (block <= last) {
        long blocks = loram_min(LORAM_SCALE_RUN, last + 1 - block), full = loram_min(blocks, weight->rows * weight->columns / LORAM_NF4_BLOCK - block);
        // Looking up sixteen scales at once costs as much as a few one by one.
        if (blocks > 4) loram_block_scales_512(&weight->scales, block, blocks, scales);
        else loram_block_scales(&weight->scales, block, blocks, scales);
        const uint8_t *codes = (const uint8_t *)weight->data + 32 * block;
        for (long i = 0; i < full; i++) loram_decode_block_bf16(out + LORAM_NF4_BLOCK * i, codes + 32 * i, levels, scales + i);
        if (full < blocks) {
            uint8_t spare[32];
            loram_decode_block_bf16(out + LORAM_NF4_BLOCK * full, loram_block_codes(weight, block + full, weight->rows * weight->columns, spare), levels, scales + full);
        }
        block += blocks;
        out += LORAM_NF4_BLOCK * blocks;
    }
}

LORAM_AVX512BF16 void loram_avx512bf16_decode(const loram_weight *weight, long row, long column, long count, void *target) {
    uint16_t *out = target;
    if (count <= 0) return;
    if (weight->element == LORAM_ELEMENT_NF4) {
        decode_nf4(weight, row, column, count, out);
        return;
    }
    long first = row * weight->row_stride + column;
    if (weight->element == LORAM_ELEMENT_F32) {
        loram_avx512bf16_convert(out, (const float *)((const char *)weight->data + 4 * first), count, 1);
        return;
    }
    const char *in = (const char *)weight->data + 2 * first;
    if (weight->element == LORAM_ELEMENT_BF16) {
        memcpy(out, in, (size_t)(2 * count));
        return;
    }
    for (long i = 0; i < count; i += 32) {
        __mmask32 mask = count - i >= 32 ? 0xffffffff : (1u << (count - i)) - 1;
        __m512i bits = _mm512_maskz_loadu_epi16(mask, in + 2 * i);
        __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(bits)), high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(bits, 1));
        _mm512_storeu_si512(out + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
}
#endif
