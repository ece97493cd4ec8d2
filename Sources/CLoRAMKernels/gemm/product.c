// The blocked product: A is packed once into the workspace, then every task packs blocks of B for itself and sweeps its rows.
#include "../include/loram_kernels.h"
#include "product.h"

enum {
    PACKING_PANELS = 8,
    PACKING_RUN = 64,
    /// Rows of B that are fetched ahead of the one that is decoded: they lie far apart, where the hardware does not look.
    ROWS_AHEAD = 32,
};

/// Sizes that bound the plan's and grow with every dimension, so that a workspace for many rows is enough for fewer.
typedef struct bounds {
    long panels, depth, columns;
} bounds;

typedef struct run {
    const loram_matrix_product *product;
    const loram_engine *engine, *f32;
    loram_plan plan;
    bounds limit;
    /// Rows of C in this chunk, and where they start.
    long first_row, rows, panels;
    char *packed_a, *packed_left;
    char *scratch;
    size_t scratch_bytes;
} run;

typedef struct scratch_layout {
    char *block, *right, *rows;
    size_t bytes;
} scratch_layout;

static bounds bound(const loram_engine *engine, long m, long n, long k) {
    return (bounds){
        .panels = loram_ceil(loram_min(m, LORAM_LONGEST_CHUNK), engine->tile_rows),
        .depth = loram_min(loram_round_up(k, LORAM_DEPTH_STEP), engine->depth),
        .columns = loram_min(loram_round_up(n, engine->tile_columns), engine->width),
    };
}

static scratch_layout lay_out_scratch(const loram_engine *engine, const loram_engine *f32, bounds limit, long rank, char *base) {
    loram_arena arena = {base, 0};
    scratch_layout layout;
    layout.block = loram_take(&arena, (size_t)(loram_ceil(limit.depth, engine->group) * limit.columns) * 4);
    layout.right = loram_take(&arena, (size_t)(loram_ceil(rank, f32->group) * limit.columns) * 4);
    long decoded = LORAM_DECODE_ROWS * (LORAM_DECODE_RUN + 2 * LORAM_MARGIN);
    long across = 2 * (limit.columns + 2 * LORAM_MARGIN);
    layout.rows = loram_take(&arena, (size_t)(decoded > across ? decoded : across) * 4);
    layout.bytes = arena.used;
    return layout;
}

static size_t lay_out(run *r, const loram_engine *engine, const loram_engine *f32, bounds limit, long k, long rank, int workers, char *base) {
    loram_arena arena = {base, 0};
    size_t rows = (size_t)limit.panels * (size_t)engine->tile_rows;
    r->packed_a = loram_take(&arena, rows * (size_t)loram_ceil(k, engine->group) * 4);
    r->packed_left = loram_take(&arena, rows * (size_t)loram_ceil(rank, f32->group) * 4);
    r->scratch_bytes = lay_out_scratch(engine, f32, limit, rank, NULL).bytes;
    r->scratch = loram_take(&arena, r->scratch_bytes * (size_t)workers);
    return arena.used;
}

size_t loram_product_workspace(const loram_kernels *kernels, loram_compute compute, long m, long n, long k, long rank, int workers) {
    const loram_engine *engine = &kernels->engine[compute];
    if (m <= 0 || n <= 0) return 0;
    run r;
    return lay_out(&r, engine, &kernels->engine[LORAM_COMPUTE_F32], bound(engine, m, n, k), k, rank, workers, NULL);
}

