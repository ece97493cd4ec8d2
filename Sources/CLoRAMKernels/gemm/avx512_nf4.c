// Dot products of few tokens with rows of NF4 blocks in 512-bit FMA.
#if defined(__x86_64__)
#include "avx512.h"
#include "avx512_f32.h"

LORAM_INLINE LORAM_AVX512 void split(float *even, float *odd, const float *x, long count, long length, const int rounded) {
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0), odds = _mm512_add_epi32(evens, _mm512_set1_epi32(1));
    for (long i = 0; i < length; i += 16) {
        __m512 part[2];
        LORAM_UNROLL
        for (int j = 0; j < 2; j++) part[j] = loram_maybe_round_512(_mm512_maskz_loadu_ps(loram_mask16(count - 2 * i - 16 * j), x + loram_min(2 * i + 16 * j, count)), rounded);
        _mm512_storeu_ps(even + i, _mm512_permutex2var_ps(part[0], evens, part[1]));
        _mm512_storeu_ps(odd + i, _mm512_permutex2var_ps(part[0], odds, part[1]));
    }
}

LORAM_AVX512 void loram_avx512_split(void *even, void *odd, const float *x, long count, long length) { split(even, odd, x, count, length, 0); }
LORAM_AVX512 void loram_avx512_split_rounded(void *even, void *odd, const float *x, long count, long length) { split(even, odd, x, count, length, 1); }

/// Half a block at a time; rows, tokens, shared and rounded are constants at every call.
LORAM_INLINE LORAM_AVX512 void dot(const int rows, const int tokens, const int shared, const int rounded, float *lanes, const loram_nf4_rows *job, long x_stride, int accumulate) {
    __m512 sum[LORAM_DOT_MAX_ROWS][LORAM_SMALL_TOKENS];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) sum[r][t] = accumulate ? _mm512_loadu_ps(lanes + (r * tokens + t) * LORAM_LANES) : _mm512_setzero_ps();
    const __m512 levels = _mm512_loadu_ps(loram_nf4_codes);
    for (long half = 0, halves = 2 * job->blocks; half < halves; half++) {
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
            const long at = t * x_stride + 16 * half;
            if (shared) {
                __m512 even = _mm512_loadu_ps((const float *)job->row[0].upper + at), odd = _mm512_loadu_ps((const float *)job->row[0].lower + at);
                LORAM_UNROLL
                for (int r = 0; r < rows; r++) sum[r][t] = _mm512_fmadd_ps(upper[r], even, sum[r][t]);
                LORAM_UNROLL
                for (int r = 0; r < rows; r++) sum[r][t] = _mm512_fmadd_ps(lower[r], odd, sum[r][t]);
            } else {
                LORAM_UNROLL
                for (int r = 0; r < rows; r++) {
                    sum[r][t] = _mm512_fmadd_ps(upper[r], _mm512_loadu_ps((const float *)job->row[r].upper + at), sum[r][t]);
                    sum[r][t] = _mm512_fmadd_ps(lower[r], _mm512_loadu_ps((const float *)job->row[r].lower + at), sum[r][t]);
                }
            }
        }
    }
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) _mm512_storeu_ps(lanes + (r * tokens + t) * LORAM_LANES, sum[r][t]);
}

typedef void (*dot_function)(float *, const loram_nf4_rows *, long, int);
#define ONE(TOKENS, ROUNDED)                                                                                                                  \
    static LORAM_AVX512 void one##TOKENS##_##ROUNDED(float *lanes, const loram_nf4_rows *job, long xs, int acc) { dot(1, TOKENS, 1, ROUNDED, lanes, job, xs, acc); }
#define SEVERAL(TOKENS, ROWS, ROUNDED)                                                                                                        \
    ONE(TOKENS, ROUNDED)                                                                                                                      \
    static LORAM_AVX512 void shared##TOKENS##_##ROUNDED(float *lanes, const loram_nf4_rows *job, long xs, int acc) { dot(ROWS, TOKENS, 1, ROUNDED, lanes, job, xs, acc); } \
    static LORAM_AVX512 void apart##TOKENS##_##ROUNDED(float *lanes, const loram_nf4_rows *job, long xs, int acc) { dot(ROWS, TOKENS, 0, ROUNDED, lanes, job, xs, acc); }
#define SET(ROUNDED)                                                                                                                          \
    SEVERAL(1, 4, ROUNDED) SEVERAL(2, 4, ROUNDED) SEVERAL(3, 4, ROUNDED) SEVERAL(4, 4, ROUNDED) SEVERAL(5, 4, ROUNDED) SEVERAL(6, 4, ROUNDED) \
    SEVERAL(7, 3, ROUNDED) SEVERAL(8, 3, ROUNDED)                                                                                             \
    ONE(9, ROUNDED) ONE(10, ROUNDED) ONE(11, ROUNDED) ONE(12, ROUNDED) ONE(13, ROUNDED) ONE(14, ROUNDED) ONE(15, ROUNDED) ONE(16, ROUNDED)
SET(0) SET(1)

#define ONES(R) {one1_##R, one2_##R, one3_##R, one4_##R, one5_##R, one6_##R, one7_##R, one8_##R, one9_##R, one10_##R, one11_##R, one12_##R, one13_##R, one14_##R, one15_##R, one16_##R}
#define PAIR(T, R) {apart##T##_##R, shared##T##_##R}
#define PAIRS(R) {PAIR(1, R), PAIR(2, R), PAIR(3, R), PAIR(4, R), PAIR(5, R), PAIR(6, R), PAIR(7, R), PAIR(8, R)}
static const dot_function one[2][LORAM_SMALL_TOKENS] = {ONES(0), ONES(1)};
static const dot_function several[2][LORAM_DOT_TOKENS][2] = {PAIRS(0), PAIRS(1)};

LORAM_AVX512 void loram_avx512_dot_nf4(float *lanes, const loram_nf4_rows *rows, int count, long x_stride, int tokens, int accumulate) {
    (count == 1 ? one[0][tokens - 1] : several[0][tokens - 1][rows->shared])(lanes, rows, x_stride, accumulate);
}

LORAM_AVX512 void loram_avx512_dot_nf4_rounded(float *lanes, const loram_nf4_rows *rows, int count, long x_stride, int tokens, int accumulate) {
    (count == 1 ? one[1][tokens - 1] : several[1][tokens - 1][rows->shared])(lanes, rows, x_stride, accumulate);
}
#endif
