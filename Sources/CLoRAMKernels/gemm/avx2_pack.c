// Packing and decoding to f32 with 256-bit vectors, optionally rounded to bf16 values.
#if defined(__x86_64__)
#include "avx2.h"

LORAM_INLINE LORAM_AVX2 __m256 maybe_round(__m256 x, const int rounded) { return rounded ? loram_round_bf16_256(x) : x; }

/// r[i][j] becomes r[j][i].
LORAM_INLINE LORAM_AVX2 void transpose8(__m256 r[8]) {
    __m256 t[8];
    LORAM_UNROLL
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    LORAM_UNROLL
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    LORAM_UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
    }
    LORAM_UNROLL
    for (int i = 0; i < 8; i++) r[i] = t[i];
}

/// Rows of a panel of `width` words per k from `rows` (<= 8) rows in memory, zero beyond; `left` k's exist at each step.
LORAM_INLINE LORAM_AVX2 void transpose_rows(float *out, const int width, const float *in, long stride, int rows, long k, __m256 scale, const int rounded) {
    const __m256i mask = loram_mask8(width);
    for (long p = 0; p < k; p += 8) {
        __m256i present = loram_mask8(k - p);
        __m256 r[8];
        LORAM_UNROLL
        for (int i = 0; i < 8; i++) r[i] = i < rows ? maybe_round(_mm256_mul_ps(_mm256_maskload_ps(in + i * stride + p, present), scale), rounded) : _mm256_setzero_ps();
        transpose8(r);
        long words = loram_min(8, k - p);
        if (words == 8) {
            LORAM_UNROLL
            for (int j = 0; j < 8; j++) _mm256_maskstore_ps(out + (p + j) * (width == 8 ? LORAM_256_COLUMNS : LORAM_256_ROWS), mask, r[j]);
        } else {
            for (int j = 0; j < words; j++) _mm256_maskstore_ps(out + (p + j) * (width == 8 ? LORAM_256_COLUMNS : LORAM_256_ROWS), mask, r[j]);
        }
    }
}

LORAM_AVX2 void loram_avx2_pack_rows(void *panel, const float *a, long a_stride, int rows, long k, float scale) { transpose_rows(panel, LORAM_256_ROWS, a, a_stride, rows, k, _mm256_set1_ps(scale), 0); }
LORAM_AVX2 void loram_avx2_pack_rows_rounded(void *panel, const float *a, long a_stride, int rows, long k, float scale) { transpose_rows(panel, LORAM_256_ROWS, a, a_stride, rows, k, _mm256_set1_ps(scale), 1); }

LORAM_AVX2 void loram_avx2_transpose(void *panel, const void *decoded, long stride, int columns, long k) {
    for (int j = 0; j < LORAM_256_COLUMNS; j += 8)
        transpose_rows((float *)panel + j, 8, (const float *)decoded + j * stride, stride, (int)loram_min(8, columns - j), k, _mm256_set1_ps(1), 0);
}

LORAM_INLINE LORAM_AVX2 void pack_columns(float *out, const float *a, long a_stride, int rows, long k, const int rounded) {
    const __m256i mask = loram_mask8(rows), whole = loram_mask8(LORAM_256_ROWS);
    for (long p = 0; p < k; p++) _mm256_maskstore_ps(out + p * LORAM_256_ROWS, whole, maybe_round(_mm256_maskload_ps(a + p * a_stride, mask), rounded));
}

LORAM_AVX2 void loram_avx2_pack_columns(void *panel, const float *a, long a_stride, int rows, long k) { pack_columns(panel, a, a_stride, rows, k, 0); }
LORAM_AVX2 void loram_avx2_pack_columns_rounded(void *panel, const float *a, long a_stride, int rows, long k) { pack_columns(panel, a, a_stride, rows, k, 1); }

LORAM_AVX2 void loram_avx2_interleave(void *block, long panel_stride, const void *decoded, long stride, int present, long panels) {
    (void)stride;
    (void)present;
    const float *in = decoded;
    for (long p = 0; p < panels; p++) {
        float *out = (float *)block + p * panel_stride;
        _mm256_storeu_ps(out, _mm256_loadu_ps(in + 16 * p));
        _mm256_storeu_ps(out + 8, _mm256_loadu_ps(in + 16 * p + 8));
    }
}

