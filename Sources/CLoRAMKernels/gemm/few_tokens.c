// y = x W^T for few tokens: every weight is read and decoded once for all of them.
//
// NF4 blocks are multiplied as they are where the set has a kernel for that (few_tokens_nf4.c). Otherwise a task takes LORAM_FEW_TASK_ROWS
// rows of W. k is cut into chunks whose x stays in the first-level cache; for each chunk the rows pass by in groups of as many as a dot kernel
// takes, and are decoded in runs that one buffer holds and then multiplied. Each output is the sum of LORAM_LANES partial sums (lane l takes
// every k of its residue in a step) added as a balanced tree, so its bits depend on the kernel set and on W's shape, not on the other tokens.
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
    const int direct = r->engine->dot_nf4 != NULL;
    const long rows = LORAM_FEW_TASK_ROWS * tokens, direct_rows = direct ? LORAM_FEW_NF4_MOST_ROWS * r->nf4_tokens : 0;
    layout.lanes = loram_take(&arena, (size_t)((rows > direct_rows ? rows : direct_rows) * LORAM_LANES) * 4);
    layout.arranged = loram_take(&arena, direct ? (size_t)(r->chunk_blocks * LORAM_NF4_BLOCK * r->nf4_tokens * r->engine->element_bytes) : 0);
    layout.scales = loram_take(&arena, direct ? (size_t)(LORAM_FEW_NF4_MOST_ROWS * loram_row_blocks(r->inputs)) * 4 : 0);
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
    if (r->engine->dot_nf4) {
        r->nf4_tokens = (int)loram_ceil(tokens, loram_ceil(tokens, r->engine->nf4_tokens));
        long blocks = loram_row_blocks(k), most = loram_min(r->engine->nf4_blocks, LORAM_FEW_NF4_X_BYTES / (r->nf4_tokens * size * LORAM_NF4_BLOCK));
        r->chunk_blocks = blocks ? loram_ceil(blocks, loram_ceil(blocks, most)) : 1;
    }
    loram_arena arena = {base, 0};
    r->x = loram_take(&arena, (size_t)(tokens * loram_round_up(k, LORAM_DOT_STEP) * size));
    r->arranged = loram_take(&arena, r->engine->dot_nf4 ? (size_t)(loram_round_up(tokens, r->nf4_tokens) * loram_round_up(loram_row_blocks(k), r->chunk_blocks) * LORAM_NF4_BLOCK * size) : 0);
    r->left = loram_take(&arena, (size_t)(tokens * loram_round_up(rank, LORAM_DOT_STEP)) * 4);
    r->scratch_bytes = lay_out_scratch(r, tokens, rank, NULL).bytes;
    r->scratch = loram_take(&arena, r->scratch_bytes * (size_t)workers);
    return arena.used;
}

size_t loram_few_tokens_workspace(const loram_kernels *kernels, loram_compute compute, long tokens, long inputs, long rank, int workers) {
    loram_few r;
    return tokens ? lay_out(&r, kernels, compute, tokens, inputs, rank, workers, NULL) : 0;
}

/// x of one token for the plain path, and the low-rank product's left side.
static void convert_x(void *context, long token, int worker) {
    (void)worker;
    const loram_few *r = context;
    const loram_matrix_product *p = r->product;
    const float *x = p->a + token * p->a_stride;
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

void loram_few_finish(const loram_few *r, const loram_few_scratch *scratch, float *lanes, long row, long step, int rows, long first, int tokens) {
    const loram_matrix_product *p = r->product;
    long rank = rank_of(p), padded = loram_round_up(rank, LORAM_DOT_STEP), stride = padded + 2 * LORAM_MARGIN;
    if (rank) {
        loram_weight right = {LORAM_ELEMENT_F32, rows, rank, (const float *)p->low_rank->right + row * p->low_rank->right_stride, step * p->low_rank->right_stride, {0}};
        loram_decode_rows(r->f32, &right, 0, rows, 0, rank, LORAM_DOT_STEP, scratch->right, stride, rows, 0);
        // The lanes of one row can be cut between tokens, those of several cannot.
        const int together = tokens <= LORAM_DOT_TOKENS ? rows : 1;
        for (int i = 0; i < rows; i += together)
            for (int t = 0; t < tokens; t += LORAM_DOT_TOKENS)
                r->f32->dot(lanes + (i * tokens + t) * LORAM_LANES, scratch->right + 4 * (LORAM_MARGIN + i * stride), stride, together, r->left + 4 * (first + t) * padded, padded, (int)loram_min(LORAM_DOT_TOKENS, tokens - t), padded / LORAM_DOT_STEP, p->k > 0);
    }
    float totals[LORAM_DOT_MAX_ROWS * LORAM_SMALL_TOKENS];
    r->engine->sum_lanes(totals, lanes, (long)rows * tokens);
    for (int i = 0; i < rows; i++)
        for (int t = 0; t < tokens; t++) {
            long at = (first + t) * p->c_stride + row + i * step;
            float total = totals[i * tokens + t];
            p->c[at] = p->start ? p->start[at] + total : total;
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
    for (long i = row; i < end; i += r->together)
        for (long t = 0; t < p->m; t += r->group_tokens) {
            const int rows = (int)loram_min(r->together, end - i), tokens = (int)loram_min(r->group_tokens, p->m - t);
            loram_few_finish(r, scratch, scratch->lanes + ((i - row) * p->m + t * rows) * LORAM_LANES, i, 1, rows, t, tokens);
        }
}

static void arrange_chunk(void *context, long index, int worker) {
    (void)worker;
    loram_few_arrange_shared(context, index);
}

static void compute_task(void *context, long index, int worker) {
    const loram_few *r = context;
    const loram_matrix_product *p = r->product;
    loram_few_scratch scratch = lay_out_scratch(r, p->m, rank_of(p), r->scratch + (size_t)worker * r->scratch_bytes);
    if (index < r->direct_tasks) {
        loram_few_direct(r, &scratch, index);
        return;
    }
    long row = r->direct_rows + (index - r->direct_tasks) * LORAM_FEW_TASK_ROWS;
    compute_plain(r, &scratch, row, loram_min(row + LORAM_FEW_TASK_ROWS, p->n));
}

loram_status loram_few_tokens(const loram_execution *execution, const loram_matrix_product *product) {
    if (product->m == 0 || product->n == 0) return LORAM_OK;
    loram_few r = {0};
    r.product = product;
    size_t needed = lay_out(&r, execution->kernels, execution->compute, product->m, product->k, rank_of(product), execution->workers, NULL);
    uintptr_t base = ((uintptr_t)execution->workspace + 63) & ~(uintptr_t)63;
    if (!execution->workspace || base - (uintptr_t)execution->workspace + needed > execution->workspace_bytes) return LORAM_SMALL_WORKSPACE;
    lay_out(&r, execution->kernels, execution->compute, product->m, product->k, rank_of(product), execution->workers, (char *)base);
    if (r.engine->dot_nf4 && product->b.element == LORAM_ELEMENT_NF4 && product->k > 0) loram_few_plan_direct(&r, execution->workers);
    loram_run(execution, loram_few_shared_chunks(&r), arrange_chunk, &r);
    if (r.direct_rows < product->n || product->low_rank) loram_run(execution, product->m, convert_x, &r);
    loram_run(execution, r.direct_tasks + loram_ceil(product->n - r.direct_rows, LORAM_FEW_TASK_ROWS), compute_task, &r);
    return LORAM_OK;
}
