// Dot products of rows with tokens in eight lanes, a tile of them at a time.
#ifndef LORAM_AVX2_DOT_H
#define LORAM_AVX2_DOT_H

#include "avx2.h"

enum { LORAM_256_DOT_ROWS = 4, LORAM_256_DOT_TOKENS = 6 };

/// lanes[row, token] of rows x tokens, constants at every call, over k elements; lanes_stride lies between rows. Eight lanes of a sum are
/// used, each adding its products in order.
LORAM_INLINE LORAM_AVX2 void loram_dot_tile_256(const int rows, const int tokens, float *lanes, long lanes_stride, const float *w, long w_stride, const float *x, long x_stride, long k, int accumulate) {
    __m256 sum[LORAM_256_DOT_ROWS][LORAM_256_DOT_TOKENS];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) sum[r][t] = accumulate ? _mm256_loadu_ps(lanes + r * lanes_stride + t * LORAM_LANES) : _mm256_setzero_ps();
    long i = 0;
    for (; i + 8 <= k; i += 8) {
        // Of the shorter side all vectors are held, of the longer one a time: there are sixteen registers.
        __m256 held[LORAM_256_DOT_ROWS];
        if (rows <= tokens) {
            LORAM_UNROLL
            for (int r = 0; r < rows; r++) held[r] = _mm256_loadu_ps(w + r * w_stride + i);
            LORAM_UNROLL
            for (int t = 0; t < tokens; t++) {
                __m256 right = _mm256_loadu_ps(x + t * x_stride + i);
                LORAM_UNROLL
                for (int r = 0; r < rows; r++) sum[r][t] = _mm256_fmadd_ps(held[r], right, sum[r][t]);
            }
        } else {
            LORAM_UNROLL
            for (int t = 0; t < tokens; t++) held[t] = _mm256_loadu_ps(x + t * x_stride + i);
            LORAM_UNROLL
            for (int r = 0; r < rows; r++) {
                __m256 left = _mm256_loadu_ps(w + r * w_stride + i);
                LORAM_UNROLL
                for (int t = 0; t < tokens; t++) sum[r][t] = _mm256_fmadd_ps(left, held[t], sum[r][t]);
            }
        }
    }
    if (i < k) {
        __m256i mask = loram_mask8(k - i);
        LORAM_UNROLL
        for (int r = 0; r < rows; r++)
            LORAM_UNROLL
            for (int t = 0; t < tokens; t++)
                sum[r][t] = _mm256_fmadd_ps(_mm256_maskload_ps(w + r * w_stride + i, mask), _mm256_maskload_ps(x + t * x_stride + i, mask), sum[r][t]);
    }
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) _mm256_storeu_ps(lanes + r * lanes_stride + t * LORAM_LANES, sum[r][t]);
}

/// lanes[rows, tokens] over k elements, in tiles of at most twelve sums.
LORAM_INLINE LORAM_AVX2 void loram_dot_256(float *lanes, const float *w, long w_stride, int rows, const float *x, long x_stride, int tokens, long k, int accumulate) {
    const long stride = (long)tokens * LORAM_LANES;
    for (int r = 0; r < rows;) {
        const int together = rows - r >= 4 ? 4 : rows - r >= 2 ? 2 : 1;
        for (int t = 0; t < tokens;) {
            const int left = tokens - t;
            float *out = lanes + r * stride + t * LORAM_LANES;
            const float *a = w + r * w_stride, *b = x + t * x_stride;
#define TILE(ROWS, TOKENS) { loram_dot_tile_256(ROWS, TOKENS, out, stride, a, w_stride, b, x_stride, k, accumulate); t += TOKENS; }
            if (together < 4 && left >= 6) { if (together == 2) TILE(2, 6) else TILE(1, 6) }
            else if (left >= 3) { if (together == 4) TILE(4, 3) else if (together == 2) TILE(2, 3) else TILE(1, 3) }
            else if (left == 2) { if (together == 4) TILE(4, 2) else if (together == 2) TILE(2, 2) else TILE(1, 2) }
            else { if (together == 4) TILE(4, 1) else if (together == 2) TILE(2, 1) else TILE(1, 1) }
#undef TILE
        }
        r += together;
    }
}

#endif
