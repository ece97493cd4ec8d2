// LoRA's thin products with 512-bit FMA.
#if defined(__x86_64__)
#include "avx512.h"
#include "avx512_f32.h"

enum { TOKENS = 3, RANKS = 8, OUTER_VECTORS = 2 };

LORAM_INLINE LORAM_AVX512 void project_step(__m512 sum[TOKENS][RANKS], const int tokens, const int ranks, const float *x, long x_stride, const float *a, long a_stride, __mmask16 mask) {
    __m512 left[TOKENS];
    LORAM_UNROLL
    for (int t = 0; t < tokens; t++) {
        // The next tokens' piece, one line at a time: they lie far apart, where the hardware does not look.
        _mm_prefetch((const char *)(x + (t + TOKENS) * x_stride), _MM_HINT_T0);
        left[t] = _mm512_maskz_loadu_ps(mask, x + t * x_stride);
    }
    LORAM_UNROLL
    for (int r = 0; r < ranks; r++) {
        __m512 right = _mm512_maskz_loadu_ps(mask, a + r * a_stride);
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) sum[t][r] = _mm512_fmadd_ps(left[t], right, sum[t][r]);
    }
}

/// tokens and ranks are constants at every call.
LORAM_INLINE LORAM_AVX512 void project_block(const int tokens, const int ranks, float *lanes, const float *x, long x_stride, const float *a, long a_stride, long k, int accumulate) {
    __m512 sum[TOKENS][RANKS];
    LORAM_UNROLL
    for (int t = 0; t < tokens; t++)
        LORAM_UNROLL
        for (int r = 0; r < ranks; r++) sum[t][r] = accumulate ? _mm512_loadu_ps(lanes + (t * ranks + r) * LORAM_LANES) : _mm512_setzero_ps();
    long i = 0;
    for (; i + 16 <= k; i += 16) project_step(sum, tokens, ranks, x + i, x_stride, a + i, a_stride, 0xffff);
    if (i < k) project_step(sum, tokens, ranks, x + i, x_stride, a + i, a_stride, loram_mask16(k - i));
    LORAM_UNROLL
    for (int t = 0; t < tokens; t++)
        LORAM_UNROLL
        for (int r = 0; r < ranks; r++) _mm512_storeu_ps(lanes + (t * ranks + r) * LORAM_LANES, sum[t][r]);
}

#define PROJECT(RANKS)                                                                                                                        \
    static LORAM_AVX512 void project##RANKS(float *lanes, const float *x, long xs, int tokens, const float *a, long as, long k, int acc) {        \
        if (tokens == 3) project_block(3, RANKS, lanes, x, xs, a, as, k, acc);                                                                \
        else if (tokens == 2) project_block(2, RANKS, lanes, x, xs, a, as, k, acc);                                                           \
        else project_block(1, RANKS, lanes, x, xs, a, as, k, acc);                                                                            \
    }
PROJECT(1) PROJECT(2) PROJECT(3) PROJECT(4) PROJECT(5) PROJECT(6) PROJECT(7) PROJECT(8)

LORAM_AVX512 void loram_avx512_project(float *lanes, const float *x, long x_stride, int tokens, const float *a, long a_stride, int ranks, long k, int accumulate) {
    typedef void (*project_function)(float *, const float *, long, int, const float *, long, long, int);
    static const project_function functions[RANKS] = {project1, project2, project3, project4, project5, project6, project7, project8};
    functions[ranks - 1](lanes, x, x_stride, tokens, a, a_stride, k, accumulate);
}

/// sums[ranks, 16 * vectors] += over tokens g v, with `mask` on the last vector; ranks and vectors are constants at every call.
LORAM_INLINE LORAM_AVX512 void outer_block(const int ranks, const int vectors, float *sums, long sums_stride, const float *g, long g_stride, const float *v, long v_stride, long tokens, __mmask16 mask) {
    __m512 sum[RANKS][OUTER_VECTORS];
    LORAM_UNROLL
    for (int r = 0; r < ranks; r++)
        LORAM_UNROLL
        for (int j = 0; j < vectors; j++) sum[r][j] = _mm512_maskz_loadu_ps(j + 1 < vectors ? 0xffff : mask, sums + r * sums_stride + 16 * j);
    for (long t = 0; t < tokens; t++) {
        __m512 row[OUTER_VECTORS];
        LORAM_UNROLL
        for (int j = 0; j < vectors; j++) row[j] = _mm512_maskz_loadu_ps(j + 1 < vectors ? 0xffff : mask, v + t * v_stride + 16 * j);
        LORAM_UNROLL
        for (int r = 0; r < ranks; r++) {
            __m512 factor = _mm512_set1_ps(g[t * g_stride + r]);
            LORAM_UNROLL
            for (int j = 0; j < vectors; j++) sum[r][j] = _mm512_fmadd_ps(factor, row[j], sum[r][j]);
        }
    }
    LORAM_UNROLL
    for (int r = 0; r < ranks; r++)
        LORAM_UNROLL
        for (int j = 0; j < vectors; j++) _mm512_mask_storeu_ps(sums + r * sums_stride + 16 * j, j + 1 < vectors ? 0xffff : mask, sum[r][j]);
}

#define OUTER(RANKS)                                                                                                                          \
    static LORAM_AVX512 void outer##RANKS(float *sums, long ss, const float *g, long gs, const float *v, long vs, long width, long tokens) {      \
        long i = 0;                                                                                                                           \
        for (; i + 32 <= width; i += 32) outer_block(RANKS, 2, sums + i, ss, g, gs, v + i, vs, tokens, 0xffff);                               \
        for (; i < width; i += 16) outer_block(RANKS, 1, sums + i, ss, g, gs, v + i, vs, tokens, loram_mask16(width - i));                     \
    }
OUTER(1) OUTER(2) OUTER(3) OUTER(4) OUTER(5) OUTER(6) OUTER(7) OUTER(8)

LORAM_AVX512 void loram_avx512_outer(float *sums, long sums_stride, const float *g, long g_stride, int ranks, const float *v, long v_stride, long width, long tokens) {
    typedef void (*outer_function)(float *, long, const float *, long, const float *, long, long, long);
    static const outer_function functions[RANKS] = {outer1, outer2, outer3, outer4, outer5, outer6, outer7, outer8};
    for (int r = 0; r < ranks; r += RANKS)
        functions[loram_min(RANKS, ranks - r) - 1](sums + r * sums_stride, sums_stride, g + r, g_stride, v, v_stride, width, tokens);
}
#endif
