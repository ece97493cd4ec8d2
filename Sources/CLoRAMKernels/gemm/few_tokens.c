// y = x W^T for few tokens: every weight is decoded once into a small buffer and multiplied with all tokens while it is there.
//
// A task takes TASK_ROWS rows of W. k is cut into chunks whose x stays in the first-level cache; for each chunk the rows pass by in groups
// of as many as a dot kernel takes, in runs that one decoding buffer holds. Such a piece (group x run) is decoded into one of two buffers
// while the piece before is multiplied, where the set has a kernel for both. Each output is the sum of LORAM_LANES partial sums (lane l
// takes every k of its residue in a step) added as a balanced tree, so its bits depend on the kernel set and on I alone.
#include "few_tokens.h"

size_t loram_few_tokens_workspace(const loram_kernels *kernels, loram_compute compute, long tokens, long inputs, long rank, int workers) {
    loram_few r;
    return tokens ? loram_few_lay_out(&r, kernels, compute, tokens, inputs, rank, workers, NULL) : 0;
}

static long rank_of(const loram_matrix_product *p) { return p->low_rank ? p->low_rank->rank : 0; }

static loram_few_scratch lay_out_scratch(const loram_few *r, long tokens, long rank, char *base) {
    loram_arena arena = {base, 0};
    loram_few_scratch layout;
    for (int i = 0; i < 2; i++) layout.rows[i] = loram_take(&arena, (size_t)(r->together * (r->run + 2 * LORAM_MARGIN)) * (size_t)r->engine->element_bytes);
    layout.right = loram_take(&arena, rank ? (size_t)(r->together * (loram_round_up(rank, LORAM_DOT_STEP) + 2 * LORAM_MARGIN)) * 4 : 0);
    layout.lanes = loram_take(&arena, (size_t)(LORAM_FEW_TASK_ROWS * tokens * LORAM_LANES) * 4);
    layout.scales = loram_take(&arena, r->engine->dot_decode ? (size_t)(LORAM_FEW_TASK_ROWS * r->inputs / LORAM_NF4_BLOCK + 2) * 4 : 0);
    layout.bytes = arena.used;
    return layout;
}

size_t loram_few_lay_out(loram_few *r, const loram_kernels *kernels, loram_compute compute, long tokens, long k, long rank, int workers, char *base) {
    r->kernels = kernels;
    r->inputs = k;
    r->engine = &kernels->engine[compute];
    r->f32 = &kernels->engine[LORAM_COMPUTE_F32];
    r->group_tokens = (int)loram_ceil(tokens, loram_ceil(tokens, LORAM_DOT_TOKENS));
    r->together = loram_dot_rows(r->group_tokens);
    // Even chunks and runs, at multiples of the NF4 block.
    long chunks = loram_ceil(k, LORAM_FEW_X_BYTES / (tokens * r->engine->element_bytes));
    r->chunk = chunks ? loram_round_up(loram_ceil(k, chunks), LORAM_NF4_BLOCK) : LORAM_NF4_BLOCK;
    r->run = loram_round_up(loram_ceil(r->chunk, loram_ceil(r->chunk, LORAM_FEW_ROW_BYTES / r->engine->element_bytes)), LORAM_NF4_BLOCK);
    loram_arena arena = {base, 0};
    r->x = loram_take(&arena, (size_t)(tokens * loram_round_up(k, LORAM_DOT_STEP)) * (size_t)r->engine->element_bytes);
    r->left = loram_take(&arena, (size_t)(tokens * loram_round_up(rank, LORAM_DOT_STEP)) * 4);
    r->scratch_bytes = lay_out_scratch(r, tokens, rank, NULL).bytes;
    r->scratch = loram_take(&arena, r->scratch_bytes * (size_t)workers);
    return arena.used;
}

/// x of one chunk, as [run][token][length of the run].
static void convert_x(void *context, long index, int worker) {
    (void)worker;
    const loram_few *r = context;
    const loram_matrix_product *p = r->product;
    long end = loram_min((index + 1) * r->chunk, p->k);
    for (long k = index * r->chunk; k < end; k += r->run) {
        long length = loram_min(r->run, end - k), padded = loram_round_up(length, LORAM_DOT_STEP);
        char *out = r->x + k * p->m * r->engine->element_bytes;
        for (long t = 0; t < p->m; t++) r->engine->convert(out + t * padded * r->engine->element_bytes, p->a + t * p->a_stride + k, length, 1);
    }
    if (index > 0 || !p->low_rank) return;
    long rank = p->low_rank->rank, rank_padded = loram_round_up(rank, LORAM_DOT_STEP);
    for (long t = 0; t < p->m; t++) r->f32->convert(r->left + 4 * t * rank_padded, p->low_rank->left + t * p->low_rank->left_stride, rank, p->low_rank->scale);
}

void loram_few_multiply(const loram_few *r, float *lanes, const loram_few_piece *p, const char *rows, long stride, const loram_decode_job *job) {
    const loram_engine *engine = r->engine;
    long tokens = r->product->m, padded = loram_round_up(p->length, LORAM_DOT_STEP), steps = padded / LORAM_DOT_STEP, size = engine->element_bytes;
    const char *x = r->x + p->k * tokens * size;
    rows += size * LORAM_MARGIN;
    for (long t = 0; t < tokens; t += r->group_tokens) {
        int together = (int)loram_min(r->group_tokens, tokens - t);
        float *sums = lanes + t * p->rows * LORAM_LANES;
        if (t == 0 && job) engine->dot_decode(sums, rows, stride, x, padded, together, steps, p->k > 0, job);
        else engine->dot(sums, rows, stride, p->rows, x + t * padded * size, padded, together, steps, p->k > 0);
    }
}

