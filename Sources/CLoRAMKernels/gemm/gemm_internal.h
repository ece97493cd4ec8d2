// What the drivers of the products and the kernel sets share. Not part of the public interface.
//
// A product is C[m, n] = sum over k of A[m, k] B[k, n]. A (activations, f32) is packed into panels of `tile_rows` rows, B (weights, or
// activations for a weight gradient) into panels of `tile_columns` columns. In a panel the k's are stored in groups of `group` that
// fill one 32-bit word: [k group][row or column], zero-padded. A set for another architecture (AMX tiles, Arm bfmmla) supplies its own
// packing functions and may choose any group and any inner order, as nobody else looks into a panel.
#ifndef LORAM_GEMM_INTERNAL_H
#define LORAM_GEMM_INTERNAL_H

#include <string.h>

#include "../include/loram_gemm.h"

enum {
    /// Decoders may write whole NF4 blocks, so that much space is reserved before and after a decoded row, in elements.
    LORAM_MARGIN = 64,
    /// Longest run of k's that is decoded or converted at a time.
    LORAM_DECODE_RUN = 512,
    /// Rows that are decoded together before they are transposed.
    LORAM_DECODE_ROWS = 16,
    /// f32 lanes of one partial sum of the small-token path, in every set.
    LORAM_LANES = 16,
    /// k's that one step of a dot kernel consumes, in every set and both compute types; decoded rows are zero-padded to it.
    LORAM_DOT_STEP = 32,
};

/// Rows of NF4 blocks that a dot kernel multiplies as they are. A block is 32 bytes of codes: the upper nibbles hold its even elements, the
/// lower ones its odd elements.
typedef struct loram_nf4_rows {
    /// Blocks of each row, and how many bytes further on codes are fetched into cache.
    long blocks, ahead;
    struct {
        const uint8_t *codes;
        const float *scales;
    } row[4];
} loram_nf4_rows;

/// What a set does for one compute type.
typedef struct loram_engine {
    int tile_rows, tile_columns;
    /// k's per 32-bit word of a panel: 1 (f32) or 2 (pairs of bf16).
    int group;
    /// Bytes of one decoded or packed value.
    int element_bytes;
    /// Inner dimension of one packed block of B: a multiple of LORAM_DEPTH_STEP.
    long depth;
    /// Columns of one packed block of B: a multiple of tile_columns.
    long width;
    /// A panels that pass by each B panel in turn. 1: the A panel stays in the first-level cache and B's stream from the second; more, where
    /// that is smaller: a B panel stays in the first-level cache, and these A panels in the second.
    long strip;
    /// A task is not cut into fewer rows than twice the first, for the sake of more tasks, nor into fewer columns than twice the second. Few
    /// rows use a packed block of B less often, few columns a reading of A.
    long task_rows, task_columns;

    /// C[rows, columns] (=|+=) A panel * B panel over `groups` words; 1 <= rows <= tile_rows, 1 <= columns <= tile_columns.
    void (*multiply)(long groups, const void *a, const void *b, float *c, long c_stride, int rows, int columns, int accumulate);

    /// A panel from a[rows, k] with k contiguous, times scale.
    void (*pack_rows)(void *panel, const float *a, long a_stride, int rows, long k, float scale);
    /// A panel from a[k, rows] with rows contiguous.
    void (*pack_columns)(void *panel, const float *a, long a_stride, int rows, long k);

    /// Elements column ..< column + count of row `row`; may write LORAM_MARGIN elements beyond either end.
    void (*decode)(const loram_weight *weight, long row, long column, long count, void *out);
    /// The same for NF4 whose values are rounded to bf16.
    void (*decode_bf16)(const loram_weight *weight, long row, long column, long count, void *out);
    /// `columns` (<= LORAM_DECODE_ROWS) columns of a B panel from as many decoded rows of length k (zero-padded to LORAM_DOT_STEP);
    /// missing columns up to LORAM_DECODE_ROWS become zero. `panel` points at the first of them.
    void (*transpose)(void *panel, const void *decoded, long stride, int columns, long k);
    /// One k group of `panels` B panels from `group` decoded rows; `present` of them exist, the others count as zero. The rows are
    /// zero-padded to whole panels. `panel_stride` is in 32-bit words.
    void (*interleave)(void *block, long panel_stride, const void *decoded, long stride, int present, long panels);

    /// x rows for the dot kernel, converted and zero-padded to LORAM_DOT_STEP.
    void (*convert)(void *out, const float *x, long count, float scale);
    /// lanes[row, token, LORAM_LANES] (=|+=) partial sums of decoded rows [rows] and converted tokens over steps of LORAM_DOT_STEP.
    /// rows <= loram_dot_rows(tokens). Strides in elements.
    void (*dot)(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate);
    /// x for dot_nf4: elements first ..< first + 64 * blocks of each token, converted, and zero outside 0 ..< count. They lie block by block in
    /// the order in which the set looks values up, vector by vector, the tokens of each vector side by side. `out` is aligned to 64 bytes.
    void (*arrange)(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks);
    /// lanes[row, token, LORAM_LANES] (=|+=) partial sums of `count` rows of NF4 blocks and up to nf4_tokens tokens. A token's sums do not
    /// depend on the others. NULL: decode, then dot.
    void (*dot_nf4)(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate);
    /// The same for NF4 whose values are rounded to bf16.
    void (*dot_nf4_bf16)(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate);
    /// Most tokens and blocks of a row of a call of dot_nf4.
    int nf4_tokens, nf4_blocks;
    /// Rows of a call of dot_nf4 with 1 ... nf4_tokens tokens. One, where there are not as many.
    uint8_t nf4_rows[LORAM_SMALL_TOKENS];
    /// out[i] = the sum of the lanes [i, LORAM_LANES], halves added to halves: a balanced tree.
    void (*sum_lanes)(float *out, const float *lanes, long count);
} loram_engine;

