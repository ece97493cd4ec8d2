// The parts of the few-token product: what its driver, the plain path and the NF4 path share.
#ifndef LORAM_FEW_TOKENS_H
#define LORAM_FEW_TOKENS_H

#include "product.h"

enum {
    /// Rows of W per task: a multiple of every number of rows that a dot kernel takes.
    LORAM_FEW_TASK_ROWS = 48,
    /// Bytes of converted x per chunk of k: as much of a first-level cache as the weights' and the sums' streams leave.
    LORAM_FEW_X_BYTES = 20480, LORAM_FEW_NF4_X_BYTES = 24576,
    /// Bytes of one decoded row of a piece at most.
    LORAM_FEW_ROW_BYTES = 3072,
    /// Elements before each plane of x: half a block, rounded up to whole vectors.
    LORAM_PLANE_MARGIN = 32,
};

typedef struct loram_few {
    const loram_matrix_product *product;
    const loram_kernels *kernels;
    const loram_engine *engine, *f32;
    /// Rows of W that are multiplied as NF4 blocks; those after them are decoded first.
    long direct_rows;
    /// Tokens and rows of W per call of a dot kernel.
    int group_tokens, together;
    /// k's in all, and per chunk and run of the plain path, which are multiples of the NF4 block.
    long inputs, chunk, run;
    /// NF4 blocks of a row at most, and per chunk.
    long blocks, chunk_blocks;
    /// x for the plain path, as [run][token][length of the run], and as [token][even, odd][plane] for the NF4 path.
    char *x, *planes, *left;
    char *scratch;
    size_t scratch_bytes;
} loram_few;

typedef struct loram_few_scratch {
    char *rows, *right;
    /// [row of the task, token, LORAM_LANES], in groups of rows and tokens.
    float *lanes;
    /// Of all NF4 blocks of the task's rows.
    float *scales;
    size_t bytes;
} loram_few_scratch;

/// Elements from one plane to the next: the plane with its margins, and so many more that the parts of all planes that belong to one chunk
/// follow each other in the sets of a first-level cache.
static inline long loram_plane_length(const loram_few *r) {
    const long half = LORAM_NF4_BLOCK / 2, way = 4096 / r->engine->element_bytes;
    long least = LORAM_PLANE_MARGIN + (r->blocks + 1) * half, surplus = (r->chunk_blocks * half - least) % way;
    return least + (surplus < 0 ? surplus + way : surplus);
}

/// NF4 blocks that a row of `columns` elements touches at most.
static inline long loram_row_blocks(long columns) { return columns % LORAM_NF4_BLOCK ? (columns + 2 * LORAM_NF4_BLOCK - 2) / LORAM_NF4_BLOCK : columns / LORAM_NF4_BLOCK; }

/// Adds the low-rank term and stores the sums of some rows, whose lanes are [group of tokens][row][token of the group].
void loram_few_finish(const loram_few *r, const loram_few_scratch *scratch, float *lanes, long row, int rows, int group_tokens);

/// Rows that the NF4 path may take: reading whole blocks, as many for each row, they stay within the weight's full blocks.
long loram_few_direct_rows(const loram_few *r);

/// Token `token` of x into its planes.
void loram_few_split(const loram_few *r, long token);

/// Rows row ..< end of W by the NF4 path.
void loram_few_direct(const loram_few *r, const loram_few_scratch *scratch, long row, long end);

#endif
