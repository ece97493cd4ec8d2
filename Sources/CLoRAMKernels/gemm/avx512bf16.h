// The AVX-512-BF16 set's own functions; everything in f32 it takes from the AVX-512 set.
#ifndef LORAM_AVX512BF16_H
#define LORAM_AVX512BF16_H

#include "avx512.h"

void loram_avx512bf16_multiply(long groups, const void *a, const void *b, float *c, long c_stride, int rows, int columns, int accumulate);
void loram_avx512bf16_dot(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate);
void loram_avx512bf16_dot_decode(float *lanes, const void *w, long w_stride, const void *x, long x_stride, int tokens, long steps, int accumulate, const loram_decode_job *job);
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
    // Byte j of 16 lies in the low byte of 32-bit word j. The index for element 2j is its bits 4..., for 2j + 1 its bits 0...; only 5
    // bits of an index count, and the table is there twice, so bit 4 does not matter.
    const __m512i shifts = _mm512_set1_epi64(0x0020002400000004);
    LORAM_UNROLL
    for (int half = 0; half < 2; half++) {
        __m512i words = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(codes + 16 * half)));
        __m512i index = _mm512_multishift_epi64_epi8(shifts, words);
        _mm512_storeu_si512(out + 32 * half, _mm512_permutexvar_epi16(index, table));
    }
}

#endif