typedef struct loram_thin_kernels {
    /// Most tokens and ranks of one call of project.
    int tokens, ranks;
    /// lanes[token, rank, LORAM_LANES] (=|+=) partial dot products over k elements (any k).
    void (*project)(float *lanes, const float *x, long x_stride, int tokens, const float *a, long a_stride, int ranks, long k, int accumulate);
    /// sums[rank, width] += sum over tokens, in order, of g[token, rank] * v[token, width]; width any, ranks any.
    void (*outer)(float *sums, long sums_stride, const float *g, long g_stride, int ranks, const float *v, long v_stride, long width, long tokens);
} loram_thin_kernels;

struct loram_kernels {
    const char *name;
    int (*available)(void);
    loram_engine engine[2];
    loram_thin_kernels thin;
    /// The scales of `blocks` NF4 blocks.
    void (*scales)(const loram_nf4_scales *scales, long first, long blocks, float *out);
    /// codes and absmax of `blocks` full blocks.
    void (*quantize_blocks)(const void *source, loram_element element, long blocks, uint8_t *codes, void *absmax);
    /// decoded f32 values into bf16 / f16, exactly rounded.
    void (*narrow)(void *target, loram_element element, const float *source, long count);
    double (*peak)(loram_compute compute, long rounds);
};

extern const loram_kernels loram_kernels_portable;
#if defined(__x86_64__)
extern const loram_kernels loram_kernels_avx2, loram_kernels_avx512, loram_kernels_avx512bf16;
#endif

/// Rows of W per call of a dot kernel: rows * tokens <= 24 partial sums stay in registers.
static inline int loram_dot_rows(int tokens) { return tokens <= 6 ? 4 : 3; }
enum { LORAM_DOT_TOKENS = 8, LORAM_DOT_MAX_ROWS = 4 };
static inline long loram_ceil(long value, long step) { return (value + step - 1) / step; }
static inline long loram_round_up(long value, long step) { return loram_ceil(value, step) * step; }
static inline long loram_min(long a, long b) { return a < b ? a : b; }

static inline float loram_load_f32(const void *pointer) {
    float value;
    memcpy(&value, pointer, sizeof value);
    return value;
}

/// The scale of one NF4 block. Two roundings: contraction into a fused multiply-add would change bits.
static inline __attribute__((always_inline)) float loram_block_scale(const loram_nf4_scales *scales, long block) {
#pragma STDC FP_CONTRACT OFF
    if (!scales->nested_absmax) return loram_load_f32((const char *)scales->absmax + 4 * block);
    float value = loram_load_f32((const char *)scales->nested_map + 4 * (long)((const uint8_t *)scales->absmax)[block]);
    float product = value * loram_load_f32((const char *)scales->nested_absmax + 4 * (block / LORAM_NF4_NESTED_BLOCK));
    return product + scales->nested_offset;
}

enum { LORAM_SCALE_RUN = 16 };

/// The scales of `blocks` NF4 blocks.
static inline __attribute__((always_inline)) void loram_block_scales(const loram_nf4_scales *scales, long first, long blocks, float *out) {
#pragma STDC FP_CONTRACT OFF
    const char *absmax = scales->absmax;
    if (!scales->nested_absmax) {
        memcpy(out, absmax + 4 * first, (size_t)(4 * blocks));
        return;
    }
    const char *map = scales->nested_map, *nested = scales->nested_absmax;
    const uint8_t *codes = (const uint8_t *)absmax + first;
    const float offset = scales->nested_offset;
    for (long i = 0; i < blocks;) {
        float factor = loram_load_f32(nested + 4 * ((first + i) / LORAM_NF4_NESTED_BLOCK));
        long end = loram_min(blocks, i + LORAM_NF4_NESTED_BLOCK - (first + i) % LORAM_NF4_NESTED_BLOCK);
        for (; i < end; i++) {
            float product = loram_load_f32(map + 4 * (long)codes[i]) * factor;
            out[i] = product + offset;
        }
    }
}

/// The 32 code bytes of one NF4 block; those of a short last block are copied to `spare`, so that no byte beyond the tensor is read.
static inline __attribute__((always_inline)) const uint8_t *loram_block_codes(const loram_weight *weight, long block, long total, uint8_t *spare) {
    const uint8_t *codes = (const uint8_t *)weight->data + block * 32;
    long left = total - block * LORAM_NF4_BLOCK;
    if (left >= LORAM_NF4_BLOCK) return codes;
    memset(spare, 0, 32);
    memcpy(spare, codes, (size_t)((left + 1) / 2));
    return spare;
}

float loram_f16_to_f32(uint16_t bits);
uint16_t loram_f32_to_f16(float value);
uint16_t loram_f32_to_bf16(float value);
float loram_f32_rounded_to_bf16(float value);

/// Runs the tasks through the pool, or here.
void loram_run(const loram_execution *execution, long count, loram_task task, void *context);

/// A bump allocator over the caller's workspace; with base NULL it only counts.
typedef struct loram_arena {
    char *base;
    size_t used;
} loram_arena;
void *loram_take(loram_arena *arena, size_t bytes);

#endif
