// f32 tiles and small-token dot products with 256-bit FMA.
#if defined(__x86_64__)
#include "avx2.h"
#include "avx2_dot.h"

/// C[rows, columns] (=|+=) A B, columns <= 8 * vectors. rows and vectors are constants at every call, so that the accumulators live in
/// registers.
LORAM_INLINE LORAM_AVX2 void tile(const int rows, const int vectors, long groups, const float *a, const float *b, float *c, long c_stride, long columns, int accumulate) {
    __m256 sum[LORAM_256_ROWS][2];
    LORAM_UNROLL
    for (int i = 0; i < rows; i++) {
        LORAM_UNROLL
        for (int v = 0; v < vectors; v++) sum[i][v] = _mm256_setzero_ps();
        _mm_prefetch((const char *)(c + i * c_stride), _MM_HINT_T0);
        _mm_prefetch((const char *)(c + i * c_stride + columns - 1), _MM_HINT_T0);
    }
    // The panels are read in order, which the hardware fetches ahead by itself; prefetches would compete with the loads for their units.
#pragma clang loop unroll_count(4)
    for (long g = 0; g < groups; g++) {
        __m256 right[2];
        LORAM_UNROLL
        for (int v = 0; v < vectors; v++) right[v] = _mm256_loadu_ps(b + g * LORAM_256_COLUMNS + 8 * v);
        LORAM_UNROLL
        for (int i = 0; i < rows; i++) {
            __m256 left = _mm256_broadcast_ss(a + g * LORAM_256_ROWS + i);
            LORAM_UNROLL
            for (int v = 0; v < vectors; v++) sum[i][v] = _mm256_fmadd_ps(left, right[v], sum[i][v]);
        }
    }
    LORAM_UNROLL
    for (int i = 0; i < rows; i++)
        LORAM_UNROLL
        for (int v = 0; v < vectors; v++) {
            float *out = c + i * c_stride + 8 * v;
            long left = columns - 8 * v;
            if (left >= 8) _mm256_storeu_ps(out, accumulate ? _mm256_add_ps(_mm256_loadu_ps(out), sum[i][v]) : sum[i][v]);
            else loram_store8(out, accumulate ? _mm256_add_ps(_mm256_maskload_ps(out, loram_mask8(left)), sum[i][v]) : sum[i][v], left);
        }
}

#define TILE(ROWS)                                                                                                                            \
    static LORAM_AVX2 void tile##ROWS##x1(long groups, const float *a, const float *b, float *c, long s, long n, int acc) { tile(ROWS, 1, groups, a, b, c, s, n, acc); } \
    static LORAM_AVX2 void tile##ROWS##x2(long groups, const float *a, const float *b, float *c, long s, long n, int acc) { tile(ROWS, 2, groups, a, b, c, s, n, acc); }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)

LORAM_AVX2 void loram_avx2_multiply(long groups, const void *a, const void *b, float *c, long c_stride, int rows, int columns, int accumulate) {
    typedef void (*tile_function)(long, const float *, const float *, float *, long, long, int);
    static const tile_function tiles[LORAM_256_ROWS][2] = {{tile1x1, tile1x2}, {tile2x1, tile2x2}, {tile3x1, tile3x2}, {tile4x1, tile4x2}, {tile5x1, tile5x2}, {tile6x1, tile6x2}};
    tiles[rows - 1][columns > 8](groups, a, b, c, c_stride, columns, accumulate);
}

/// lanes[rows, tokens] over k elements; of a sum's lanes only the first eight are added to.
LORAM_INLINE LORAM_AVX2 void dot_all(float *lanes, const float *w, long w_stride, int rows, const float *x, long x_stride, int tokens, long k, int accumulate) {
    loram_dot_256(lanes, w, w_stride, rows, x, x_stride, tokens, k, accumulate);
    for (long i = 0; !accumulate && i < (long)rows * tokens; i++) _mm256_storeu_ps(lanes + i * LORAM_LANES + 8, _mm256_setzero_ps());
}

LORAM_AVX2 void loram_avx2_dot(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate) {
    dot_all(lanes, w, w_stride, rows, x, x_stride, tokens, steps * LORAM_DOT_STEP, accumulate);
}

LORAM_AVX2 void loram_avx2_project(float *lanes, const float *x, long x_stride, int tokens, const float *a, long a_stride, int ranks, long k, int accumulate) {
    dot_all(lanes, x, x_stride, tokens, a, a_stride, ranks, k, accumulate);
}

/// The sums of eight times sixteen lanes, the tree of one sum in each lane.
LORAM_INLINE LORAM_AVX2 __m256 sum_eight(const float *lanes) {
    __m256 four[4], two[2];
    LORAM_UNROLL
    for (int i = 0; i < 4; i++) {
        const float *from = lanes + 2 * i * LORAM_LANES;
        __m256 first = _mm256_add_ps(_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)), second = _mm256_add_ps(_mm256_loadu_ps(from + 16), _mm256_loadu_ps(from + 24));
        four[i] = _mm256_add_ps(_mm256_permute2f128_ps(first, second, 0x20), _mm256_permute2f128_ps(first, second, 0x31));
    }
    LORAM_UNROLL
    for (int i = 0; i < 2; i++) two[i] = _mm256_add_ps(_mm256_shuffle_ps(four[2 * i], four[2 * i + 1], 0x44), _mm256_shuffle_ps(four[2 * i], four[2 * i + 1], 0xee));
    __m256 one = _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x88), _mm256_shuffle_ps(two[0], two[1], 0xdd));
    return _mm256_permutevar8x32_ps(one, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

LORAM_AVX2 void loram_avx2_sum_lanes(float *out, const float *lanes, long count) {
    long i = 0;
    for (; i + 8 <= count; i += 8) _mm256_storeu_ps(out + i, sum_eight(lanes + i * LORAM_LANES));
    for (; i < count; i++) {
        const float *from = lanes + i * LORAM_LANES;
        __m256 eight = _mm256_add_ps(_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8));
        __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        out[i] = _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
}

enum { OUTER_RANKS = 4 };

/// sums[ranks, width <= 16] += over tokens g v; ranks is a constant at every call.
LORAM_INLINE LORAM_AVX2 void outer_block(const int ranks, float *sums, long sums_stride, const float *g, long g_stride, const float *v, long v_stride, long tokens, long width) {
    const __m256i low = loram_mask8(width), high = loram_mask8(width - 8);
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
        loram_store8(sums + r * sums_stride, sum[r][0], width);
        loram_store8(sums + r * sums_stride + 8, sum[r][1], width - 8);
    }
}

LORAM_AVX2 void loram_avx2_outer(float *sums, long sums_stride, const float *g, long g_stride, int ranks, const float *v, long v_stride, long width, long tokens) {
    for (long i = 0; i < width; i += 16) {
        int r = 0;
        for (; r + OUTER_RANKS <= ranks; r += OUTER_RANKS) outer_block(OUTER_RANKS, sums + r * sums_stride + i, sums_stride, g + r, g_stride, v + i, v_stride, tokens, width - i);
        for (; r < ranks; r++) outer_block(1, sums + r * sums_stride + i, sums_stride, g + r, g_stride, v + i, v_stride, tokens, width - i);
    }
}
#endif
