// The parts of the few-token product: what its driver, the plain path and the NF4 path share.
#ifndef LORAM_FEW_TOKENS_H
#define LORAM_FEW_TOKENS_H

#include "product.h"

enum {
    /// Rows of W per task: a multiple of every number of rows that a dot kernel takes.
    LORAM_FEW_TASK_ROWS = 48,
    /// The same of the NF4 path, at least and at most: a task lays x out for itself, so the more rows, the better.
    LORAM_FEW_NF4_LEAST_ROWS = 16, LORAM_FEW_NF4_MOST_ROWS = 128,
    /// Bytes of converted x per chunk of k: as much of a first-level cache as the weights' and the sums' streams leave.
    LORAM_FEW_X_BYTES = 20480, LORAM_FEW_NF4_X_BYTES = 24576,
    /// Bytes of one decoded row of a piece at most.
    LORAM_FEW_ROW_BYTES = 3072,
};

typedef struct loram_few {
    const loram_matrix_product *product;
    const loram_kernels *kernels;
    const loram_engine *engine, *f32;
    /// Rows of W that are multiplied as NF4 blocks; those after them are decoded first.
    long direct_rows;
    /// Of those, rows so many apart start at the same place of a block, and up to task_rows of them are a task.
    long period, task_rows, direct_tasks;
    /// Tokens and rows of W per call of a dot kernel.
    int group_tokens, together;
    /// k's in all, and per chunk and run of the plain path, which are multiples of the NF4 block.
    long inputs, chunk, run;
    /// Tokens per call of dot_nf4, and NF4 blocks per chunk.
    int nf4_tokens;
    long chunk_blocks;
    /// x for the plain path, as [run][token][length of the run]; for the NF4 path, where all rows start at the same place of a block, as
    /// [group of tokens][chunk]; and the low-rank product's left side.
    char *x, *arranged, *left;
    char *scratch;
    size_t scratch_bytes;
} loram_few;

typedef struct loram_few_scratch {
    char *rows, *right;
    /// [row of the task, token, LORAM_LANES], in groups of rows and tokens.
    float *lanes;
    /// For the NF4 path: a chunk of x, and the scales of the task's rows.
    char *arranged;
    float *scales;
    size_t bytes;
} loram_few_scratch;

/// NF4 blocks that a row of `columns` elements touches at most.
static inline long loram_row_blocks(long columns) { return columns % LORAM_NF4_BLOCK ? (columns + 2 * LORAM_NF4_BLOCK - 2) / LORAM_NF4_BLOCK : columns / LORAM_NF4_BLOCK; }

/// Adds the low-rank term and stores the sums of rows row, row + step, ... (as many as `rows`) for tokens from `first` on, whose lanes are
/// [row][token].
void loram_few_finish(const loram_few *r, const loram_few_scratch *scratch, float *lanes, long row, long step, int rows, long first, int tokens);

/// Chooses the rows of an NF4 weight that are multiplied as they are, and their tasks.
void loram_few_plan_direct(loram_few *r, int workers);

/// Chunks of x that the tasks share, and what lays one out.
long loram_few_shared_chunks(const loram_few *r);
void loram_few_arrange_shared(const loram_few *r, long index);

/// Task `index` of the NF4 path.
void loram_few_direct(const loram_few *r, const loram_few_scratch *scratch, long index);

#endif
