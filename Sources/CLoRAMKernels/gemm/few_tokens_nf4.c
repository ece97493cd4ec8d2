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
    r->engine->split(even + margin * size, odd + margin * size, p->a + token * p->a_stride, p->k, length - margin);
}

/// Planes of token 0 for a row that starts `offset` elements after a block does.
static inline void place(const loram_few *r, long offset, const void **upper, const void **lower) {
    long size = r->engine->element_bytes, length = loram_plane_length(r);
    const char *even = r->planes + size * LORAM_PLANE_MARGIN, *odd = even + size * length;
    // Element 2 i of the block is x[2 i - offset].
    *upper = offset % 2 ? odd - size * ((offset + 1) / 2) : even - size * (offset / 2);
    *lower = offset % 2 ? even - size * ((offset - 1) / 2) : odd - size * (offset / 2);
}

void loram_few_direct(const loram_few *r, const loram_few_scratch *scratch, long row, long end) {
    const loram_matrix_product *p = r->product;
    const loram_weight *w = &p->b;
    const int together = loram_nf4_dot_rows((int)p->m);
    const long size = r->engine->element_bytes, token_stride = 2 * loram_plane_length(r), first_block = row * p->k / LORAM_NF4_BLOCK;
    r->kernels->scales(&w->scales, first_block, (end - 1) * p->k / LORAM_NF4_BLOCK + r->blocks - first_block, scratch->scales);
    // Far enough ahead for memory's latency: the rows after the next.
    loram_nf4_rows rows = {.ahead = (together > 1 ? 2 * together : 4) * p->k / 2, .shared = p->k % LORAM_NF4_BLOCK == 0};
    for (long block = 0; block < r->blocks; block += r->chunk_blocks) {
        rows.blocks = loram_min(r->chunk_blocks, r->blocks - block);
        for (long group = row; group < end;) {
            int count = end - group >= together ? together : 1;
            for (int i = 0; i < count; i++) {
                long first = (group + i) * p->k, start = first / LORAM_NF4_BLOCK + block;
                rows.row[i].codes = (const uint8_t *)w->data + 32 * start;
                rows.row[i].scales = scratch->scales + (start - first_block);
                place(r, first % LORAM_NF4_BLOCK, &rows.row[i].upper, &rows.row[i].lower);
                rows.row[i].upper = (const char *)rows.row[i].upper + size * block * (LORAM_NF4_BLOCK / 2);
                rows.row[i].lower = (const char *)rows.row[i].lower + size * block * (LORAM_NF4_BLOCK / 2);
            }
            r->engine->dot_nf4(scratch->lanes + (group - row) * p->m * LORAM_LANES, &rows, count, token_stride, (int)p->m, block > 0);
            group += count;
        }
    }
    for (long group = row; group < end;) {
        int count = end - group >= together ? together : 1;
        loram_few_finish(r, scratch, scratch->lanes + (group - row) * p->m * LORAM_LANES, group, count);
        group += count;
    }
}
