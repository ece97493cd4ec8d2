// f32 tiles and small-token dot products with 256-bit FMA.
#if defined(__x86_64__)
#include "avx2.h"

enum {
    /// Words that a tile prefetches ahead in its panels.
    AHEAD_A = 256,
    AHEAD_B = 256,
};

/// C[rows, 8 * vectors] (=|+=) A B; columns beyond `mask` of the last vector are not touched. rows and vectors are constants at every
/// call, so that the accumulators live in registers.
LORAM_INLINE LORAM_AVX2 void tile(const int rows, const int vectors, long groups, const float *a, const float *b, float *c, long c_stride, __m256i mask, int accumulate) {
    __m256 sum[LORAM_256_ROWS][2];
    LORAM_UNROLL
    for (int i = 0; i < rows; i++)
        LORAM_UNROLL
        for (int v = 0; v < vectors; v++) sum[i][v] = _mm256_setzero_ps();
    for (long g = 0; g < groups; g++) {
        __m256 right[2];
        _mm_prefetch((const char *)(a + g * LORAM_256_ROWS + AHEAD_A), _MM_HINT_T0);
        _mm_prefetch((const char *)(b + g * LORAM_256_COLUMNS + AHEAD_B), _MM_HINT_T0);
        LORAM_UNROLL
        for (int v = 0; v < vectors; v++) right[v] = _mm256_loadu_ps(b + g * LORAM_256_COLUMNS + 8 * v);
        LORAM_UNROLL
        for (int i = 0; i < rows; i++) {
            __m256 left = _mm256_broadcast_ss(a + g * LORAM_256_ROWS + i);
            LORAM_UNROLL
            for (int v = 0; v < vectors; v++) sum[i][v] = _mm256_fmadd_ps(left, right[v], sum[i][v]);
        }
    }
    const __m256i all = _mm256_set1_epi32(-1);
    LORAM_UNROLL
    for (int i = 0; i < rows; i++)
        LORAM_UNROLL
        for (int v = 0; v < vectors; v++) {
            float *out = c + i * c_stride + 8 * v;
            __m256i lanes = v + 1 < vectors ? all : mask;
            __m256 value = sum[i][v];
            if (accumulate) value = _mm256_add_ps(_mm256_maskload_ps(out, lanes), value);
            _mm256_maskstore_ps(out, lanes, value);
        }
}

#define TILE(ROWS)                                                                                                                            \
    static LORAM_AVX2 void tile##ROWS##x1(long groups, const float *a, const float *b, float *c, long s, __m256i m, int acc) { tile(ROWS, 1, groups, a, b, c, s, m, acc); } \
    static LORAM_AVX2 void tile##ROWS##x2(long groups, const float *a, const float *b, float *c, long s, __m256i m, int acc) { tile(ROWS, 2, groups, a, b, c, s, m, acc); }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)

LORAM_AVX2 void loram_avx2_multiply(long groups, const void *a, const void *b, float *c, long c_stride, int rows, int columns, int accumulate) {
    typedef void (*tile_function)(long, const float *, const float *, float *, long, __m256i, int);
    static const tile_function tiles[LORAM_256_ROWS][2] = {{tile1x1, tile1x2}, {tile2x1, tile2x2}, {tile3x1, tile3x2}, {tile4x1, tile4x2}, {tile5x1, tile5x2}, {tile6x1, tile6x2}};
    int vectors = columns > 8 ? 2 : 1;
    tiles[rows - 1][vectors - 1](groups, a, b, c, c_stride, loram_mask8(columns - 8 * (vectors - 1)), accumulate);
}

/// lanes[row, token] of rows x tokens (at most 2 x 2, constants at every call) over k elements; lanes_stride lies between rows.
LORAM_INLINE LORAM_AVX2 void dot_block(const int rows, const int tokens, float *lanes, long lanes_stride, const float *w, long w_stride, const float *x, long x_stride, long k, int accumulate) {
    __m256 sum[2][2][2];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++)
            LORAM_UNROLL
            for (int h = 0; h < 2; h++) sum[r][t][h] = accumulate ? _mm256_loadu_ps(lanes + r * lanes_stride + t * LORAM_LANES + 8 * h) : _mm256_setzero_ps();
    long i = 0;
    for (; i + LORAM_LANES <= k; i += LORAM_LANES)
        LORAM_UNROLL
        for (int h = 0; h < 2; h++) {
            __m256 right[2];
            LORAM_UNROLL
            for (int t = 0; t < tokens; t++) right[t] = _mm256_loadu_ps(x + t * x_stride + i + 8 * h);
            LORAM_UNROLL
            for (int r = 0; r < rows; r++) {
                __m256 left = _mm256_loadu_ps(w + r * w_stride + i + 8 * h);
                LORAM_UNROLL
                for (int t = 0; t < tokens; t++) sum[r][t][h] = _mm256_fmadd_ps(left, right[t], sum[r][t][h]);
            }
        }
    if (i < k)
        LORAM_UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i mask = loram_mask8(k - i - 8 * h);
            LORAM_UNROLL
            for (int r = 0; r < rows; r++)
                LORAM_UNROLL
                for (int t = 0; t < tokens; t++)
                    sum[r][t][h] = _mm256_fmadd_ps(_mm256_maskload_ps(w + r * w_stride + i + 8 * h, mask), _mm256_maskload_ps(x + t * x_stride + i + 8 * h, mask), sum[r][t][h]);
        }
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++)
            LORAM_UNROLL
            for (int h = 0; h < 2; h++) _mm256_storeu_ps(lanes + r * lanes_stride + t * LORAM_LANES + 8 * h, sum[r][t][h]);
}

