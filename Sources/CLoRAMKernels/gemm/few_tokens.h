// The parts of the few-token product: what its driver and its pipelined decoding share.
#ifndef LORAM_FEW_TOKENS_H
#define LORAM_FEW_TOKENS_H

#include "product.h"

enum {
    /// Rows of W per task: a multiple of every number of rows that a dot kernel takes.
    LORAM_FEW_TASK_ROWS = 48,
    /// Bytes of converted x per chunk of k: half of a first-level cache, which also holds two buffers of decoded rows.
    LORAM_FEW_X_BYTES = 20480,
    /// Bytes of one decoded row of a piece at most.
    LORAM_FEW_ROW_BYTES = 3072,
};

typedef struct loram_few {
    const loram_matrix_product *product;
    const loram_kernels *kernels;
    const loram_engine *engine, *f32;
    /// Tokens and rows of W per call of a dot kernel.
    int group_tokens, together;
    /// k's in all, and per chunk and run, which are multiples of the NF4 block.
    long inputs, chunk, run;
    char *x, *left;
    char *scratch;
    size_t scratch_bytes;
} loram_few;

typedef struct loram_few_scratch {
    char *rows[2], *right;
    /// [row of the task, token, LORAM_LANES], in groups of rows and tokens.
    float *lanes;
    /// Of all NF4 blocks of the task's rows.
    float *scales;
    size_t bytes;
} loram_few_scratch;

/// Rows row ..< row + rows of W, columns k ..< k + length, in the chunk that starts at `chunk`.
typedef struct loram_few_piece {
    long row, chunk, k, length;
    int rows;
} loram_few_piece;

size_t loram_few_lay_out(loram_few *r, const loram_kernels *kernels, loram_compute compute, long tokens, long k, long rank, int workers, char *base);

static inline void loram_few_measure(const loram_few *r, loram_few_piece *p, long end_row) {
    p->rows = (int)loram_min(r->together, end_row - p->row);
    p->length = loram_min(r->run, loram_min(p->chunk + r->chunk, r->product->k) - p->k);
}

static inline loram_few_piece loram_few_first(const loram_few *r, long first_row, long end_row) {
    loram_few_piece p = {.row = first_row};
    loram_few_measure(r, &p, end_row);
    return p;
}

/// Goes to the piece after p in the order chunk, group of rows, run; past the last, to one with k = the end of k or beyond.
static inline void loram_few_advance(const loram_few *r, loram_few_piece *p, long first_row, long end_row) {
    p->k += r->run;
    if (p->k >= loram_min(p->chunk + r->chunk, r->product->k)) {
        p->row += r->together;
        if (p->row >= end_row) {
            p->row = first_row;
            p->chunk += r->chunk;
        }
        p->k = p->chunk;
    }
    loram_few_measure(r, p, end_row);
}

/// Multiplies a decoded piece with all tokens; with the first of them, does a decoding job. `lanes` are the piece's rows'.
void loram_few_multiply(const loram_few *r, float *lanes, const loram_few_piece *p, const char *rows, long stride, const loram_decode_job *job);

/// Adds the low-rank term and stores the sums of some rows.
void loram_few_finish(const loram_few *r, const loram_few_scratch *scratch, float *lanes, long row, int rows);

/// Rows row ..< end of W, a whole number of groups that end a block before the tensor's last full NF4 block.
void loram_few_pipeline(const loram_few *r, const loram_few_scratch *scratch, long row, long end);

#endif
