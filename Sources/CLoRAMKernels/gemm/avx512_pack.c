// Packing and decoding to f32, optionally rounded to bf16 values.
#if defined(__x86_64__)
#include "avx512.h"
#include "avx512_f32.h"

LORAM_INLINE LORAM_AVX512 void pack_rows(uint32_t *out, const float *a, long a_stride, int rows, long k, float scale, const int rounded) {
    __m512 factor = _mm512_set1_ps(scale);
    for (long g = 0; g < k; g += 16) {
        __mmask16 mask = loram_mask16(k - g);
        __m512i r[16];
        LORAM_UNROLL
        for (int i = 0; i < 16; i++)
            r[i] = i < rows ? _mm512_castps_si512(loram_maybe_round_512(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, a + i * a_stride + g), factor), rounded)) : _mm512_setzero_si512();
        loram_transpose16(r);
        long words = loram_min(16, k - g);
        if (words == 16) {
            LORAM_UNROLL
            for (int j = 0; j < 16; j++) _mm512_mask_storeu_epi32(out + (g + j) * LORAM_512_ROWS, 0x3fff, r[j]);
        } else {
            for (int j = 0; j < words; j++) _mm512_mask_storeu_epi32(out + (g + j) * LORAM_512_ROWS, 0x3fff, r[j]);
        }
    }
}

LORAM_AVX512 void loram_avx512_pack_rows(void *panel, const float *a, long a_stride, int rows, long k, float scale) { pack_rows(panel, a, a_stride, rows, k, scale, 0); }
LORAM_AVX512 void loram_avx512_pack_rows_rounded(void *panel, const float *a, long a_stride, int rows, long k, float scale) { pack_rows(panel, a, a_stride, rows, k, scale, 1); }

LORAM_INLINE LORAM_AVX512 void pack_columns(float *out, const float *a, long a_stride, int rows, long k, const int rounded) {
    __mmask16 mask = loram_mask16(rows);
    for (long p = 0; p < k; p++) _mm512_mask_storeu_ps(out + p * LORAM_512_ROWS, 0x3fff, loram_maybe_round_512(_mm512_maskz_loadu_ps(mask, a + p * a_stride), rounded));
}

LORAM_AVX512 void loram_avx512_pack_columns(void *panel, const float *a, long a_stride, int rows, long k) { pack_columns(panel, a, a_stride, rows, k, 0); }
LORAM_AVX512 void loram_avx512_pack_columns_rounded(void *panel, const float *a, long a_stride, int rows, long k) { pack_columns(panel, a, a_stride, rows, k, 1); }

LORAM_AVX512 void loram_avx512_transpose(void *panel, const void *decoded, long stride, int columns, long k) {
    uint32_t *out = panel;
    const uint32_t *in = decoded;
    for (long g = 0; g < k; g += 16) {
        __m512i r[16];
        if (columns == 16) {
            LORAM_UNROLL
            for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(in + i * stride + g);
        } else {
            LORAM_UNROLL
            for (int i = 0; i < 16; i++) r[i] = i < columns ? _mm512_loadu_si512(in + i * stride + g) : _mm512_setzero_si512();
        }
        loram_transpose16(r);
        long words = loram_min(16, k - g);
        if (words == 16) {
            LORAM_UNROLL
            for (int j = 0; j < 16; j++) _mm512_storeu_si512(out + (g + j) * LORAM_512_COLUMNS, r[j]);
        } else {
            for (int j = 0; j < words; j++) _mm512_storeu_si512(out + (g + j) * LORAM_512_COLUMNS, r[j]);
        }
    }
}

LORAM_AVX512 void loram_avx512_interleave(void *block, long panel_stride, const void *decoded, long stride, int present, long panels) {
    (void)stride;
    (void)present;
    const float *in = decoded;
    for (long p = 0; p < panels; p++) {
        float *out = (float *)block + p * panel_stride;
        _mm512_storeu_ps(out, _mm512_loadu_ps(in + 32 * p));
        _mm512_storeu_ps(out + 16, _mm512_loadu_ps(in + 32 * p + 16));
    }
}

LORAM_INLINE LORAM_AVX512 void convert(float *out, const float *x, long count, float scale, const int rounded) {
    __m512 factor = _mm512_set1_ps(scale);
    for (long i = 0; i < loram_round_up(count, LORAM_DOT_STEP); i += 16)
        _mm512_storeu_ps(out + i, loram_maybe_round_512(_mm512_mul_ps(_mm512_maskz_loadu_ps(loram_mask16(count - i), x + i), factor), rounded));
}

LORAM_AVX512 void loram_avx512_convert(void *out, const float *x, long count, float scale) { convert(out, x, count, scale, 0); }
LORAM_AVX512 void loram_avx512_convert_rounded(void *out, const float *x, long count, float scale) { convert(out, x, count, scale, 1); }

LORAM_INLINE LORAM_AVX512 void decode_nf4(const loram_weight *weight, long row, long column, long count, float *out, const int rounded) {
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
        for (long i = 0; i < full; i++) loram_decode_block_f32(out + LORAM_NF4_BLOCK * i, codes + 32 * i, levels, scales + i, rounded);
        if (full < blocks) {
            uint8_t spare[32];
            loram_decode_block_f32(out + LORAM_NF4_BLOCK * full, loram_block_codes(weight, block + full, weight->rows * weight->columns, spare), levels, scales + full, rounded);
        }
        block += blocks;
        out += LORAM_NF4_BLOCK * blocks;
    }
}

LORAM_INLINE LORAM_AVX512 void decode(const loram_weight *weight, long row, long column, long count, float *out, const int rounded) {
    if (count <= 0) return;
    if (weight->element == LORAM_ELEMENT_NF4) {
        decode_nf4(weight, row, column, count, out, rounded);
        return;
    }
    long first = row * weight->row_stride + column;
    if (weight->element == LORAM_ELEMENT_F32) {
        const char *in = (const char *)weight->data + 4 * first;
        for (long i = 0; i < count; i += 16) _mm512_storeu_ps(out + i, loram_maybe_round_512(_mm512_maskz_loadu_ps(loram_mask16(count - i), in + 4 * i), rounded));
        return;
    }
    const char *in = (const char *)weight->data + 2 * first;
    const int half = weight->element == LORAM_ELEMENT_F16;
    for (long i = 0; i < count; i += 16) {
        __m256i bits = _mm256_maskz_loadu_epi16(loram_mask16(count - i), in + 2 * i);
        __m512 values = half ? loram_maybe_round_512(_mm512_cvtph_ps(bits), rounded) : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
        _mm512_storeu_ps(out + i, values);
    }
}

LORAM_AVX512 void loram_avx512_decode(const loram_weight *weight, long row, long column, long count, void *out) { decode(weight, row, column, count, out, 0); }
LORAM_AVX512 void loram_avx512_decode_rounded(const loram_weight *weight, long row, long column, long count, void *out) { decode(weight, row, column, count, out, 1); }
#endif
