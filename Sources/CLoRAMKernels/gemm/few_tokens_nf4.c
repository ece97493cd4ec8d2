// The few-token product with NF4 weights: blocks are looked up in registers and multiplied with several tokens at once.
//
// A row of W may start anywhere in a block. Rows that start at the same place of one, `period` rows apart, make up a task, for which x is laid
// out block by block, with zeros where a block holds elements of other rows: so what the kernels read is always aligned. Where all rows start
// alike, the tasks share it.
#include "few_tokens.h"

void loram_few_plan_direct(loram_few *r, int workers) {
    enum { TASKS_PER_WORKER = 8 };
    const loram_matrix_product *p = r->product;
    // A short last block is not read as a whole.
    r->direct_rows = p->n * p->k / LORAM_NF4_BLOCK * LORAM_NF4_BLOCK / p->k;
    r->period = LORAM_NF4_BLOCK;
    while (r->period > 1 && p->k * (r->period / 2) % LORAM_NF4_BLOCK == 0) r->period /= 2;
    const long rows = loram_ceil(r->direct_rows, r->period), wanted = loram_ceil((long)workers * TASKS_PER_WORKER, r->period);
    r->task_rows = loram_round_up(loram_ceil(rows, wanted), LORAM_DOT_MAX_ROWS);
    r->task_rows = loram_min(r->task_rows < LORAM_FEW_NF4_LEAST_ROWS ? LORAM_FEW_NF4_LEAST_ROWS : r->task_rows, LORAM_FEW_NF4_MOST_ROWS);
    r->direct_tasks = loram_ceil(rows, r->task_rows) * r->period;
}

/// Elements from one chunk of x to the next.
static long chunk_elements(const loram_few *r) { return r->chunk_blocks * LORAM_NF4_BLOCK * r->nf4_tokens; }

static long chunks_of(const loram_few *r) { return loram_ceil(loram_row_blocks(r->product->k), r->chunk_blocks); }

long loram_few_shared_chunks(const loram_few *r) { return r->direct_rows > 0 && r->period == 1 ? loram_ceil(r->product->m, r->nf4_tokens) * chunks_of(r) : 0; }

/// Lays out chunk `chunk` of tokens from `token` on for rows that start `offset` elements after a block does.
static void arrange(const loram_few *r, char *out, long token, long chunk, long offset) {
    const loram_matrix_product *p = r->product;
    const long block = chunk * r->chunk_blocks, blocks = loram_ceil(offset + p->k, LORAM_NF4_BLOCK) - block;
    r->engine->arrange(out, p->a + token * p->a_stride, p->a_stride, (int)loram_min(r->nf4_tokens, p->m - token), block * LORAM_NF4_BLOCK - offset, p->k, loram_min(r->chunk_blocks, blocks));
}

static char *shared_chunk(const loram_few *r, long index) { return r->arranged + index * chunk_elements(r) * r->engine->element_bytes; }

void loram_few_arrange_shared(const loram_few *r, long index) { arrange(r, shared_chunk(r, index), index / chunks_of(r) * r->nf4_tokens, index % chunks_of(r), 0); }

/// Rows that start alike lie far apart: no hardware foresees where the next one's scales are.
static void fetch_scales(const loram_nf4_scales *scales, long first, long blocks) {
    const long bytes = scales->nested_absmax ? 1 : 4;
    for (long at = first * bytes, end = at + blocks * bytes; at < end; at += 64) __builtin_prefetch((const char *)scales->absmax + at);
}

void loram_few_direct(const loram_few *r, const loram_few_scratch *scratch, long index) {
    const loram_matrix_product *p = r->product;
    const loram_engine *engine = r->engine;
    void (*const dot)(float *, const loram_nf4_rows *, int, const void *, int, int) = p->b.scales.rounds_bf16 ? engine->dot_nf4_bf16 : engine->dot_nf4;
    const long first = index % r->period + index / r->period * r->task_rows * r->period;
    if (first >= r->direct_rows) return;
    const long count = loram_min(r->task_rows, loram_ceil(r->direct_rows - first, r->period));
    // Where the first row starts, and blocks of each row and from one to the next.
    const long start = first * p->k / LORAM_NF4_BLOCK, offset = first * p->k % LORAM_NF4_BLOCK;
    const long blocks = loram_ceil(offset + p->k, LORAM_NF4_BLOCK), step = r->period * p->k / LORAM_NF4_BLOCK;
    const uint8_t *codes = (const uint8_t *)p->b.data + 32 * start;
    for (long i = 0; i < count; i++) {
        fetch_scales(&p->b.scales, start + (i + 4) * step, blocks);
        r->kernels->scales(&p->b.scales, start + i * step, blocks, scratch->scales + i * blocks);
    }

    for (long token = 0; token < p->m; token += r->nf4_tokens) {
        const int tokens = (int)loram_min(r->nf4_tokens, p->m - token), together = engine->nf4_rows[tokens - 1];
        for (long block = 0; block < blocks; block += r->chunk_blocks) {
            loram_nf4_rows rows = {.blocks = loram_min(r->chunk_blocks, blocks - block)};
            const long chunk = block / r->chunk_blocks;
            const char *x = r->period == 1 ? shared_chunk(r, token / r->nf4_tokens * chunks_of(r) + chunk) : scratch->arranged;
            if (r->period > 1) arrange(r, scratch->arranged, token, chunk, offset);
            const int more = block + r->chunk_blocks < blocks;
            for (long row = 0; row < count;) {
                const int taken = count - row >= together ? together : 1;
                // What is fetched meanwhile: a few rows further on in the chunk, after its last row in the next chunk of the same rows, and
                // after that in the first chunk of the next task's.
                long ahead = together > 1 ? 2 * together : 4;
                const int wraps = row + ahead >= count;
                if (wraps && more) ahead -= count;
                rows.ahead = 32 * (ahead * step + (wraps ? more ? r->chunk_blocks : -block : 0));
                for (int i = 0; i < taken; i++) {
                    rows.row[i].codes = codes + 32 * ((row + i) * step + block);
                    rows.row[i].scales = scratch->scales + (row + i) * blocks + block;
                }
                dot(scratch->lanes + row * tokens * LORAM_LANES, &rows, taken, x, tokens, block > 0);
                row += taken;
            }
        }
        for (long row = 0; row < count;) {
            const int taken = count - row >= together ? together : 1;
            loram_few_finish(r, scratch, scratch->lanes + row * tokens * LORAM_LANES, first + row * r->period, r->period, taken, token, tokens);
            row += taken;
        }
    }
}