void loram_few_finish(const loram_few *r, const loram_few_scratch *scratch, float *lanes, long row, int rows) {
    const loram_matrix_product *p = r->product;
    long rank = rank_of(p), rank_padded = loram_round_up(rank, LORAM_DOT_STEP), stride = rank_padded + 2 * LORAM_MARGIN;
    if (rank) {
        loram_weight right = {LORAM_ELEMENT_F32, p->n, rank, p->low_rank->right, p->low_rank->right_stride, {0}};
        loram_decode_rows(r->f32, &right, row, rows, 0, rank, LORAM_DOT_STEP, scratch->right, stride, row + r->together, 0);
    }
    for (long t0 = 0; t0 < p->m; t0 += r->group_tokens) {
        int tokens = (int)loram_min(r->group_tokens, p->m - t0);
        float *sums = lanes + t0 * rows * LORAM_LANES;
        if (rank) r->f32->dot(sums, scratch->right + 4 * LORAM_MARGIN, stride, rows, r->left + 4 * t0 * rank_padded, rank_padded, tokens, rank_padded / LORAM_DOT_STEP, p->k > 0);
        float total[LORAM_DOT_MAX_ROWS * LORAM_DOT_TOKENS];
        r->engine->sum_lanes(total, sums, rows * tokens);
        for (int i = 0; i < rows; i++)
            for (long t = 0; t < tokens; t++) {
                long at = (t0 + t) * p->c_stride + row + i;
                p->c[at] = p->start ? p->start[at] + total[i * tokens + t] : total[i * tokens + t];
            }
    }
}

/// Rows row ..< end of W, each piece decoded and then multiplied.
static void compute_plain(const loram_few *r, const loram_few_scratch *scratch, long row, long end) {
    const loram_matrix_product *p = r->product;
    long stride = r->run + 2 * LORAM_MARGIN;
    if (row >= end) return;
    memset(scratch->lanes, 0, p->k ? 0 : (size_t)((end - row) * p->m * LORAM_LANES) * sizeof(float));
    for (loram_few_piece now = loram_few_first(r, row, end), next = now; now.k < p->k; now = next) {
        loram_few_advance(r, &next, row, end);
        loram_decode_rows(r->engine, &p->b, now.row, now.rows, now.k, now.length, LORAM_DOT_STEP, scratch->rows[0], stride, next.row, next.k);
        loram_few_multiply(r, scratch->lanes + (now.row - row) * p->m * LORAM_LANES, &now, scratch->rows[0], stride, NULL);
    }
    for (long i = row; i < end; i += r->together) loram_few_finish(r, scratch, scratch->lanes + (i - row) * p->m * LORAM_LANES, i, (int)loram_min(r->together, end - i));
}

static void compute_rows(void *context, long index, int worker) {
    const loram_few *r = context;
    const loram_matrix_product *p = r->product;
    loram_few_scratch scratch = lay_out_scratch(r, p->m, rank_of(p), r->scratch + (size_t)worker * r->scratch_bytes);
    long row = index * LORAM_FEW_TASK_ROWS, end = loram_min(row + LORAM_FEW_TASK_ROWS, p->n), pipelined = row;
    if (r->engine->dot_decode && p->b.element == LORAM_ELEMENT_NF4 && p->k > 0) {
        // Whole groups whose rows end a block before the tensor's last full one, as jobs decode up to one block too much.
        long full = p->n * p->k / LORAM_NF4_BLOCK, safe = (full - 1) * LORAM_NF4_BLOCK / p->k;
        if (loram_min(end, safe) > row) pipelined = row + (loram_min(end, safe) - row) / r->together * r->together;
        if (pipelined > row) loram_few_pipeline(r, &scratch, row, pipelined);
    }
    compute_plain(r, &scratch, pipelined, end);
}

loram_status loram_few_tokens(const loram_execution *execution, const loram_matrix_product *product) {
    if (product->m == 0 || product->n == 0) return LORAM_OK;
    loram_few r = {0};
    r.product = product;
    size_t needed = loram_few_lay_out(&r, execution->kernels, execution->compute, product->m, product->k, rank_of(product), execution->workers, NULL);
    uintptr_t base = ((uintptr_t)execution->workspace + 63) & ~(uintptr_t)63;
    if (!execution->workspace || base - (uintptr_t)execution->workspace + needed > execution->workspace_bytes) return LORAM_SMALL_WORKSPACE;
    loram_few_lay_out(&r, execution->kernels, execution->compute, product->m, product->k, rank_of(product), execution->workers, (char *)base);
    long chunks = loram_ceil(product->k, r.chunk);
    loram_run(execution, chunks ? chunks : 1, convert_x, &r);
    loram_run(execution, loram_ceil(product->n, LORAM_FEW_TASK_ROWS), compute_rows, &r);
    return LORAM_OK;
}
