// f32 tiles and small-token dot products with 512-bit FMA.
#if defined(__x86_64__)
#include "avx512.h"
#include "avx512_f32.h"

/// C[rows, 16 * vectors] (=|+=) A B; columns beyond `mask` of the last vector are not touched. rows and vectors are constants at every
/// call, so that the accumulators live in registers.
LORAM_INLINE LORAM_AVX512 void tile(const int rows, const int vectors, long groups, const float *a, const float *b, float *c, long c_stride, __mmask16 mask, int accumulate) {
    __m512 sum[LORAM_512_ROWS][2];
    LORAM_UNROLL
    for (int i = 0; i < rows; i++)
        LORAM_UNROLL
        for (int v = 0; v < vectors; v++) {
            sum[i][v] = _mm512_setzero_ps();
            _mm_prefetch((const char *)(c + i * c_stride + 16 * v), _MM_HINT_T0);
        }
#pragma clang loop unroll_count(4)
    for (long g = 0; g < groups; g++) {
        __m512 right[2];
        _mm_prefetch((const char *)(a + (g + LORAM_AHEAD_A) * LORAM_512_ROWS), _MM_HINT_T0);
        LORAM_UNROLL
        for (int v = 0; v < vectors; v++) _mm_prefetch((const char *)(b + (g + LORAM_AHEAD_B) * LORAM_512_COLUMNS + 16 * v), _MM_HINT_T0);
        LORAM_UNROLL
        for (int v = 0; v < vectors; v++) right[v] = _mm512_loadu_ps(b + g * LORAM_512_COLUMNS + 16 * v);
        LORAM_UNROLL
        for (int i = 0; i < rows; i++) {
            __m512 left = _mm512_set1_ps(a[g * LORAM_512_ROWS + i]);
            LORAM_UNROLL
            for (int v = 0; v < vectors; v++) sum[i][v] = _mm512_fmadd_ps(left, right[v], sum[i][v]);
        }
    }
    LORAM_UNROLL
    for (int i = 0; i < rows; i++)
        LORAM_UNROLL
        for (int v = 0; v < vectors; v++) {
            float *out = c + i * c_stride + 16 * v;
            __mmask16 lanes = v + 1 < vectors ? 0xffff : mask;
            __m512 value = sum[i][v];
            if (accumulate) value = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, out), value);
            _mm512_mask_storeu_ps(out, lanes, value);
        }
}

#define TILE(ROWS)                                                                                                                            \
    static LORAM_AVX512 void tile##ROWS##x1(long groups, const float *a, const float *b, float *c, long s, __mmask16 m, int acc) { tile(ROWS, 1, groups, a, b, c, s, m, acc); } \
    static LORAM_AVX512 void tile##ROWS##x2(long groups, const float *a, const float *b, float *c, long s, __mmask16 m, int acc) { tile(ROWS, 2, groups, a, b, c, s, m, acc); }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)

typedef void (*tile_function)(long, const float *, const float *, float *, long, __mmask16, int);
#define PAIR(ROWS) {tile##ROWS##x1, tile##ROWS##x2}
static const tile_function tiles[LORAM_512_ROWS][2] = {PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), PAIR(6), PAIR(7), PAIR(8), PAIR(9), PAIR(10), PAIR(11), PAIR(12), PAIR(13), PAIR(14)};

LORAM_AVX512 void loram_avx512_multiply(long groups, const void *a, const void *b, float *c, long c_stride, int rows, int columns, int accumulate) {
    int vectors = columns > 16 ? 2 : 1;
    tiles[rows - 1][vectors - 1](groups, a, b, c, c_stride, loram_mask16(columns - 16 * (vectors - 1)), accumulate);
}

/// Lanes of `rows` decoded rows times `tokens` converted ones, both constants at every call.
LORAM_INLINE LORAM_AVX512 void dot_block(const int rows, const int tokens, float *lanes, const float *w, long w_stride, const float *x, long x_stride, long steps, int accumulate) {
    __m512 sum[LORAM_DOT_MAX_ROWS][LORAM_DOT_TOKENS];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) sum[r][t] = accumulate ? _mm512_loadu_ps(lanes + (r * tokens + t) * LORAM_LANES) : _mm512_setzero_ps();
    for (long s = 0; s < 2 * steps; s++) {
        __m512 left[LORAM_DOT_MAX_ROWS];
        LORAM_UNROLL
        for (int r = 0; r < rows; r++) left[r] = _mm512_loadu_ps(w + r * w_stride + s * 16);
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) {
            __m512 right = _mm512_loadu_ps(x + t * x_stride + s * 16);
            LORAM_UNROLL
            for (int r = 0; r < rows; r++) sum[r][t] = _mm512_fmadd_ps(left[r], right, sum[r][t]);
        }
    }
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) _mm512_storeu_ps(lanes + (r * tokens + t) * LORAM_LANES, sum[r][t]);
}

#define DOT(TOKENS, ROWS)                                                                                                                     \
    static LORAM_AVX512 void dot##TOKENS(float *lanes, const float *w, long ws, int rows, const float *x, long xs, long steps, int acc) {         \
        if (rows == ROWS) { dot_block(ROWS, TOKENS, lanes, w, ws, x, xs, steps, acc); return; }                                               \
        for (int r = 0; r < rows; r++) dot_block(1, TOKENS, lanes + r * TOKENS * LORAM_LANES, w + r * ws, ws, x, xs, steps, acc);                \
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
