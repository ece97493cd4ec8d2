// The AVX-512-BF16 set's own functions; everything in f32 it takes from the AVX-512 set.
#ifndef LORAM_AVX512BF16_H
#define LORAM_AVX512BF16_H

#include "avx512.h"

void loram_avx512bf16_multiply(long groups, const void *a, const void *b, float *c, long c_stride, int rows, int columns, int accumulate);
void loram_avx512bf16_dot(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate);
void loram_avx512bf16_arrange(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks);
void loram_avx512bf16_dot_nf4(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate);
void loram_avx512bf16_decode(const loram_weight *weight, long row, long column, long count, void *out);
void loram_avx512bf16_pack_rows(void *panel, const float *a, long a_stride, int rows, long k, float scale);
void loram_avx512bf16_pack_columns(void *panel, const float *a, long a_stride, int rows, long k);
void loram_avx512bf16_transpose(void *panel, const void *decoded, long stride, int columns, long k);
void loram_avx512bf16_interleave(void *block, long panel_stride, const void *decoded, long stride, int present, long panels);
void loram_avx512bf16_convert(void *out, const float *x, long count, float scale);

/// One NF4 block: the 16 values of the block are a table of bf16, and each pair of nibbles becomes a pair of indices into it.
LORAM_INLINE LORAM_AVX512BF16 void loram_decode_block_bf16(uint16_t *out, const uint8_t *codes, __m512 levels, const float *scale) {
    __m512 values = _mm512_mul_ps(levels, _mm512_set1_ps(*scale));
    __m512i table = (__m512i)_mm512_cvtne2ps_pbh(values, values);
    // Every byte is put into two neighbouring 16-bit lanes (twice, which saves a constant); the first of them is shifted down by a nibble.
    // Of an index only 5 bits count, and the table is there twice, so that whatever lies above the nibble does not matter. (One
    // vpmultishiftqb would do for both steps but competes with the multiply-adds for their units; this does not.)
    const __m512i first = _mm512_set_epi8(15, 15, 15, 15, 14, 14, 14, 14, 13, 13, 13, 13, 12, 12, 12, 12, 11, 11, 11, 11, 10, 10, 10, 10, 9, 9, 9, 9, 8, 8, 8, 8, 7, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    const __m512i shifts = _mm512_set1_epi32(4);
    __m512i bytes = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)codes));
    LORAM_UNROLL
    for (int half = 0; half < 2; half++) {
        __m512i pairs = _mm512_permutexvar_epi8(half ? _mm512_add_epi8(first, _mm512_set1_epi8(16)) : first, bytes);
        _mm512_storeu_si512(out + 32 * half, _mm512_permutexvar_epi16(_mm512_srlv_epi16(pairs, shifts), table));
    }
}

#endif
