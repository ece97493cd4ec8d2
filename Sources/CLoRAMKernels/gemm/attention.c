// Attention's blocks on the matrix kernels. Work above the diagonal is left out panel by panel.
#include "../include/loram_attention.h"

#include <math.h>

#include "../include/loram_kernels.h"
#include "product.h"

enum {
    BLOCK = LORAM_ATTENTION_BLOCK,
    /// Blocks of queries that the backward pass packs at a time, to use them with every block of keys before them.
    QUERY_BLOCKS = 4,
};

/// An A operand in panels: [panel][k group][tile_rows] words.
typedef struct left_operand {
    char *panels;
    long rows, panel_rows, k;
} left_operand;

/// A B operand in panels: [panel][k group][tile_columns] words.
typedef struct right_operand {
    char *panels;
    long columns, k;
} right_operand;

/// Where a block's operands are packed.
typedef struct query_panels {
    char *left, *left_gradient, *right, *right_gradient;
} query_panels;

typedef struct scratch {
    float *scores, *gradient, *top, *denominator;
    query_panels queries[QUERY_BLOCKS];
    char *left_tile, *right_keys, *right_values, *right_across, *rows;
    size_t bytes;
} scratch;

static scratch lay_out(const loram_engine *e, long d, void *base) {
    loram_arena arena = {base, 0};
    scratch s;
    long rows = loram_round_up(BLOCK, e->tile_rows) + e->tile_rows, groups = loram_ceil(d, e->group), block_groups = loram_ceil(BLOCK, e->group);
    long block_columns = loram_round_up(BLOCK, e->tile_columns), columns = loram_round_up(d, e->tile_columns);
    s.scores = loram_take(&arena, BLOCK * BLOCK * sizeof(float));
    s.gradient = loram_take(&arena, BLOCK * BLOCK * sizeof(float));
    s.top = loram_take(&arena, BLOCK * sizeof(float));
    s.denominator = loram_take(&arena, BLOCK * sizeof(float));
    for (int i = 0; i < QUERY_BLOCKS; i++) {
        query_panels *q = s.queries + i;
        q->left = loram_take(&arena, (size_t)(rows * groups) * 4);
        q->left_gradient = loram_take(&arena, (size_t)(rows * groups) * 4);
        q->right = loram_take(&arena, (size_t)(columns * block_groups) * 4);
        q->right_gradient = loram_take(&arena, (size_t)(columns * block_groups) * 4);
    }
    s.left_tile = loram_take(&arena, (size_t)(rows * block_groups) * 4);
    s.right_keys = loram_take(&arena, (size_t)(block_columns * groups) * 4);
    s.right_values = loram_take(&arena, (size_t)(block_columns * groups > columns * block_groups ? block_columns * groups : columns * block_groups) * 4);
    s.right_across = loram_take(&arena, (size_t)(columns * block_groups) * 4);
    long decoded = LORAM_DECODE_ROWS * (LORAM_DECODE_RUN + 2 * LORAM_MARGIN), across = 2 * (columns + 2 * LORAM_MARGIN);
    s.rows = loram_take(&arena, (size_t)(decoded > across ? decoded : across) * 4);
    s.bytes = arena.used;
    return s;
}

size_t loram_attention_workspace(const loram_kernels *kernels, loram_compute compute, long head_dim) {
    return lay_out(&kernels->engine[compute], head_dim, NULL).bytes;
}

static left_operand left(const loram_engine *e, long rows, long k, char *panels) {
    return (left_operand){panels, rows, loram_ceil(rows, loram_ceil(rows, e->tile_rows)), k};
}

static long panel_bytes(const loram_engine *e, long k, long tile) { return 4 * tile * loram_ceil(k, e->group); }

/// From a[rows, k].
static left_operand pack_left(const loram_engine *e, char *panels, const float *a, long stride, long rows, long k) {
    left_operand l = left(e, rows, k, panels);
    for (long row = 0; row < rows; row += l.panel_rows, panels += panel_bytes(e, k, e->tile_rows))
        e->pack_rows(panels, a + row * stride, stride, (int)loram_min(l.panel_rows, rows - row), k, 1);
    return l;
}

