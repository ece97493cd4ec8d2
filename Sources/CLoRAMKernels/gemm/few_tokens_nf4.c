// The few-token product with NF4 weights: blocks are decoded in registers and multiplied with all tokens at once.
#include "few_tokens.h"

long loram_few_direct_rows(const loram_few *r) {
    const loram_matrix_product *p = r->product;
    if (!r->engine->dot_nf4 || p->b.element != LORAM_ELEMENT_NF4 || p->k == 0) return 0;
    // The first block of a row, row * k / 64, is followed by r->blocks - 1 more.
    long first = p->n * p->k / LORAM_NF4_BLOCK - r->blocks;
    return first < 0 ? 0 : loram_min(p->n, ((first + 1) * LORAM_NF4_BLOCK - 1) / p->k + 1);
}

void loram_few_split(const loram_few *r, long token) {
    const loram_matrix_product *p = r->product;
    long size = r->engine->element_bytes, length = loram_plane_length(r), margin = LORAM_PLANE_MARGIN;
    char *even = r->planes + 2 * token * length * size, *odd = even + length * size;
    memset(even, 0, (size_t)(margin * size));
    memset(odd, 0, (size_t)(margin * size));
    r->engine->split(even + margin * size, odd + margin * size, p->a + token * p->a_stride, p->k, (r->blocks + 1) * (LORAM_NF4_BLOCK / 2));
}

/// Planes of token 0 for a row that starts `offset` elements after a block does.
static inline void place(const loram_few *r, long offset, const void **upper, const void **lower) {
    long size = r->engine->element_bytes, length = loram_plane_length(r);
    const char *even = r->planes + size * LORAM_PLANE_MARGIN, *odd = even + size * length;
    // Element 2 i of the block is x[2 i - offset].
    *upper = offset % 2 ? odd - size * ((offset + 1) / 2) : even - size * (offset / 2);
    *lower = offset % 2 ? even - size * ((offset - 1) / 2) : odd - size * (offset / 2);
}

/// Where the rows of a task begin.
typedef struct row_start {
    const uint8_t *codes;
    const float *scales;
    const char *upper, *lower;
} row_start;

static void find_rows(const loram_few *r, const loram_few_scratch *scratch, long row, long end, row_start starts[LORAM_FEW_TASK_ROWS]) {
    const long k = r->product->k, first_block = row * k / LORAM_NF4_BLOCK;
    for (long i = row; i < end; i++) {
        row_start *start = starts + (i - row);
        const void *upper, *lower;
        place(r, i * k % LORAM_NF4_BLOCK, &upper, &lower);
        *start = (row_start){(const uint8_t *)r->product->b.data + 32 * (i * k / LORAM_NF4_BLOCK), scratch->scales + (i * k / LORAM_NF4_BLOCK - first_block), upper, lower};
    }
}

void loram_few_direct(const loram_few *r, const loram_few_scratch *scratch, long row, long end) {
    const loram_matrix_product *p = r->product;
    const int together = r->engine->nf4_rows[p->m - 1];
    void (*const dot)(float *, const loram_nf4_rows *, int, long, int, int) = p->b.scales.rounds_bf16 ? r->engine->dot_nf4_bf16 : r->engine->dot_nf4;
    const long plane_bytes = r->engine->element_bytes * (LORAM_NF4_BLOCK / 2), token_stride = 2 * loram_plane_length(r), first_block = row * p->k / LORAM_NF4_BLOCK;
    r->kernels->scales(&p->b.scales, first_block, (end - 1) * p->k / LORAM_NF4_BLOCK + r->blocks - first_block, scratch->scales);
    row_start starts[LORAM_FEW_TASK_ROWS];
    find_rows(r, scratch, row, end, starts);
    loram_nf4_rows rows = {.shared = p->k % LORAM_NF4_BLOCK == 0};
    for (long block = 0; block < r->blocks; block += r->chunk_blocks) {
        rows.blocks = loram_min(r->chunk_blocks, r->blocks - block);
        const int more = block + r->chunk_blocks < r->blocks;
        for (long group = row; group < end;) {
            int count = end - group >= together ? together : 1;
            // What is fetched meanwhile: a few rows further on in the chunk, after its last row in the next chunk of the same rows, and
            // after that in the first chunk of the next task's.
            long ahead = together > 1 ? 2 * together : 4;
            int wraps = group + ahead >= end;
            if (wraps && more) ahead += row - end;
            rows.ahead = ahead * p->k / 2 + (wraps ? 32 * (more ? r->chunk_blocks : -block) : 0);
            for (int i = 0; i < count; i++) {
                const row_start *start = starts + (group + i - row);
                rows.row[i].codes = start->codes + 32 * block;
                rows.row[i].scales = start->scales + block;
                rows.row[i].upper = start->upper + plane_bytes * block;
                rows.row[i].lower = start->lower + plane_bytes * block;
            }
            dot(scratch->lanes + (group - row) * p->m * LORAM_LANES, &rows, count, token_stride, (int)p->m, block > 0);
            group += count;
        }
    }
    for (long group = row; group < end;) {
        int count = end - group >= together ? together : 1;
        // One row's lanes are in order in groups of any size.
        loram_few_finish(r, scratch, scratch->lanes + (group - row) * p->m * LORAM_LANES, group, count, count > 1 ? (int)p->m : r->group_tokens);
        group += count;
    }
}
