// Dot products of few tokens with 512-bit FMA.
#if defined(__x86_64__)
#include "avx512.h"
#include "avx512_f32.h"

/// 32 k's: two vectors, one after the other into the same lanes.
LORAM_INLINE LORAM_AVX512 void dot_step(const int rows, const int tokens, __m512 sum[LORAM_DOT_MAX_ROWS][LORAM_DOT_TOKENS], const float *w, long w_stride, const float *x, long x_stride) {
    LORAM_UNROLL
    for (int half = 0; half < 2; half++) {
        __m512 left[LORAM_DOT_MAX_ROWS];
        LORAM_UNROLL
        for (int r = 0; r < rows; r++) left[r] = _mm512_loadu_ps(w + r * w_stride + 16 * half);
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) {
            __m512 right = _mm512_loadu_ps(x + t * x_stride + 16 * half);
            LORAM_UNROLL
            for (int r = 0; r < rows; r++) sum[r][t] = _mm512_fmadd_ps(left[r], right, sum[r][t]);
        }
    }
}

/// Lanes of `rows` decoded rows times `tokens` converted ones, both constants at every call.
LORAM_INLINE LORAM_AVX512 void dot_block(const int rows, const int tokens, float *lanes, const float *w, long w_stride, const float *x, long x_stride, long steps, int accumulate) {
    __m512 sum[LORAM_DOT_MAX_ROWS][LORAM_DOT_TOKENS];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) sum[r][t] = accumulate ? _mm512_loadu_ps(lanes + (r * tokens + t) * LORAM_LANES) : _mm512_setzero_ps();
    for (long s = 0; s < steps; s++) dot_step(rows, tokens, sum, w + s * 32, w_stride, x + s * 32, x_stride);
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) _mm512_storeu_ps(lanes + (r * tokens + t) * LORAM_LANES, sum[r][t]);
}

#define DOT(TOKENS, ROWS)                                                                                                                     \
    static LORAM_AVX512 void dot##TOKENS(float *lanes, const float *w, long ws, int rows, const float *x, long xs, long steps, int acc) { \
        if (rows == ROWS) { dot_block(ROWS, TOKENS, lanes, w, ws, x, xs, steps, acc); return; }                                         \
        for (int r = 0; r < rows; r++) dot_block(1, TOKENS, lanes + r * TOKENS * LORAM_LANES, w + r * ws, ws, x, xs, steps, acc);          \
    }
DOT(1, 4) DOT(2, 4) DOT(3, 4) DOT(4, 4) DOT(5, 4) DOT(6, 4) DOT(7, 3) DOT(8, 3)

LORAM_AVX512 void loram_avx512_dot(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate) {
    typedef void (*dot_function)(float *, const float *, long, int, const float *, long, long, int);
    static const dot_function dots[LORAM_DOT_TOKENS] = {dot1, dot2, dot3, dot4, dot5, dot6, dot7, dot8};
    dots[tokens - 1](lanes, w, w_stride, rows, x, x_stride, steps, accumulate);
}

LORAM_AVX512 void loram_avx512_sum_lanes(float *out, const float *lanes, long count) {
    for (long i = 0; i < count; i += 16) {
        __m512 v[16];
        LORAM_UNROLL
        for (int j = 0; j < 16; j++) v[j] = i + j < count ? _mm512_loadu_ps(lanes + (i + j) * LORAM_LANES) : _mm512_setzero_ps();
        _mm512_mask_storeu_ps(out + i, loram_mask16(count - i), loram_sum16(v));
    }
}
#endif
