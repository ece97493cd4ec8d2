// The few-token product with NF4 weights: while one piece is multiplied, the next is decoded.
#include "few_tokens.h"

/// The job that decodes p into `rows`, while `after` is fetched; scales[0] belongs to NF4 block `first_block`. Every row decodes equally
/// many blocks; those beyond its piece land in the margin.
static inline void make_job(const loram_few *r, const float *scales, size_t first_block, const loram_few_piece *p, const loram_few_piece *after, char *rows, long stride, loram_decode_job *job) {
    const loram_weight *w = &r->product->b;
    const size_t columns = (size_t)w->columns, size = (size_t)r->engine->element_bytes;
    job->blocks = (long)(((size_t)p->length + (columns % LORAM_NF4_BLOCK ? 2 : 1) * (size_t)LORAM_NF4_BLOCK - (columns % LORAM_NF4_BLOCK ? 2 : 1)) / LORAM_NF4_BLOCK);
    job->ahead = after->k < w->columns ? ((after->row - p->row) * w->columns + after->k - p->k) / 2 : 0;
    for (int i = 0; i < r->together; i++) {
        size_t first = ((size_t)p->row + (size_t)i) * columns + (size_t)p->k, block = first / LORAM_NF4_BLOCK;
        job->row[i].codes = (const uint8_t *)w->data + 32 * block;
        job->row[i].scales = scales + (block - first_block);
        job->row[i].out = rows + ((size_t)i * (size_t)stride + LORAM_MARGIN - first % LORAM_NF4_BLOCK) * size;
    }
}

static void pad_rows(const loram_few *r, long padding, long length, char *rows, long stride) {
    long size = r->engine->element_bytes;
    for (int i = 0; i < r->together; i++) memset(rows + (i * stride + LORAM_MARGIN + length) * size, 0, (size_t)(padding * size));
}

void loram_few_pipeline(const loram_few *r, const loram_few_scratch *scratch, long row, long end) {
    const loram_matrix_product *p = r->product;
    long stride = r->run + 2 * LORAM_MARGIN;
    long first_block = row * p->k / LORAM_NF4_BLOCK;
    r->kernels->scales(&p->b.scales, first_block, (end * p->k - 1) / LORAM_NF4_BLOCK + 1 - first_block, scratch->scales);
    loram_few_piece now = loram_few_first(r, row, end), next = now;
    loram_few_advance(r, &next, row, end);
    loram_decode_rows(r->engine, &p->b, now.row, now.rows, now.k, now.length, LORAM_DOT_STEP, scratch->rows[0], stride, next.row, next.k);
    for (int buffer = 0; now.k < p->k; buffer = !buffer) {
        loram_few_piece after = next;
        loram_decode_job job;
        float *lanes = scratch->lanes + (now.row - row) * p->m * LORAM_LANES;
        if (next.k < p->k) {
            loram_few_advance(r, &after, row, end);
            make_job(r, scratch->scales, (size_t)first_block, &next, &after, scratch->rows[!buffer], stride, &job);
            loram_few_multiply(r, lanes, &now, scratch->rows[buffer], stride, &job);
            long padding = loram_round_up(next.length, LORAM_DOT_STEP) - next.length;
            if (padding) pad_rows(r, padding, next.length, scratch->rows[!buffer], stride);
        } else {
            loram_few_multiply(r, lanes, &now, scratch->rows[buffer], stride, NULL);
        }
        now = next;
        next = after;
    }
    for (long i = row; i < end; i += r->together) loram_few_finish(r, scratch, scratch->lanes + (i - row) * p->m * LORAM_LANES, i, r->together);
}
