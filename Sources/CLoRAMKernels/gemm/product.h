// One product C[m, n] (=|+=) A[m, k] B[k, n] [+ left[m, r] right[r, n]] and the plan by which it is cut.
#ifndef LORAM_PRODUCT_H
#define LORAM_PRODUCT_H

#include "gemm_internal.h"

enum {
    /// Rows whose packed A lies in the workspace at a time.
    LORAM_LONGEST_CHUNK = 4096,
    /// Blocks of the inner dimension start at multiples of this, so that NF4 blocks of aligned rows are not cut.
    LORAM_DEPTH_STEP = 64,
};

/// How a product is cut. What decides its bits, the blocks of the inner dimension, is a function of its shapes and of the engine alone.
typedef struct loram_plan {
    /// Rows of C whose A is packed at a time.
    long chunk;
    /// Rows of one A panel: m spread evenly, at most tile_rows.
    long panel_rows;
    /// A panels and columns of C that one task computes.
    long task_panels, task_columns;
    /// Inner dimension of one packed block, and their number.
    long block_depth, blocks;
} loram_plan;

typedef struct loram_matrix_product {
    long m, n, k;
    float *c;
    long c_stride;
    /// What C starts from, of C's stride: NULL for zero, C itself, or apart from C.
    const float *start;
    /// C is rounded to bf16 values in the end.
    int rounds;
    const float *a;
    long a_stride;
    /// A is stored as a[k, m].
    int a_transposed;
    /// The workspace has A packed, as the last product left it.
    int a_packed;
    /// B is stored as b[n, k] (forward) or b[k, n].
    loram_weight b;
    int b_transposed;
    const loram_low_rank *low_rank;
    /// low_rank->right is stored as right[n, r] (forward) or right[r, n].
    int right_transposed;
} loram_matrix_product;

loram_plan loram_make_plan(const loram_engine *engine, long m, long n, long k, int workers);
size_t loram_product_workspace(const loram_kernels *kernels, loram_compute compute, long m, long n, long k, long rank, int workers);
loram_status loram_run_product(const loram_execution *execution, const loram_matrix_product *product);

/// Forward product of few tokens, streaming the weight once.
size_t loram_few_tokens_workspace(const loram_kernels *kernels, loram_compute compute, long tokens, long inputs, long rank, int workers);
loram_status loram_few_tokens(const loram_execution *execution, const loram_matrix_product *product);

/// Packs B[k0 ..< k0 + depth, n0 ..< n0 + columns] into `block`: layout [panel][group][tile_columns] words. `transposed`: B is stored as
/// b[n, k]. `rows` is scratch for decoded rows: LORAM_DECODE_ROWS of LORAM_DECODE_RUN, or two of all columns, each with its margins.
void loram_pack_right(const loram_engine *engine, const loram_weight *b, int transposed, long k0, long depth, long n0, long columns, char *block, char *rows);

/// Decodes `count` rows from `row` on of columns column ..< column + length into rows of `stride` elements, each preceded and followed
/// by LORAM_MARGIN elements of space, and pads them with zeros to a multiple of `padding` (at most LORAM_MARGIN). Meanwhile the same
/// piece at next_row, next_column is fetched into cache.
void loram_decode_rows(const loram_engine *engine, const loram_weight *weight, long row, int count, long column, long length, long padding, char *rows, long stride, long next_row, long next_column);

#endif