/// lanes[rows, tokens] over k elements, in blocks of 2 x 2.
LORAM_INLINE LORAM_AVX2 void dot_all(float *lanes, const float *w, long w_stride, int rows, const float *x, long x_stride, int tokens, long k, int accumulate) {
    const long stride = (long)tokens * LORAM_LANES;
    for (int r = 0; r < rows; r += 2)
        for (int t = 0; t < tokens; t += 2) {
            float *out = lanes + r * stride + t * LORAM_LANES;
            const float *left = w + r * w_stride, *right = x + t * x_stride;
            if (r + 1 < rows && t + 1 < tokens) dot_block(2, 2, out, stride, left, w_stride, right, x_stride, k, accumulate);
            else if (r + 1 < rows) dot_block(2, 1, out, stride, left, w_stride, right, x_stride, k, accumulate);
            else if (t + 1 < tokens) dot_block(1, 2, out, stride, left, w_stride, right, x_stride, k, accumulate);
            else dot_block(1, 1, out, stride, left, w_stride, right, x_stride, k, accumulate);
        }
}

LORAM_AVX2 void loram_avx2_dot(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate) {
    dot_all(lanes, w, w_stride, rows, x, x_stride, tokens, steps * LORAM_DOT_STEP, accumulate);
}

LORAM_AVX2 void loram_avx2_project(float *lanes, const float *x, long x_stride, int tokens, const float *a, long a_stride, int ranks, long k, int accumulate) {
    dot_all(lanes, x, x_stride, tokens, a, a_stride, ranks, k, accumulate);
}

LORAM_AVX2 void loram_avx2_sum_lanes(float *out, const float *lanes, long count) {
    for (long i = 0; i < count; i++, lanes += LORAM_LANES) {
        __m256 eight = _mm256_add_ps(_mm256_loadu_ps(lanes), _mm256_loadu_ps(lanes + 8));
        __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        out[i] = _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
}

enum { OUTER_RANKS = 4 };

/// sums[ranks, 16] += over tokens g v with masks on the two vectors; ranks is a constant at every call.
LORAM_INLINE LORAM_AVX2 void outer_block(const int ranks, float *sums, long sums_stride, const float *g, long g_stride, const float *v, long v_stride, long tokens, __m256i low, __m256i high) {
    __m256 sum[OUTER_RANKS][2];
    LORAM_UNROLL
    for (int r = 0; r < ranks; r++) {
        sum[r][0] = _mm256_maskload_ps(sums + r * sums_stride, low);
        sum[r][1] = _mm256_maskload_ps(sums + r * sums_stride + 8, high);
    }
    for (long t = 0; t < tokens; t++) {
        __m256 first = _mm256_maskload_ps(v + t * v_stride, low), second = _mm256_maskload_ps(v + t * v_stride + 8, high);
        LORAM_UNROLL
        for (int r = 0; r < ranks; r++) {
            __m256 factor = _mm256_broadcast_ss(g + t * g_stride + r);
            sum[r][0] = _mm256_fmadd_ps(factor, first, sum[r][0]);
            sum[r][1] = _mm256_fmadd_ps(factor, second, sum[r][1]);
        }
    }
    LORAM_UNROLL
    for (int r = 0; r < ranks; r++) {
        _mm256_maskstore_ps(sums + r * sums_stride, low, sum[r][0]);
        _mm256_maskstore_ps(sums + r * sums_stride + 8, high, sum[r][1]);
    }
}

LORAM_AVX2 void loram_avx2_outer(float *sums, long sums_stride, const float *g, long g_stride, int ranks, const float *v, long v_stride, long width, long tokens) {
    for (long i = 0; i < width; i += 16) {
        __m256i low = loram_mask8(width - i), high = loram_mask8(width - i - 8);
        int r = 0;
        for (; r + OUTER_RANKS <= ranks; r += OUTER_RANKS) outer_block(OUTER_RANKS, sums + r * sums_stride + i, sums_stride, g + r, g_stride, v + i, v_stride, tokens, low, high);
        for (; r < ranks; r++) outer_block(1, sums + r * sums_stride + i, sums_stride, g + r, g_stride, v + i, v_stride, tokens, low, high);
    }
}
#endif
