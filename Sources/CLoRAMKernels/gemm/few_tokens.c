// y = x W^T for few tokens: every weight is read and decoded once for all of them.
//
// A task takes LORAM_FEW_TASK_ROWS rows of W. k is cut into chunks whose x stays in the first-level cache; for each chunk the rows pass by
// in groups of as many as a dot kernel takes. NF4 blocks are multiplied as they are where the set has a kernel for that; otherwise, in
// runs that one buffer holds, rows are decoded and then multiplied. Each output is the sum of LORAM_LANES partial sums (lane l takes every
// k of its residue in a step) added as a balanced tree, so its bits depend on the kernel set and on W's shape, not on the other tokens.
#include "few_tokens.h"

/// Rows row ..< row + rows of W, columns k ..< k + length, in the chunk that starts at `chunk`.
typedef struct piece {
    long row, chunk, k, length;
    int rows;
} piece;

static void measure(const loram_few *r, piece *p, long end_row) {
    p->rows = (int)loram_min(r->together, end_row - p->row);
    p->length = loram_min(r->run, loram_min(p->chunk + r->chunk, r->product->k) - p->k);
}

static piece first_piece(const loram_few *r, long first_row, long end_row) {
    piece p = {.row = first_row};
    measure(r, &p, end_row);
    return p;
}

/// Goes to the piece after p in the order chunk, group of rows, run; past the last, to one with k = the end of k or beyond.
static void advance(const loram_few *r, piece *p, long first_row, long end_row) {
    p->k += r->run;
    if (p->k >= loram_min(p->chunk + r->chunk, r->product->k)) {
        p->row += r->together;
        if (p->row >= end_row) {
            p->row = first_row;
            p->chunk += r->chunk;
        }
        p->k = p->chunk;
    }
    measure(r, p, end_row);
}

static long rank_of(const loram_matrix_product *p) { return p->low_rank ? p->low_rank->rank : 0; }

static loram_few_scratch lay_out_scratch(const loram_few *r, long tokens, long rank, char *base) {
    loram_arena arena = {base, 0};
    loram_few_scratch layout;
    layout.rows = loram_take(&arena, (size_t)(r->together * (r->run + 2 * LORAM_MARGIN)) * (size_t)r->engine->element_bytes);
    layout.right = loram_take(&arena, rank ? (size_t)(LORAM_DOT_MAX_ROWS * (loram_round_up(rank, LORAM_DOT_STEP) + 2 * LORAM_MARGIN)) * 4 : 0);
    layout.lanes = loram_take(&arena, (size_t)(LORAM_FEW_TASK_ROWS * tokens * LORAM_LANES) * 4);
    layout.scales = loram_take(&arena, r->engine->dot_nf4 ? (size_t)(LORAM_FEW_TASK_ROWS * r->inputs / LORAM_NF4_BLOCK + r->blocks + 1) * 4 : 0);
    layout.bytes = arena.used;
    return layout;
}

static size_t lay_out(loram_few *r, const loram_kernels *kernels, loram_compute compute, long tokens, long k, long rank, int workers, char *base) {
    r->kernels = kernels;
    r->inputs = k;
    r->engine = &kernels->engine[compute];
    r->f32 = &kernels->engine[LORAM_COMPUTE_F32];
    r->group_tokens = (int)loram_ceil(tokens, loram_ceil(tokens, LORAM_DOT_TOKENS));
    r->together = loram_dot_rows(r->group_tokens);
    // Even chunks and runs, at multiples of the NF4 block.
    long size = r->engine->element_bytes, chunks = loram_ceil(k, LORAM_FEW_X_BYTES / (tokens * size));
    r->chunk = chunks ? loram_round_up(loram_ceil(k, chunks), LORAM_NF4_BLOCK) : LORAM_NF4_BLOCK;
    r->run = loram_round_up(loram_ceil(r->chunk, loram_ceil(r->chunk, LORAM_FEW_ROW_BYTES / size)), LORAM_NF4_BLOCK);
    r->blocks = loram_row_blocks(k);
    long block_chunks = loram_ceil(r->blocks, LORAM_FEW_NF4_X_BYTES / (tokens * size * LORAM_NF4_BLOCK));
    r->chunk_blocks = block_chunks ? loram_ceil(r->blocks, block_chunks) : 1;
    loram_arena arena = {base, 0};
    r->x = loram_take(&arena, (size_t)(tokens * loram_round_up(k, LORAM_DOT_STEP) * size));
    r->planes = loram_take(&arena, r->engine->dot_nf4 ? (size_t)(2 * tokens * loram_plane_length(r) * size) : 0);
    r->left = loram_take(&arena, (size_t)(tokens * loram_round_up(rank, LORAM_DOT_STEP)) * 4);
    r->scratch_bytes = lay_out_scratch(r, tokens, rank, NULL).bytes;
    r->scratch = loram_take(&arena, r->scratch_bytes * (size_t)workers);
    return arena.used;
}

size_t loram_few_tokens_workspace(const loram_kernels *kernels, loram_compute compute, long tokens, long inputs, long rank, int workers) {
    loram_few r;
    return tokens ? lay_out(&r, kernels, compute, tokens, inputs, rank, workers, NULL) : 0;
}

