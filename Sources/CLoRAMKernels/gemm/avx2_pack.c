// Packing and decoding to f32 with 256-bit vectors, optionally rounded to bf16 values.
#if defined(__x86_64__)
#include "avx2.h"

/// Four k's of two rows side by side; of the k's `left` exist.
LORAM_INLINE LORAM_AVX2 __m256 load_pair(const float *low, const float *high, long left) {
    if (left >= 4) return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
    __m128i mask = _mm256_castsi256_si128(loram_mask8(left));
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_maskload_ps(low, mask)), _mm_maskload_ps(high, mask), 1);
}

/// Eight k's of a panel, `width` words each and `step` words apart, from eight rows; `left` k's exist.
LORAM_INLINE LORAM_AVX2 void transpose8(float *out, const int width, const int step, const float *const row[8], long k, long left, __m256 scale, const int scaled, const int rounded) {
    __m256 r[8], t[8];
    LORAM_UNROLL
    for (int i = 0; i < 8; i++) {
        const long at = k + i / 4 * 4;
        r[i] = i < 4 || left > 4 ? load_pair(row[i % 4] + at, row[i % 4 + 4] + at, left - i / 4 * 4) : _mm256_setzero_ps();
        if (scaled) r[i] = _mm256_mul_ps(r[i], scale);
        r[i] = loram_maybe_round_256(r[i], rounded);
    }
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
    if (left >= 8) {
        LORAM_UNROLL
        for (int j = 0; j < 8; j++) loram_store8(out + j * step, r[j], width);
    } else {
        for (int j = 0; j < left; j++) loram_store8(out + j * step, r[j], width);
    }
}

/// A panel of `width` words a k, `step` words apart, from `rows` rows in memory, zero beyond them.
LORAM_INLINE LORAM_AVX2 void transpose_rows(float *out, const int width, const int step, const float *in, long stride, int rows, long k, __m256 scale, const int scaled, const int rounded) {
    float zeros[LORAM_DECODE_RUN];
    if (rows < 8) memset(zeros, 0, (size_t)loram_min(k, LORAM_DECODE_RUN) * sizeof(float));
    for (long from = 0; from < k; from += LORAM_DECODE_RUN, in += LORAM_DECODE_RUN) {
        const long count = loram_min(LORAM_DECODE_RUN, k - from);
        const float *row[8];
        for (int i = 0; i < 8; i++) row[i] = i < rows ? in + i * stride : zeros;
        long p = 0;
        for (; p + 8 <= count; p += 8) transpose8(out + (from + p) * step, width, step, row, p, 8, scale, scaled, rounded);
        if (p < count) transpose8(out + (from + p) * step, width, step, row, p, count - p, scale, scaled, rounded);
    }
}

LORAM_AVX2 void loram_avx2_pack_rows(void *panel, const float *a, long a_stride, int rows, long k, float scale) { transpose_rows(panel, LORAM_256_ROWS, LORAM_256_ROWS, a, a_stride, rows, k, _mm256_set1_ps(scale), 1, 0); }
LORAM_AVX2 void loram_avx2_pack_rows_rounded(void *panel, const float *a, long a_stride, int rows, long k, float scale) { transpose_rows(panel, LORAM_256_ROWS, LORAM_256_ROWS, a, a_stride, rows, k, _mm256_set1_ps(scale), 1, 1); }

LORAM_AVX2 void loram_avx2_transpose(void *panel, const void *decoded, long stride, int columns, long k) {
    for (int j = 0; j < LORAM_256_COLUMNS; j += 8)
        transpose_rows((float *)panel + j, 8, LORAM_256_COLUMNS, (const float *)decoded + j * stride, stride, (int)loram_min(8, columns - j), k, _mm256_setzero_ps(), 0, 0);
}

LORAM_INLINE LORAM_AVX2 void pack_columns(float *out, const float *a, long a_stride, int rows, long k, const int rounded) {
    const __m256i mask = loram_mask8(rows);
    for (long p = 0; p < k; p++) loram_store8(out + p * LORAM_256_ROWS, loram_maybe_round_256(_mm256_maskload_ps(a + p * a_stride, mask), rounded), LORAM_256_ROWS);
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
        _mm256_storeu_ps(out + i, loram_maybe_round_256(_mm256_mul_ps(_mm256_maskload_ps(x + i, loram_mask8(count - i)), factor), rounded));
}

LORAM_AVX2 void loram_avx2_convert(void *out, const float *x, long count, float scale) { convert(out, x, count, scale, 0); }
LORAM_AVX2 void loram_avx2_convert_rounded(void *out, const float *x, long count, float scale) { convert(out, x, count, scale, 1); }

/// One NF4 block, half by half: every byte of codes is put beside itself, and each of the two keeps one nibble.
LORAM_INLINE LORAM_AVX2 void decode_block(float *out, const uint8_t *codes, const float *scale, const int rounded) {
    const __m256i twice = _mm256_setr_epi8(0, 0, 1, 1, 4, 4, 5, 5, 8, 8, 9, 9, 12, 12, 13, 13, 2, 2, 3, 3, 6, 6, 7, 7, 10, 10, 11, 11, 14, 14, 15, 15);
    const loram_nf4_planes planes = loram_make_planes(scale, rounded);
    LORAM_UNROLL
    for (int half = 0; half < 2; half++) {
        __m256i bytes = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(codes + 16 * half))), twice);
        __m256i nibbles = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi16(0x000f)), _mm256_and_si256(bytes, _mm256_set1_epi16(0x0f00)));
        __m256 values[4];
        loram_look_up(values, &planes, nibbles, rounded);
        LORAM_UNROLL
        for (int i = 0; i < 4; i++) _mm256_storeu_ps(out + 32 * half + 8 * i, values[i]);
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
        for (long i = 0; i < blocks; i++, block++, out += LORAM_NF4_BLOCK) decode_block(out, loram_block_codes(weight, block, total, spare), scales + i, rounded);
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
        for (long i = 0; i < count; i += 8) _mm256_storeu_ps(out + i, loram_maybe_round_256(_mm256_maskload_ps((const float *)(const void *)(in + 4 * i), loram_mask8(count - i)), rounded));
        return;
    }
    const char *in = (const char *)weight->data + 2 * first;
    const int half = weight->element == LORAM_ELEMENT_F16;
    for (long i = 0; i < count; i += 8) {
        __m128i bits = load_halves(in + 2 * i, count - i);
        __m256 values = half ? loram_maybe_round_256(_mm256_cvtph_ps(bits), rounded) : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
        _mm256_storeu_ps(out + i, values);
    }
}

LORAM_AVX2 void loram_avx2_decode(const loram_weight *weight, long row, long column, long count, void *out) { decode(weight, row, column, count, out, 0); }
LORAM_AVX2 void loram_avx2_decode_rounded(const loram_weight *weight, long row, long column, long count, void *out) { decode(weight, row, column, count, out, 1); }
#endif
