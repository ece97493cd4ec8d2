// Dot products of few tokens with rows of NF4 blocks in vdpbf16ps.
#if defined(__x86_64__)
#include "avx512bf16.h"
#include "few_tokens.h"

/// A block lies as its even and its odd elements.
LORAM_AVX512BF16 void loram_avx512bf16_arrange(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks) {
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0), odds = _mm512_add_epi32(evens, _mm512_set1_epi32(1));
    for (int t = 0; t < tokens; t++)
        for (long block = 0; block < blocks; block++) {
            uint16_t *to = (uint16_t *)out + (block * 2 * tokens + t) * 32;
            __m512 part[4], chosen[4];
            LORAM_UNROLL
            for (int j = 0; j < 4; j++) part[j] = loram_load_within(x + t * x_stride, first + LORAM_NF4_BLOCK * block + 16 * j, count);
            LORAM_UNROLL
            for (int j = 0; j < 2; j++) {
                chosen[j] = _mm512_permutex2var_ps(part[2 * j], evens, part[2 * j + 1]);
                chosen[2 + j] = _mm512_permutex2var_ps(part[2 * j], odds, part[2 * j + 1]);
            }
            _mm512_store_si512(to, (__m512i)_mm512_cvtne2ps_pbh(chosen[1], chosen[0]));
            _mm512_store_si512(to + 32 * tokens, (__m512i)_mm512_cvtne2ps_pbh(chosen[3], chosen[2]));
        }
}

/// With many tokens, tables of two blocks are made by one conversion, which competes with the multiply-adds for their units, and loaded
/// again from cache; with few, that costs more than it saves.
LORAM_INLINE LORAM_AVX512BF16 void make_tables(uint16_t tables[][16], const float *scales, long blocks, __m512 levels) {
    for (long block = 0; block < blocks; block += 2) {
        __m512 first = _mm512_mul_ps(levels, _mm512_set1_ps(scales[block])), second = _mm512_mul_ps(levels, _mm512_set1_ps(scales[loram_min(block + 1, blocks - 1)]));
        _mm512_storeu_si512(tables[block], (__m512i)_mm512_cvtne2ps_pbh(second, first));
    }
}

/// rows and tokens are constants at every call.
LORAM_INLINE LORAM_AVX512BF16 void dot(const int rows, const int tokens, float *lanes, const loram_nf4_rows *job, const uint16_t *x, int accumulate) {
    __m512 sum[LORAM_DOT_MAX_ROWS][LORAM_SMALL_TOKENS];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) sum[r][t] = accumulate ? _mm512_loadu_ps(lanes + (r * tokens + t) * LORAM_LANES) : _mm512_setzero_ps();
    const __m512 levels = _mm512_loadu_ps(loram_nf4_codes);
    const int tabulated = tokens > LORAM_DOT_TOKENS;
    uint16_t tables[LORAM_512_NF4_BLOCKS + 1][16];
    if (tabulated) make_tables(tables, job->row[0].scales, job->blocks, levels);
    for (long block = 0, blocks = job->blocks; block < blocks; block++, x += LORAM_NF4_BLOCK * tokens) {
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
            __m512bh even = (__m512bh)_mm512_load_si512(x + 32 * t), odd = (__m512bh)_mm512_load_si512(x + 32 * (tokens + t));
            LORAM_UNROLL
            for (int r = 0; r < rows; r++) sum[r][t] = _mm512_dpbf16_ps(sum[r][t], upper[r], even);
            LORAM_UNROLL
            for (int r = 0; r < rows; r++) sum[r][t] = _mm512_dpbf16_ps(sum[r][t], lower[r], odd);
        }
    }
    LORAM_UNROLL
    for (int r = 0; r < rows; r++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) _mm512_storeu_ps(lanes + (r * tokens + t) * LORAM_LANES, sum[r][t]);
}

typedef void (*dot_function)(float *, const loram_nf4_rows *, const uint16_t *, int);
#define DOT(ROWS, TOKENS)                                                                                                                     \
    static LORAM_AVX512BF16 void dot##ROWS##x##TOKENS(float *lanes, const loram_nf4_rows *job, const uint16_t *x, int acc) { dot(ROWS, TOKENS, lanes, job, x, acc); }
DOT(4, 1) DOT(4, 2) DOT(4, 3) DOT(4, 4) DOT(4, 5) DOT(4, 6) DOT(3, 7) DOT(3, 8)
DOT(1, 1) DOT(1, 2) DOT(1, 3) DOT(1, 4) DOT(1, 5) DOT(1, 6) DOT(1, 7) DOT(1, 8)
DOT(1, 9) DOT(1, 10) DOT(1, 11) DOT(1, 12) DOT(1, 13) DOT(1, 14) DOT(1, 15) DOT(1, 16)
static const dot_function one[LORAM_SMALL_TOKENS] = {dot1x1, dot1x2, dot1x3, dot1x4, dot1x5, dot1x6, dot1x7, dot1x8, dot1x9, dot1x10, dot1x11, dot1x12, dot1x13, dot1x14, dot1x15, dot1x16};
/// As many rows as the engine's nf4_rows say (avx512.c).
static const dot_function several[LORAM_SMALL_TOKENS] = {dot4x1, dot4x2, dot4x3, dot4x4, dot4x5, dot4x6, dot3x7, dot3x8};

LORAM_AVX512BF16 void loram_avx512bf16_dot_nf4(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate) {
    (count == 1 ? one : several)[tokens - 1](lanes, rows, x, accumulate);
}
#endif