/// x of one token in all the forms that are needed.
static void convert_x(void *context, long token, int worker) {
    (void)worker;
    const loram_few *r = context;
    const loram_matrix_product *p = r->product;
    const float *x = p->a + token * p->a_stride;
    if (r->direct_rows > 0) loram_few_split(r, token);
    for (long chunk = 0; r->direct_rows < p->n && chunk < p->k; chunk += r->chunk) {
        long end = loram_min(chunk + r->chunk, p->k);
        for (long k = chunk; k < end; k += r->run) {
            long length = loram_min(r->run, end - k), padded = loram_round_up(length, LORAM_DOT_STEP);
            r->engine->convert(r->x + (k * p->m + token * padded) * r->engine->element_bytes, x + k, length, 1);
        }
    }
    if (!p->low_rank) return;
    long rank = p->low_rank->rank;
    r->f32->convert(r->left + 4 * token * loram_round_up(rank, LORAM_DOT_STEP), p->low_rank->left + token * p->low_rank->left_stride, rank, p->low_rank->scale);
}

/// Multiplies the decoded rows of a piece with all tokens. `lanes` are the piece's rows'.
static void multiply(const loram_few *r, float *lanes, const piece *p, const char *rows, long stride) {
    long tokens = r->product->m, padded = loram_round_up(p->length, LORAM_DOT_STEP), steps = padded / LORAM_DOT_STEP, size = r->engine->element_bytes;
    const char *x = r->x + p->k * tokens * size;
    for (long t = 0; t < tokens; t += r->group_tokens) {
        int together = (int)loram_min(r->group_tokens, tokens - t);
        r->engine->dot(lanes + t * p->rows * LORAM_LANES, rows + size * LORAM_MARGIN, stride, p->rows, x + t * padded * size, padded, together, steps, p->k > 0);
    }
}

void loram_few_finish(const loram_few *r, const loram_few_scratch *scratch, float *lanes, long row, int rows, int group_tokens) {
    const loram_matrix_product *p = r->product;
    long rank = rank_of(p), rank_padded = loram_round_up(rank, LORAM_DOT_STEP), stride = rank_padded + 2 * LORAM_MARGIN;
    if (rank) {
        loram_weight right = {LORAM_ELEMENT_F32, p->n, rank, p->low_rank->right, p->low_rank->right_stride, {0}};
        loram_decode_rows(r->f32, &right, row, rows, 0, rank, LORAM_DOT_STEP, scratch->right, stride, row + rows, 0);
    }
    for (long t = 0; rank && t < p->m; t += group_tokens)
        r->f32->dot(lanes + t * rows * LORAM_LANES, scratch->right + 4 * LORAM_MARGIN, stride, rows, r->left + 4 * t * rank_padded, rank_padded, (int)loram_min(group_tokens, p->m - t), rank_padded / LORAM_DOT_STEP, p->k > 0);
    float totals[LORAM_DOT_MAX_ROWS * LORAM_SMALL_TOKENS], *total = totals;
    r->engine->sum_lanes(totals, lanes, rows * p->m);
    for (long first = 0; first < p->m; first += group_tokens)
        for (int i = 0; i < rows; i++)
            for (long t = first; t < loram_min(first + group_tokens, p->m); t++, total++) {
                long at = t * p->c_stride + row + i;
                p->c[at] = p->start ? p->start[at] + *total : *total;
            }
}

/// Rows row ..< end of W, each piece decoded and then multiplied.
static void compute_plain(const loram_few *r, const loram_few_scratch *scratch, long row, long end) {
    const loram_matrix_product *p = r->product;
    long stride = r->run + 2 * LORAM_MARGIN;
    if (row >= end) return;
    memset(scratch->lanes, 0, p->k ? 0 : (size_t)((end - row) * p->m * LORAM_LANES) * sizeof(float));
    for (piece now = first_piece(r, row, end), next = now; now.k < p->k; now = next) {
        advance(r, &next, row, end);
        loram_decode_rows(r->engine, &p->b, now.row, now.rows, now.k, now.length, LORAM_DOT_STEP, scratch->rows, stride, next.row, next.k);
        multiply(r, scratch->lanes + (now.row - row) * p->m * LORAM_LANES, &now, scratch->rows, stride);
    }
    for (long i = row; i < end; i += r->together) loram_few_finish(r, scratch, scratch->lanes + (i - row) * p->m * LORAM_LANES, i, (int)loram_min(r->together, end - i), r->group_tokens);
}

static void compute_rows(void *context, long index, int worker) {
    const loram_few *r = context;
    const loram_matrix_product *p = r->product;
    loram_few_scratch scratch = lay_out_scratch(r, p->m, rank_of(p), r->scratch + (size_t)worker * r->scratch_bytes);
    long row = index * LORAM_FEW_TASK_ROWS, end = loram_min(row + LORAM_FEW_TASK_ROWS, p->n), direct = loram_min(end, r->direct_rows);
    if (direct > row) loram_few_direct(r, &scratch, row, direct);
    compute_plain(r, &scratch, direct > row ? direct : row, end);
}

loram_status loram_few_tokens(const loram_execution *execution, const loram_matrix_product *product) {
    if (product->m == 0 || product->n == 0) return LORAM_OK;
    loram_few r = {0};
    r.product = product;
    size_t needed = lay_out(&r, execution->kernels, execution->compute, product->m, product->k, rank_of(product), execution->workers, NULL);
    uintptr_t base = ((uintptr_t)execution->workspace + 63) & ~(uintptr_t)63;
    if (!execution->workspace || base - (uintptr_t)execution->workspace + needed > execution->workspace_bytes) return LORAM_SMALL_WORKSPACE;
    lay_out(&r, execution->kernels, execution->compute, product->m, product->k, rank_of(product), execution->workers, (char *)base);
    r.direct_rows = loram_few_direct_rows(&r);
    loram_run(execution, product->m, convert_x, &r);
    loram_run(execution, loram_ceil(product->n, LORAM_FEW_TASK_ROWS), compute_rows, &r);
    return LORAM_OK;
}