/// From a[k, rows].
static left_operand pack_left_transposed(const loram_engine *e, char *panels, const float *a, long stride, long rows, long k) {
    left_operand l = left(e, rows, k, panels);
    for (long row = 0; row < rows; row += l.panel_rows, panels += panel_bytes(e, k, e->tile_rows))
        e->pack_columns(panels, a + row, stride, (int)loram_min(l.panel_rows, rows - row), k);
    return l;
}

/// From b[columns, k] where transposed, else from b[k, columns].
static right_operand pack_right(const loram_engine *e, char *panels, char *rows, const float *b, long stride, int transposed, long columns, long k) {
    loram_weight w = {LORAM_ELEMENT_F32, transposed ? columns : k, transposed ? k : columns, b, stride, {0}};
    loram_pack_right(e, &w, transposed, 0, k, 0, columns, panels, rows);
    return (right_operand){panels, columns, k};
}

/// What part of a product matters under the causal mask; row i of the queries sees keys up to diagonal + i.
typedef enum causal {
    /// C[queries, keys]: only keys that some row of the panel sees.
    MASKS_COLUMNS,
    /// A[queries, keys]: only keys that some row of the panel sees.
    MASKS_INNER,
    /// A[keys, queries]: only queries that see some row of the panel.
    STARTS_INNER,
} causal;

static void multiply(const loram_engine *e, float *c, long c_stride, left_operand a, right_operand b, causal mask, long diagonal, int accumulate) {
    long groups = loram_ceil(a.k, e->group);
    const char *panel = a.panels;
    for (long row = 0; row < a.rows; row += a.panel_rows, panel += panel_bytes(e, a.k, e->tile_rows)) {
        int rows = (int)loram_min(a.panel_rows, a.rows - row);
        long columns = b.columns, from = 0, to = groups;
        if (mask == MASKS_COLUMNS) columns = loram_min(columns, diagonal + row + rows);
        if (mask == MASKS_INNER) to = loram_min(groups, loram_ceil(diagonal + row + rows, e->group));
        if (mask == STARTS_INNER && row > diagonal) from = (row - diagonal) / e->group;
        for (long n = 0; n < columns; n += e->tile_columns)
            e->multiply(to - from, panel + 4 * from * e->tile_rows, b.panels + 4 * (n * groups + from * e->tile_columns), c + row * c_stride + n, c_stride, rows, (int)loram_min(e->tile_columns, columns - n), accumulate);
    }
}

void loram_attention_forward(const loram_attention *a, void *workspace, float *o, float *lse, const float *q, const float *k, const float *v, long first, long count) {
    const loram_engine *e = &a->kernels->engine[a->compute];
    const long d = a->head_dim;
    scratch s = lay_out(e, d, workspace);
    for (long i = 0; i < count; i++) {
        s.top[i] = -INFINITY;
        s.denominator[i] = 0;
        memset(o + i * a->query_stride, 0, (size_t)d * sizeof(float));
    }
    left_operand queries = pack_left(e, s.queries[0].left, q, a->query_stride, count, d);
    for (long start = 0; start < first + count; start += BLOCK) {
        long keys = loram_min(BLOCK, first + count - start), diagonal = first - start;
        right_operand key = pack_right(e, s.right_keys, s.rows, k + start * a->key_stride, a->key_stride, 1, keys, d);
        multiply(e, s.scores, BLOCK, queries, key, MASKS_COLUMNS, diagonal, 0);
        loram_softmax_tile(s.scores, count, keys, BLOCK, a->scale, diagonal, s.top, s.denominator, o, d, a->query_stride);
        left_operand probabilities = pack_left(e, s.left_tile, s.scores, BLOCK, count, keys);
        right_operand value = pack_right(e, s.right_values, s.rows, v + start * a->key_stride, a->key_stride, 0, d, keys);
        multiply(e, o, a->query_stride, probabilities, value, MASKS_INNER, diagonal, 1);
    }
    loram_softmax_finish(o, lse, a->statistic_stride, s.top, s.denominator, count, d, a->query_stride);
    if (a->compute == LORAM_COMPUTE_BF16) loram_round_bf16(o, count, d, a->query_stride);
}