/// Packs A, and the low-rank term's left factor, for PACKING_PANELS panels: layout [block][panel][group][tile_rows] words.
static void pack_a(void *context, long index, int worker) {
    (void)worker;
    const run *r = context;
    const loram_matrix_product *p = r->product;
    long from = index * PACKING_PANELS, to = loram_min(from + PACKING_PANELS, r->panels);
    long tile_rows = r->engine->tile_rows, group = r->engine->group;
    for (long block = 0; !p->a_packed && block < r->plan.blocks; block++) {
        long k0 = block * r->plan.block_depth, depth = loram_min(r->plan.block_depth, p->k - k0);
        char *base = r->packed_a + 4 * r->panels * tile_rows * (k0 / group);
        long panel_bytes = 4 * tile_rows * loram_ceil(depth, group);
        // Short runs of k keep the source lines of neighbouring panels in cache where A is transposed.
        long run_length = p->a_transposed ? PACKING_RUN : depth;
        for (long k = 0; k < depth; k += run_length)
            for (long panel = from; panel < to; panel++) {
                long row = panel * r->plan.panel_rows, rows = loram_min(r->plan.panel_rows, r->rows - row);
                char *out = base + panel * panel_bytes + 4 * tile_rows * (k / group);
                long length = loram_min(run_length, depth - k);
                row += r->first_row;
                if (p->a_transposed) r->engine->pack_columns(out, p->a + (k0 + k) * p->a_stride + row, p->a_stride, (int)rows, length);
                else r->engine->pack_rows(out, p->a + row * p->a_stride + k0 + k, p->a_stride, (int)rows, length, 1);
            }
    }
    if (!p->low_rank) return;
    long panel_bytes = 4 * r->f32->tile_rows * loram_ceil(p->low_rank->rank, r->f32->group);
    for (long panel = from; panel < to; panel++) {
        long row = panel * r->plan.panel_rows, rows = loram_min(r->plan.panel_rows, r->rows - row);
        const float *left = p->low_rank->left + (r->first_row + row) * p->low_rank->left_stride;
        r->f32->pack_rows(r->packed_left + panel * panel_bytes, left, p->low_rank->left_stride, (int)rows, p->low_rank->rank, p->low_rank->scale);
    }
}

/// Asks for the cache lines of columns column ..< column + count of one row; beyond the weight nothing happens.
static inline void prefetch(const loram_weight *w, long row, long column, long count) {
    if (row >= w->rows || column >= w->columns) return;
    const char *from, *to;
    if (w->element == LORAM_ELEMENT_NF4) {
        long first = row * w->columns + column, block = first / LORAM_NF4_BLOCK;
        from = (const char *)w->data + 32 * block;
        to = (const char *)w->data + (first + count) / 2;
        __builtin_prefetch((const char *)w->scales.absmax + block * (w->scales.nested_absmax ? 1 : 4));
    } else {
        long bytes = w->element == LORAM_ELEMENT_F32 ? 4 : 2;
        from = (const char *)w->data + bytes * (row * w->row_stride + column);
        to = from + bytes * count;
    }
    for (from = (const char *)((uintptr_t)from & ~(uintptr_t)63); from < to; from += 64) __builtin_prefetch(from);
}

void loram_decode_rows(const loram_engine *engine, const loram_weight *weight, long row, int count, long column, long length, long padding, char *rows, long stride, long next_row, long next_column) {
    size_t size = (size_t)engine->element_bytes;
    size_t padded = (size_t)(loram_round_up(length, padding) - length) * size;
    void (*const decode)(const loram_weight *, long, long, long, void *) = weight->element == LORAM_ELEMENT_NF4 && weight->scales.rounds_bf16 ? engine->decode_bf16 : engine->decode;
    for (int i = 0; i < count; i++) {
        char *out = rows + size * (size_t)(i * stride + LORAM_MARGIN);
        prefetch(weight, next_row + i, next_column, length);
        decode(weight, row + i, column, length, out);
        if (padded) memset(out + (size_t)length * size, 0, padded);
    }
}

