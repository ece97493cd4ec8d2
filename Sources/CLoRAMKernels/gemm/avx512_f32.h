// Functions of the AVX-512 set. The "rounded" ones serve its bf16 engine, which keeps bf16 values in f32.
#ifndef LORAM_AVX512_F32_H
#define LORAM_AVX512_F32_H

#include "gemm_internal.h"

void loram_avx512_multiply(long groups, const void *a, const void *b, float *c, long c_stride, int rows, int columns, int accumulate);
void loram_avx512_dot(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate);
void loram_avx512_arrange(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks);
void loram_avx512_arrange_rounded(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks);
void loram_avx512_dot_nf4(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate);
void loram_avx512_dot_nf4_rounded(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate);
void loram_avx512_sum_lanes(float *out, const float *lanes, long count);
void loram_avx512_decode(const loram_weight *weight, long row, long column, long count, void *out);
void loram_avx512_decode_rounded(const loram_weight *weight, long row, long column, long count, void *out);
void loram_avx512_pack_rows(void *panel, const float *a, long a_stride, int rows, long k, float scale);
void loram_avx512_pack_rows_rounded(void *panel, const float *a, long a_stride, int rows, long k, float scale);
void loram_avx512_pack_columns(void *panel, const float *a, long a_stride, int rows, long k);
void loram_avx512_pack_columns_rounded(void *panel, const float *a, long a_stride, int rows, long k);
void loram_avx512_transpose(void *panel, const void *decoded, long stride, int columns, long k);
void loram_avx512_interleave(void *block, long panel_stride, const void *decoded, long stride, int present, long panels);
void loram_avx512_convert(void *out, const float *x, long count, float scale);
void loram_avx512_convert_rounded(void *out, const float *x, long count, float scale);
void loram_avx512_project(float *lanes, const float *x, long x_stride, int tokens, const float *a, long a_stride, int ranks, long k, int accumulate);
void loram_avx512_outer(float *sums, long sums_stride, const float *g, long g_stride, int ranks, const float *v, long v_stride, long width, long tokens);
void loram_avx512_scales(const loram_nf4_scales *scales, long first, long blocks, float *out);
void loram_avx512_quantize_blocks(const void *source, loram_element element, long blocks, uint8_t *codes, void *absmax);
void loram_avx512_narrow(void *target, loram_element element, const float *source, long count);
double loram_avx512_peak(loram_compute compute, long rounds);

#endif