/// One block of queries and what is sent back to them.
typedef struct query_block {
    long first, count;
    left_operand left, left_gradient;
    right_operand right, right_gradient;
} query_block;

static query_block pack_queries(const loram_attention *a, const loram_engine *e, const query_panels *panels, char *rows, const float *q, const float *d_o, long first, long count) {
    const long d = a->head_dim, stride = a->query_stride, at = first * stride;
    return (query_block){
        .first = first,
        .count = count,
        .left = pack_left(e, panels->left, q + at, stride, count, d),
        .left_gradient = pack_left(e, panels->left_gradient, d_o + at, stride, count, d),
        .right = pack_right(e, panels->right, rows, q + at, stride, 0, d, count),
        .right_gradient = pack_right(e, panels->right_gradient, rows, d_o + at, stride, 0, d, count),
    };
}

/// What one query head adds. Keys go by once for every QUERY_BLOCKS blocks of queries; a sum gets its terms in the order of the tokens.
static void head_backward(const loram_attention *a, const scratch *s, float *dq, float *dk, float *dv, const float *d_o, const float *delta, const float *lse, const float *q, const float *k, const float *v, long tokens, int adds_head) {
    const loram_engine *e = &a->kernels->engine[a->compute];
    const long d = a->head_dim;
    for (long from = 0; from < tokens; from += QUERY_BLOCKS * BLOCK) {
        query_block blocks[QUERY_BLOCKS];
        int present = 0;
        for (long first = from; first < loram_min(tokens, from + QUERY_BLOCKS * BLOCK); first += BLOCK, present++)
            blocks[present] = pack_queries(a, e, s->queries + present, s->rows, q, d_o, first, loram_min(BLOCK, tokens - first));
        const query_block *end = blocks + present;
        for (long start = 0; start <= end[-1].first; start += BLOCK) {
            const long keys = loram_min(BLOCK, tokens - start), at = start * a->key_stride;
            right_operand key = pack_right(e, s->right_keys, s->rows, k + at, a->key_stride, 1, keys, d);
            right_operand value = pack_right(e, s->right_values, s->rows, v + at, a->key_stride, 1, keys, d);
            right_operand across = pack_right(e, s->right_across, s->rows, k + at, a->key_stride, 0, d, keys);
            for (const query_block *b = blocks; b < end; b++) {
                if (b->first < start) continue;
                const long diagonal = b->first - start, statistics = b->first * a->statistic_stride;
                const int adds = adds_head || diagonal > 0;
                multiply(e, s->scores, BLOCK, b->left, key, MASKS_COLUMNS, diagonal, 0);
                loram_probability_tile(s->scores, b->count, keys, BLOCK, a->scale, diagonal, lse + statistics, a->statistic_stride);
                multiply(e, dv + at, a->key_stride, pack_left_transposed(e, s->left_tile, s->scores, BLOCK, keys, b->count), b->right_gradient, STARTS_INNER, diagonal, adds);
                multiply(e, s->gradient, BLOCK, b->left_gradient, value, MASKS_COLUMNS, diagonal, 0);
                loram_score_gradient_tile(s->gradient, s->scores, b->count, keys, BLOCK, a->scale, diagonal, delta + statistics, a->statistic_stride);
                multiply(e, dk + at, a->key_stride, pack_left_transposed(e, s->left_tile, s->gradient, BLOCK, keys, b->count), b->right, STARTS_INNER, diagonal, adds);
                multiply(e, dq + b->first * a->query_stride, a->query_stride, pack_left(e, s->left_tile, s->gradient, BLOCK, b->count, keys), across, MASKS_INNER, diagonal, start > 0);
            }
        }
    }
}

void loram_attention_backward(const loram_attention *a, void *workspace, float *dq, float *dk, float *dv, const float *d_o, const float *delta, const float *lse, const float *q, const float *k, const float *v, long tokens, long group) {
    scratch s = lay_out(&a->kernels->engine[a->compute], a->head_dim, workspace);
    for (long head = 0; head < group; head++) {
        const long row = head * a->head_dim;
        head_backward(a, &s, dq + row, dk, dv, d_o + row, delta + head, lse + head, q + row, k, v, tokens, head > 0);
    }
}