LORAM_INLINE LORAM_AVX2 void convert(float *out, const float *x, long count, float scale, const int rounded) {
    __m256 factor = _mm256_set1_ps(scale);
    for (long i = 0; i < loram_round_up(count, LORAM_DOT_STEP); i += 8)
        _mm256_storeu_ps(out + i, maybe_round(_mm256_mul_ps(_mm256_maskload_ps(x + i, loram_mask8(count - i)), factor), rounded));
}

LORAM_AVX2 void loram_avx2_convert(void *out, const float *x, long count, float scale) { convert(out, x, count, scale, 0); }
LORAM_AVX2 void loram_avx2_convert_rounded(void *out, const float *x, long count, float scale) { convert(out, x, count, scale, 1); }

/// One NF4 block: two tables of eight values, looked up by the low three bits of a nibble and chosen by its highest.
LORAM_INLINE LORAM_AVX2 void decode_block(float *out, const uint8_t *codes, float scale, const int rounded) {
    const __m256i shifts = _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24);
    __m256 factor = _mm256_set1_ps(scale);
    __m256 low = maybe_round(_mm256_mul_ps(_mm256_loadu_ps(loram_nf4_codes), factor), rounded);
    __m256 high = maybe_round(_mm256_mul_ps(_mm256_loadu_ps(loram_nf4_codes + 8), factor), rounded);
    LORAM_UNROLL
    for (int i = 0; i < 8; i++) {
        int32_t word;
        memcpy(&word, codes + 4 * i, sizeof word);
        __m256i index = _mm256_srlv_epi32(_mm256_set1_epi32(word), shifts);
        __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
        _mm256_storeu_ps(out + 8 * i, _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index), _mm256_permutevar8x32_ps(high, index), upper));
    }
}

LORAM_INLINE LORAM_AVX2 void decode_nf4(const loram_weight *weight, long row, long column, long count, float *out, const int rounded) {
    long total = weight->rows * weight->columns, first = row * weight->columns + column;
    long block = first / LORAM_NF4_BLOCK, last = (first + count - 1) / LORAM_NF4_BLOCK;
    uint8_t spare[32];
    float scales[LORAM_SCALE_RUN];
    out -= first - block * LORAM_NF4_BLOCK;
    while (block <= last) {
        long blocks = loram_min(LORAM_SCALE_RUN, last + 1 - block);
        loram_block_scales(&weight->scales, block, blocks, scales);
        for (long i = 0; i < blocks; i++, block++, out += LORAM_NF4_BLOCK) decode_block(out, loram_block_codes(weight, block, total, spare), scales[i], rounded);
    }
}

/// 8 values of 16 bits each, of which `left` exist.
LORAM_INLINE LORAM_AVX2 __m128i load_halves(const char *in, long left) {
    if (left >= 8) return _mm_loadu_si128((const __m128i *)in);
    uint16_t copy[8] = {0};
    memcpy(copy, in, (size_t)(2 * left));
    return _mm_loadu_si128((const __m128i *)copy);
}

LORAM_INLINE LORAM_AVX2 void decode(const loram_weight *weight, long row, long column, long count, float *out, const int rounded) {
    if (count <= 0) return;
    if (weight->element == LORAM_ELEMENT_NF4) {
        decode_nf4(weight, row, column, count, out, rounded);
        return;
    }
    long first = row * weight->row_stride + column;
    if (weight->element == LORAM_ELEMENT_F32) {
        const char *in = (const char *)weight->data + 4 * first;
        for (long i = 0; i < count; i += 8) _mm256_storeu_ps(out + i, maybe_round(_mm256_maskload_ps((const float *)(const void *)(in + 4 * i), loram_mask8(count - i)), rounded));
        return;
    }
    const char *in = (const char *)weight->data + 2 * first;
    const int half = weight->element == LORAM_ELEMENT_F16;
    for (long i = 0; i < count; i += 8) {
        __m128i bits = load_halves(in + 2 * i, count - i);
        __m256 values = half ? maybe_round(_mm256_cvtph_ps(bits), rounded) : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
        _mm256_storeu_ps(out + i, values);
    }
}

LORAM_AVX2 void loram_avx2_decode(const loram_weight *weight, long row, long column, long count, void *out) { decode(weight, row, column, count, out, 0); }
LORAM_AVX2 void loram_avx2_decode_rounded(const loram_weight *weight, long row, long column, long count, void *out) { decode(weight, row, column, count, out, 1); }
#endif
