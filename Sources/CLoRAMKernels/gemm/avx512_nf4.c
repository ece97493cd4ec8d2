// Dot products of few tokens with rows of NF4 blocks in 512-bit FMA.
#if defined(__x86_64__)
#include "avx512.h"
#include "avx512_f32.h"

/// A block lies as even and odd elements of its first half, then of its second.
LORAM_INLINE LORAM_AVX512 void arrange(float *out, const float *x, long x_stride, int tokens, long first, long count, long blocks, const int rounded) {
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0), odds = _mm512_add_epi32(evens, _mm512_set1_epi32(1));
    for (int t = 0; t < tokens; t++)
        for (long half = 0; half < 2 * blocks; half++) {
            float *to = out + (half * 2 * tokens + t) * 16;
            __m512 part[2];
            LORAM_UNROLL
            for (int j = 0; j < 2; j++) part[j] = loram_maybe_round_512(loram_load_within(x + t * x_stride, first + 32 * half + 16 * j, count), rounded);
            _mm512_store_ps(to, _mm512_permutex2var_ps(part[0], evens, part[1]));
            _mm512_store_ps(to + 16 * tokens, _mm512_permutex2var_ps(part[0], odds, part[1]));
        }
}

LORAM_AVX512 void loram_avx512_arrange(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks) { arrange(out, x, x_stride, tokens, first, count, blocks, 0); }
LORAM_AVX512 void loram_avx512_arrange_rounded(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks) { arrange(out, x, x_stride, tokens, first, count, blocks, 1); }

/// Half a block at a time; rows, tokens and rounded are constants at every call.
LORAM_INLINE LORAM_AVX512 void dot(const int rows, const int tokens, const int rounded, float *lanes, const loram_nf4_rows *job, const float *x, int accumulate) {
    __m512 sum[LORAM_DOT_MAX_ROWS][LORAM_SMALL_TOKENS];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) sum[r][t] = accumulate ? _mm512_loadu_ps(lanes + (r * tokens + t) * LORAM_LANES) : _mm512_setzero_ps();
    const __m512 levels = _mm512_loadu_ps(loram_nf4_codes);
    for (long half = 0, halves = 2 * job->blocks; half < halves; half++, x += 32 * tokens) {
        __m512 upper[LORAM_DOT_MAX_ROWS], lower[LORAM_DOT_MAX_ROWS];
        LORAM_UNROLL
        for (int r = 0; r < rows; r++) {
            const uint8_t *codes = job->row[r].codes + 16 * half;
            _mm_prefetch((const char *)codes + job->ahead, _MM_HINT_T0);
            __m512 table = loram_maybe_round_512(_mm512_mul_ps(levels, _mm512_set1_ps(job->row[r].scales[half / 2])), rounded);
            // Of an index only 4 bits count.
            __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)codes));
            upper[r] = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), table);
            lower[r] = _mm512_permutexvar_ps(bytes, table);
        }
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) {
            __m512 even = _mm512_load_ps(x + 16 * t), odd = _mm512_load_ps(x + 16 * (tokens + t));
            LORAM_UNROLL
            for (int r = 0; r < rows; r++) sum[r][t] = _mm512_fmadd_ps(upper[r], even, sum[r][t]);
            LORAM_UNROLL
            for (int r = 0; r < rows; r++) sum[r][t] = _mm512_fmadd_ps(lower[r], odd, sum[r][t]);
        }
    }
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) _mm512_storeu_ps(lanes + (r * tokens + t) * LORAM_LANES, sum[r][t]);
}

typedef void (*dot_function)(float *, const loram_nf4_rows *, const float *, int);
#define DOT(ROWS, TOKENS, ROUNDED)                                                                                                            \
    static LORAM_AVX512 void dot##ROWS##x##TOKENS##_##ROUNDED(float *lanes, const loram_nf4_rows *job, const float *x, int acc) { dot(ROWS, TOKENS, ROUNDED, lanes, job, x, acc); }
#define SET(R)                                                                                                                                \
    DOT(4, 1, R) DOT(4, 2, R) DOT(4, 3, R) DOT(4, 4, R) DOT(4, 5, R) DOT(4, 6, R) DOT(3, 7, R) DOT(3, 8, R)                                   \
    DOT(1, 1, R) DOT(1, 2, R) DOT(1, 3, R) DOT(1, 4, R) DOT(1, 5, R) DOT(1, 6, R) DOT(1, 7, R) DOT(1, 8, R)                                   \
    DOT(1, 9, R) DOT(1, 10, R) DOT(1, 11, R) DOT(1, 12, R) DOT(1, 13, R) DOT(1, 14, R) DOT(1, 15, R) DOT(1, 16, R)
SET(0) SET(1)

#define ONE(R) {dot1x1_##R, dot1x2_##R, dot1x3_##R, dot1x4_##R, dot1x5_##R, dot1x6_##R, dot1x7_##R, dot1x8_##R, dot1x9_##R, dot1x10_##R, dot1x11_##R, dot1x12_##R, dot1x13_##R, dot1x14_##R, dot1x15_##R, dot1x16_##R}
#define SEVERAL(R) {dot4x1_##R, dot4x2_##R, dot4x3_##R, dot4x4_##R, dot4x5_##R, dot4x6_##R, dot3x7_##R, dot3x8_##R}
static const dot_function one[2][LORAM_SMALL_TOKENS] = {ONE(0), ONE(1)};
/// As many rows as the engines' nf4_rows say (avx512.c).
static const dot_function several[2][LORAM_SMALL_TOKENS] = {SEVERAL(0), SEVERAL(1)};

LORAM_AVX512 void loram_avx512_dot_nf4(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate) {
    (count == 1 ? one : several)[0][tokens - 1](lanes, rows, x, accumulate);
}

LORAM_AVX512 void loram_avx512_dot_nf4_rounded(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate) {
    (count == 1 ? one : several)[1][tokens - 1](lanes, rows, x, accumulate);
}
#endif
