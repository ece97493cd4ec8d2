// Dot products of few tokens with rows of NF4 blocks in vdpbf16ps.
#if defined(__x86_64__)
#include "avx512bf16.h"
#include "few_tokens.h"

LORAM_AVX512BF16 void loram_avx512bf16_split(void *even, void *odd, const float *x, long count, long length) {
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0), odds = _mm512_add_epi32(evens, _mm512_set1_epi32(1));
    for (long i = 0; i < length; i += 32) {
        __m512 part[4], chosen[4];
        LORAM_UNROLL
        for (int j = 0; j < 4; j++) part[j] = _mm512_maskz_loadu_ps(loram_mask16(count - 2 * i - 16 * j), x + loram_min(2 * i + 16 * j, count));
        LORAM_UNROLL
        for (int j = 0; j < 2; j++) {
            chosen[j] = _mm512_permutex2var_ps(part[2 * j], evens, part[2 * j + 1]);
            chosen[2 + j] = _mm512_permutex2var_ps(part[2 * j], odds, part[2 * j + 1]);
        }
        _mm512_storeu_si512((uint16_t *)even + i, (__m512i)_mm512_cvtne2ps_pbh(chosen[1], chosen[0]));
        _mm512_storeu_si512((uint16_t *)odd + i, (__m512i)_mm512_cvtne2ps_pbh(chosen[3], chosen[2]));
    }
}

/// With many tokens, tables of two blocks are made by one conversion, which competes with the multiply-adds for their units, and loaded
/// again from cache; with few, that costs more than it saves.
enum { TABLES = LORAM_FEW_NF4_X_BYTES / (2 * LORAM_NF4_BLOCK * (LORAM_DOT_TOKENS + 1)) + 1 };

LORAM_INLINE LORAM_AVX512BF16 void make_tables(uint16_t tables[][16], const float *scales, long blocks, __m512 levels) {
    for (long block = 0; block < blocks; block += 2) {
        __m512 first = _mm512_mul_ps(levels, _mm512_set1_ps(scales[block])), second = _mm512_mul_ps(levels, _mm512_set1_ps(scales[loram_min(block + 1, blocks - 1)]));
        _mm512_storeu_si512(tables[block], (__m512i)_mm512_cvtne2ps_pbh(second, first));
    }
}

/// rows, tokens and shared are constants at every call.
LORAM_INLINE LORAM_AVX512BF16 void dot(const int rows, const int tokens, const int shared, float *lanes, const loram_nf4_rows *job, long x_stride, int accumulate) {
    __m512 sum[LORAM_DOT_MAX_ROWS][LORAM_SMALL_TOKENS];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) sum[r][t] = accumulate ? _mm512_loadu_ps(lanes + (r * tokens + t) * LORAM_LANES) : _mm512_setzero_ps();
    const __m512 levels = _mm512_loadu_ps(loram_nf4_codes);
    const int tabulated = tokens > LORAM_DOT_TOKENS;
    uint16_t tables[TABLES + 1][16];
    if (tabulated) make_tables(tables, job->row[0].scales, job->blocks, levels);
    for (long block = 0, blocks = job->blocks; block < blocks; block++) {
        __m512bh upper[LORAM_DOT_MAX_ROWS], lower[LORAM_DOT_MAX_ROWS];
        LORAM_UNROLL
        for (int r = 0; r < rows; r++) {
            const uint8_t *codes = job->row[r].codes + 32 * block;
            _mm_prefetch((const char *)codes + job->ahead, _MM_HINT_T0);
            // The 16 values of the block, twice: of an index only 5 bits count, and what lies above a nibble does not matter.
            __m512i table;
            if (tabulated) {
                table = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)tables[block]));
            } else {
                __m512 values = _mm512_mul_ps(levels, _mm512_set1_ps(job->row[r].scales[block]));
                table = (__m512i)_mm512_cvtne2ps_pbh(values, values);
            }
            __m512i bytes = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)codes));
            upper[r] = (__m512bh)_mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 4), table);
            lower[r] = (__m512bh)_mm512_permutexvar_epi16(bytes, table);
        }
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) {
            const long at = t * x_stride + 32 * block;
            if (shared) {
                __m512bh even = (__m512bh)_mm512_loadu_si512((const uint16_t *)job->row[0].upper + at), odd = (__m512bh)_mm512_loadu_si512((const uint16_t *)job->row[0].lower + at);
                LORAM_UNROLL
                for (int r = 0; r < rows; r++) sum[r][t] = _mm512_dpbf16_ps(sum[r][t], upper[r], even);
                LORAM_UNROLL
                for (int r = 0; r < rows; r++) sum[r][t] = _mm512_dpbf16_ps(sum[r][t], lower[r], odd);
            } else {
                LORAM_UNROLL
                for (int r = 0; r < rows; r++) {
                    sum[r][t] = _mm512_dpbf16_ps(sum[r][t], upper[r], (__m512bh)_mm512_loadu_si512((const uint16_t *)job->row[r].upper + at));
                    sum[r][t] = _mm512_dpbf16_ps(sum[r][t], lower[r], (__m512bh)_mm512_loadu_si512((const uint16_t *)job->row[r].lower + at));
                }
            }
        }
    }
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) _mm512_storeu_ps(lanes + (r * tokens + t) * LORAM_LANES, sum[r][t]);
}

#define ONE(TOKENS)                                                                                                                           \
    static LORAM_AVX512BF16 void one##TOKENS(float *lanes, const loram_nf4_rows *job, long xs, int acc) { dot(1, TOKENS, 1, lanes, job, xs, acc); }
#define SEVERAL(TOKENS, ROWS)                                                                                                                 \
    ONE(TOKENS)                                                                                                                               \
    static LORAM_AVX512BF16 void shared##TOKENS(float *lanes, const loram_nf4_rows *job, long xs, int acc) { dot(ROWS, TOKENS, 1, lanes, job, xs, acc); } \
    static LORAM_AVX512BF16 void apart##TOKENS(float *lanes, const loram_nf4_rows *job, long xs, int acc) { dot(ROWS, TOKENS, 0, lanes, job, xs, acc); }
SEVERAL(1, 4) SEVERAL(2, 4) SEVERAL(3, 4) SEVERAL(4, 4) SEVERAL(5, 4) SEVERAL(6, 4) SEVERAL(7, 3) SEVERAL(8, 3)
ONE(9) ONE(10) ONE(11) ONE(12) ONE(13) ONE(14) ONE(15) ONE(16)

typedef void (*dot_function)(float *, const loram_nf4_rows *, long, int);
static const dot_function one[LORAM_SMALL_TOKENS] = {one1, one2, one3, one4, one5, one6, one7, one8, one9, one10, one11, one12, one13, one14, one15, one16};
static const dot_function several[LORAM_DOT_TOKENS][2] = {{apart1, shared1}, {apart2, shared2}, {apart3, shared3}, {apart4, shared4}, {apart5, shared5}, {apart6, shared6}, {apart7, shared7}, {apart8, shared8}};

LORAM_AVX512BF16 void loram_avx512bf16_dot_nf4(float *lanes, const loram_nf4_rows *rows, int count, long x_stride, int tokens, int accumulate) {
    (count == 1 ? one[tokens - 1] : several[tokens - 1][rows->shared])(lanes, rows, x_stride, accumulate);
}
#endif
