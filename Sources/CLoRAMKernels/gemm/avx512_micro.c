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
#endif