void loram_pack_right(const loram_engine *engine, const loram_weight *b, int transposed, long k0, long depth, long n0, long columns, char *block, char *rows) {
    long size = engine->element_bytes, tile = engine->tile_columns, group = engine->group;
    long panel_words = tile * loram_ceil(depth, group), panels = loram_ceil(columns, tile);
    if (transposed) {
        long stride = LORAM_DECODE_RUN + 2 * LORAM_MARGIN, together = loram_min(tile, LORAM_DECODE_ROWS);
        for (long n = 0; n < panels * tile; n += together) {
            int present = (int)loram_min(together, columns - n);
            char *panel = block + 4 * (n / tile * panel_words + n % tile);
            for (long k = 0; k < depth; k += LORAM_DECODE_RUN) {
                long length = loram_min(LORAM_DECODE_RUN, depth - k);
                if (present > 0) {
                    int more = k + LORAM_DECODE_RUN < depth;
                    loram_decode_rows(engine, b, n0 + n, present, k0 + k, length, LORAM_DOT_STEP, rows, stride, n0 + n + (more ? 0 : together), more ? k0 + k + LORAM_DECODE_RUN : k0);
                }
                engine->transpose(panel + 4 * tile * (k / group), rows + size * LORAM_MARGIN, stride, present > 0 ? present : 0, length);
            }
        }
        return;
    }
    long stride = panels * tile + 2 * LORAM_MARGIN;
    for (long k = 0; k < depth; k += group) {
        int present = (int)loram_min(group, depth - k);
        loram_decode_rows(engine, b, k0 + k, present, n0, columns, tile, rows, stride, k0 + k + ROWS_AHEAD, n0);
        engine->interleave(block + 4 * tile * (k / group), panel_words, rows + size * LORAM_MARGIN, stride, present, panels);
    }
}

/// Puts into a part of C what it starts from, just before products are added to it.
static void copy_start(const loram_matrix_product *p, long row, long rows, long column, long columns) {
    if (!p->start || p->start == p->c) return;
    for (long i = row; i < row + rows; i++) memcpy(p->c + i * p->c_stride + column, p->start + i * p->c_stride + column, sizeof(float) * (size_t)columns);
}

/// Rows of C that belong to A panels first ..< end.
static inline int panel_rows(const run *r, long first, long end) { return (int)(loram_min(end * r->plan.panel_rows, r->rows) - first * r->plan.panel_rows); }

static inline float *c_at(const run *r, long panel, long column) { return r->product->c + (r->first_row + panel * r->plan.panel_rows) * r->product->c_stride + column; }

/// What comes after the last block in A panels first ..< end: the low-rank term, and rounding.
static void finish(const run *r, long first, long end, long column, long columns, long rank_groups, const char *right) {
    const loram_matrix_product *p = r->product;
    const loram_engine *f32 = r->f32;
    for (long panel = first; panel < end; panel++) {
        float *c = c_at(r, panel, column);
        int rows = panel_rows(r, panel, panel + 1);
        const char *left = r->packed_left + 4 * panel * f32->tile_rows * rank_groups;
        for (long n = 0; p->low_rank && n < columns; n += f32->tile_columns)
            f32->multiply(rank_groups, left, right + 4 * n * rank_groups, c + n, p->c_stride, rows, (int)loram_min(f32->tile_columns, columns - n), 1);
        if (p->rounds) loram_round_bf16(c, rows, columns, p->c_stride);
    }
}

