// Dot products of few tokens with vdpbf16ps.
#if defined(__x86_64__)
#include "avx512bf16.h"

LORAM_INLINE LORAM_AVX512BF16 void dot_step(const int rows, const int tokens, __m512 sum[LORAM_DOT_MAX_ROWS][LORAM_DOT_TOKENS], const uint16_t *w, long w_stride, const uint16_t *x, long x_stride) {
    __m512bh left[LORAM_DOT_MAX_ROWS];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++) left[r] = (__m512bh)_mm512_loadu_si512(w + r * w_stride);
    LORAM_UNROLL
    for (int t = 0; t < tokens; t++) {
        __m512bh right = (__m512bh)_mm512_loadu_si512(x + t * x_stride);
        LORAM_UNROLL
        for (int r = 0; r < rows; r++) sum[r][t] = _mm512_dpbf16_ps(sum[r][t], left[r], right);
    }
}

/// Lanes of `rows` decoded rows times `tokens` converted ones, both constants at every call.
LORAM_INLINE LORAM_AVX512BF16 void dot_block(const int rows, const int tokens, float *lanes, const uint16_t *w, long w_stride, const uint16_t *x, long x_stride, long steps, int accumulate) {
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
    static LORAM_AVX512BF16 void dot##TOKENS(float *lanes, const uint16_t *w, long ws, int rows, const uint16_t *x, long xs, long steps, int acc) { \
        if (rows == ROWS) { dot_block(ROWS, TOKENS, lanes, w, ws, x, xs, steps, acc); return; }                                         \
        for (int r = 0; r < rows; r++) dot_block(1, TOKENS, lanes + r * TOKENS * LORAM_LANES, w + r * ws, ws, x, xs, steps, acc);          \
    }
DOT(1, 4) DOT(2, 4) DOT(3, 4) DOT(4, 4) DOT(5, 4) DOT(6, 4) DOT(7, 3) DOT(8, 3)

LORAM_AVX512BF16 void loram_avx512bf16_dot(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate) {
    typedef void (*dot_function)(float *, const uint16_t *, long, int, const uint16_t *, long, long, int);
    static const dot_function dots[LORAM_DOT_TOKENS] = {dot1, dot2, dot3, dot4, dot5, dot6, dot7, dot8};
    dots[tokens - 1](lanes, w, w_stride, rows, x, x_stride, steps, accumulate);
}

#endif