static void compute_tile(void *context, long index, int worker) {
    const run *r = context;
    const loram_matrix_product *p = r->product;
    const loram_engine *engine = r->engine, *f32 = r->f32;
    const loram_low_rank *low_rank = p->low_rank;
    long column_tasks = loram_ceil(p->n, r->plan.task_columns);
    long n0 = index % column_tasks * r->plan.task_columns, columns = loram_min(r->plan.task_columns, p->n - n0);
    long from = index / column_tasks * r->plan.task_panels, to = loram_min(from + r->plan.task_panels, r->panels);
    long tile_rows = engine->tile_rows, tile_columns = engine->tile_columns;
    scratch_layout scratch = lay_out_scratch(engine, f32, r->limit, low_rank ? low_rank->rank : 0, r->scratch + (size_t)worker * r->scratch_bytes);
    long rank_groups = 0;
    if (low_rank) {
        loram_weight right = {LORAM_ELEMENT_F32, p->right_transposed ? p->n : low_rank->rank, p->right_transposed ? low_rank->rank : p->n, low_rank->right, low_rank->right_stride, {0}};
        loram_pack_right(f32, &right, p->right_transposed, 0, low_rank->rank, n0, columns, scratch.right, scratch.rows);
        rank_groups = loram_ceil(low_rank->rank, f32->group);
    }
    for (long block = 0; block < r->plan.blocks; block++) {
        long k0 = block * r->plan.block_depth, depth = loram_min(r->plan.block_depth, p->k - k0), groups = loram_ceil(depth, engine->group);
        loram_pack_right(engine, &p->b, p->b_transposed, k0, depth, n0, columns, scratch.block, scratch.rows);
        const char *a = r->packed_a + 4 * r->panels * tile_rows * (k0 / engine->group);
        int accumulate = p->start || block > 0, last = block + 1 == r->plan.blocks;
        for (long first = from; first < to; first += engine->strip) {
            const long end = loram_min(first + engine->strip, to);
            if (block == 0) copy_start(p, r->first_row + first * r->plan.panel_rows, panel_rows(r, first, end), n0, columns);
            for (long n = 0; n < columns; n += tile_columns)
                for (long panel = first; panel < end; panel++)
                    engine->multiply(groups, a + 4 * panel * tile_rows * groups, scratch.block + 4 * n * groups, c_at(r, panel, n0 + n), p->c_stride, panel_rows(r, panel, panel + 1), (int)loram_min(tile_columns, columns - n), accumulate);
            // The strip that was just finished is still in cache.
            if (last) finish(r, first, end, n0, columns, rank_groups, scratch.right);
        }
    }
}

/// Without an inner dimension the product is zero.
static void begin(const loram_matrix_product *p) {
    if (p->start) return copy_start(p, 0, p->m, 0, p->n);
    for (long i = 0; i < p->m; i++) memset(p->c + i * p->c_stride, 0, sizeof(float) * (size_t)p->n);
}

loram_status loram_run_product(const loram_execution *execution, const loram_matrix_product *product) {
    const loram_engine *engine = &execution->kernels->engine[execution->compute];
    if (product->m == 0 || product->n == 0) return LORAM_OK;
    loram_matrix_product local = *product;
    if (local.low_rank && local.low_rank->rank == 0) local.low_rank = NULL;
    if (local.k == 0) {
        // One block of depth zero would not reach the low-rank term: it becomes the product itself.
        begin(product);
        if (!local.low_rank) return LORAM_OK;
    }
    run r = {0};
    r.product = &local;
    r.engine = engine;
    r.f32 = &execution->kernels->engine[LORAM_COMPUTE_F32];
    r.plan = loram_make_plan(engine, local.m, local.n, local.k, execution->workers);
    if (local.k == 0) {
        r.plan.blocks = 1;
        local.start = local.c;
    }
    // Of several chunks the workspace has the last.
    local.a_packed = local.a_packed && r.plan.chunk == local.m;
    r.limit = bound(engine, local.m, local.n, local.k);
    size_t needed = lay_out(&r, engine, r.f32, r.limit, local.k, local.low_rank ? local.low_rank->rank : 0, execution->workers, NULL);
    uintptr_t base = ((uintptr_t)execution->workspace + 63) & ~(uintptr_t)63;
    if (!execution->workspace || base - (uintptr_t)execution->workspace + needed > execution->workspace_bytes) return LORAM_SMALL_WORKSPACE;
    lay_out(&r, engine, r.f32, r.limit, local.k, local.low_rank ? local.low_rank->rank : 0, execution->workers, (char *)base);
    for (r.first_row = 0; r.first_row < local.m; r.first_row += r.plan.chunk) {
        r.rows = loram_min(r.plan.chunk, local.m - r.first_row);
        r.panels = loram_ceil(r.rows, r.plan.panel_rows);
        if (!local.a_packed || local.low_rank) loram_run(execution, loram_ceil(r.panels, PACKING_PANELS), pack_a, &r);
        loram_run(execution, loram_ceil(r.panels, r.plan.task_panels) * loram_ceil(local.n, r.plan.task_columns), compute_tile, &r);
    }
    return LORAM_OK;
}
