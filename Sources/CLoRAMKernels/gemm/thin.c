// LoRA's thin products: x A^T, dy B, and the gradients of A and B. All are bound by reading the wide operand once.
#include "product.h"

#include "../include/loram_kernels.h"

enum {
    /// Tokens per task of a projection: a multiple of every number of tokens that a kernel takes.
    PROJECT_TOKENS = 24,
    /// Bytes of factors that stay in the first-level cache while tokens pass by.
    FACTOR_BYTES = 24576,
    SHORTEST_RUN = 128,
    LONGEST_RUN = 2048,
    /// Columns of a gradient per task, and tokens that are taken at a time.
    GRADIENT_COLUMNS = 128,
    GRADIENT_TOKENS = 64,
    /// Rows of the wide operand that are fetched ahead.
    GRADIENT_AHEAD = 16,
    /// Tokens of a task of thin_add, and columns that it makes at a time: the tile stays in the first-level cache.
    ADD_TOKENS = 32,
    ADD_COLUMNS = 128,
};

static int valid(const loram_execution *e) { return e && e->kernels && e->workers >= 1; }

/// The workspace's first 64-byte boundary, NULL when fewer than `needed` bytes follow.
static char *aligned_workspace(const loram_execution *e, size_t needed) {
    uintptr_t base = ((uintptr_t)e->workspace + 63) & ~(uintptr_t)63;
    if (!e->workspace || base - (uintptr_t)e->workspace + needed > e->workspace_bytes) return NULL;
    return (char *)base;
}

enum { MOST_TOKENS = 8 };

/// Room for the tokens of one call of project after dropout.
static size_t dropped_bytes(void) { return (size_t)MOST_TOKENS * LONGEST_RUN * sizeof(float); }
static size_t lanes_bytes(long rank) { return (size_t)PROJECT_TOKENS * (size_t)loram_round_up(rank, 16) * LORAM_LANES * sizeof(float); }
static size_t packed_bytes(long rank, long width) { return (size_t)loram_round_up(rank * width, 16) * sizeof(float); }
static size_t sums_bytes(long rank) { return (size_t)GRADIENT_COLUMNS * (size_t)(loram_round_up(rank, 16) + GRADIENT_TOKENS) * sizeof(float); }

static size_t add_bytes(long rank) { return (size_t)ADD_TOKENS * (size_t)(loram_round_up(rank, 16) + ADD_COLUMNS) * sizeof(float); }

size_t loram_thin_workspace(const loram_kernels *kernels, long tokens, long width, long rank, int workers) {
    (void)kernels;
    (void)tokens;
    size_t project = lanes_bytes(rank) + dropped_bytes(), add = add_bytes(rank), worker = sums_bytes(rank);
    worker = project > worker ? project : worker;
    worker = add > worker ? add : worker;
    return 64 + worker * (size_t)workers + packed_bytes(rank, width);
}

// --- h = scale * x A^T -------------------------------------------------------------------------------------------------------------

typedef struct projection {
    const loram_execution *execution;
    const float *x;
    long x_stride, tokens, inputs;
    const loram_thin_factor *factors;
    int count;
    /// NULL: x as it is.
    const loram_dropout_mask *dropout;
    /// The factors are stored as a[inputs, rank].
    int transposed;
    long rank, run;
    /// The factors' rows one after the other, as [run][rank][length of the run]: rows of large stride would fight for the same cache sets.
    float *packed;
    char *scratch;
} projection;

static void pack_factors(void *context, long index, int worker) {
    (void)worker;
    const projection *p = context;
    long k = index * p->run, length = loram_min(p->run, p->inputs - k);
    float *out = p->packed + k * p->rank;
    for (int f = 0; f < p->count; f++) {
        const loram_thin_factor *factor = &p->factors[f];
        for (long r = 0; r < factor->rank; r++, out += length) {
            if (!p->transposed) memcpy(out, factor->a + r * factor->a_stride + k, (size_t)length * sizeof(float));
            else
                for (long i = 0; i < length; i++) out[i] = factor->a[(k + i) * factor->a_stride + r];
        }
    }
}

static void project_tokens(void *context, long index, int worker) {
    const projection *p = context;
    const loram_thin_kernels *thin = &p->execution->kernels->thin;
    const loram_engine *f32 = &p->execution->kernels->engine[LORAM_COMPUTE_F32];
    float *lanes = (float *)(void *)(p->scratch + (size_t)worker * (lanes_bytes(p->rank) + dropped_bytes()));
    float *dropped = (float *)(void *)((char *)lanes + lanes_bytes(p->rank));
    long from = index * PROJECT_TOKENS, to = loram_min(from + PROJECT_TOKENS, p->tokens);
    if (p->inputs == 0) memset(lanes, 0, lanes_bytes(p->rank));
    for (long k = 0; k < p->inputs; k += p->run) {
        long length = loram_min(p->run, p->inputs - k);
        for (long t = from; t < to; t += thin->tokens) {
            int tokens = (int)loram_min(thin->tokens, to - t);
            float *sums = lanes + (t - from) * p->rank * LORAM_LANES;
            const float *x = p->x + t * p->x_stride + k;
            long x_stride = p->x_stride;
            if (p->dropout) {
                loram_dropout(dropped, length, x, x_stride, tokens, k, length, p->dropout->row_keys + t, p->dropout->key, p->dropout->threshold, p->dropout->scale, 0);
                x = dropped;
                x_stride = length;
            }
            for (long r = 0; r < p->rank; r += thin->ranks) {
                int ranks = (int)loram_min(thin->ranks, p->rank - r);
                thin->project(sums, x, x_stride, tokens, p->packed + k * p->rank + r * length, length, ranks, length, k > 0);
                sums += tokens * ranks * LORAM_LANES;
            }
        }
    }
    for (long t = from; t < to; t += thin->tokens) {
        long tokens = loram_min(thin->tokens, to - t), column = 0;
        const loram_thin_factor *factor = p->factors;
        const float *sums = lanes + (t - from) * p->rank * LORAM_LANES;
        for (long r = 0; r < p->rank; r += thin->ranks) {
            long ranks = loram_min(thin->ranks, p->rank - r);
            float total[64];
            f32->sum_lanes(total, sums, tokens * ranks);
            sums += tokens * ranks * LORAM_LANES;
            for (long j = 0; j < ranks; j++, column++) {
                while (column == factor->rank) {
                    column = 0;
                    factor++;
                }
                for (long i = 0; i < tokens; i++) factor->h[(t + i) * factor->h_stride + column] = factor->scale * total[i * ranks + j];
            }
        }
    }
}

static loram_status project(projection *p) {
    const loram_execution *e = p->execution;
    if (!valid(e) || p->tokens < 0 || p->inputs < 0 || p->count < 0) return LORAM_BAD_ARGUMENT;
    for (int f = 0; f < p->count; f++) {
        if (p->factors[f].rank < 0 || p->factors[f].rank > LORAM_MAX_RANK) return LORAM_BAD_ARGUMENT;
        p->rank += p->factors[f].rank;
    }
    if (p->rank == 0 || p->tokens == 0) return LORAM_OK;
    long run = FACTOR_BYTES / (4 * p->rank) / 64 * 64;
    p->run = run < SHORTEST_RUN ? SHORTEST_RUN : run > LONGEST_RUN ? LONGEST_RUN : run;
    size_t packed = packed_bytes(p->rank, p->inputs);
    char *base = aligned_workspace(e, packed + (lanes_bytes(p->rank) + dropped_bytes()) * (size_t)e->workers);
    if (!base) return LORAM_SMALL_WORKSPACE;
    p->packed = (float *)(void *)base;
    p->scratch = base + packed;
    loram_run(e, loram_ceil(p->inputs, p->run), pack_factors, p);
    loram_run(e, loram_ceil(p->tokens, PROJECT_TOKENS), project_tokens, p);
    return LORAM_OK;
}

loram_status loram_thin_project(const loram_execution *execution, const float *x, long x_stride, long tokens, long inputs, const loram_thin_factor *factors, int count, const loram_dropout_mask *dropout) {
    projection p = {.dropout = dropout, .execution = execution, .x = x, .x_stride = x_stride, .tokens = tokens, .inputs = inputs, .factors = factors, .count = count};
    return project(&p);
}

loram_status loram_thin_project_transposed(const loram_execution *execution, float *dh, long dh_stride, const float *dy, long dy_stride, const float *b, long b_stride, long tokens, long outputs, long rank, float scale) {
    loram_thin_factor factor = {b, b_stride, rank, dh, dh_stride, scale};
    projection p = {.execution = execution, .x = dy, .x_stride = dy_stride, .tokens = tokens, .inputs = outputs, .factors = &factor, .count = 1, .transposed = 1};
    return project(&p);
}

// --- dA += scale * dh^T x, dB += scale * dy^T h ------------------------------------------------------------------------------------------

typedef struct gradient {
    const loram_execution *execution;
    float *out;
    long out_stride;
    /// out is [width, rank] instead of [rank, width].
    int transposed;
    const float *g;
    long g_stride;
    const float *v;
    long v_stride, tokens, width, rank;
    float scale;
    /// Of v; NULL: v as it is.
    const loram_dropout_mask *dropout;
    char *scratch;
} gradient;

static void gradient_columns(void *context, long index, int worker) {
    const gradient *p = context;
    float *sums = (float *)(void *)(p->scratch + (size_t)worker * sums_bytes(p->rank));
    long column = index * GRADIENT_COLUMNS, columns = loram_min(GRADIENT_COLUMNS, p->width - column);
    memset(sums, 0, (size_t)(p->rank * GRADIENT_COLUMNS) * sizeof(float));
    // Rows of a wide operand lie a large stride apart and would fight for the same cache sets: a piece of them is copied together first.
    float *piece = sums + p->rank * GRADIENT_COLUMNS;
    for (long t = 0; t < p->tokens; t += GRADIENT_TOKENS) {
        long tokens = loram_min(GRADIENT_TOKENS, p->tokens - t);
        const float *v = p->v + t * p->v_stride + column;
        if (p->dropout) loram_dropout(piece, GRADIENT_COLUMNS, v, p->v_stride, tokens, column, columns, p->dropout->row_keys + t, p->dropout->key, p->dropout->threshold, p->dropout->scale, 0);
        else for (long i = 0; i < tokens; i++, v += p->v_stride) {
            if (t + i + GRADIENT_AHEAD < p->tokens)
                for (long j = 0; j < columns; j += 16) __builtin_prefetch(v + GRADIENT_AHEAD * p->v_stride + j);
            memcpy(piece + i * GRADIENT_COLUMNS, v, (size_t)columns * sizeof(float));
        }
        p->execution->kernels->thin.outer(sums, GRADIENT_COLUMNS, p->g + t * p->g_stride, p->g_stride, (int)p->rank, piece, GRADIENT_COLUMNS, columns, tokens);
    }
    if (p->transposed) {
        for (long i = 0; i < columns; i++)
            for (long r = 0; r < p->rank; r++) p->out[(column + i) * p->out_stride + r] += p->scale * sums[r * GRADIENT_COLUMNS + i];
    } else {
        for (long r = 0; r < p->rank; r++)
            for (long i = 0; i < columns; i++) p->out[r * p->out_stride + column + i] += p->scale * sums[r * GRADIENT_COLUMNS + i];
    }
}

static loram_status run_gradient(gradient *p) {
    const loram_execution *e = p->execution;
    if (!valid(e) || p->tokens < 0 || p->width < 0 || p->rank < 0 || p->rank > LORAM_MAX_RANK) return LORAM_BAD_ARGUMENT;
    if (p->rank == 0 || p->width == 0) return LORAM_OK;
    p->scratch = aligned_workspace(e, sums_bytes(p->rank) * (size_t)e->workers);
    if (!p->scratch) return LORAM_SMALL_WORKSPACE;
    loram_run(e, loram_ceil(p->width, GRADIENT_COLUMNS), gradient_columns, p);
    return LORAM_OK;
}

loram_status loram_thin_gradient_a(const loram_execution *execution, float *da, long da_stride, const float *dh, long dh_stride, const float *x, long x_stride, long tokens, long inputs, long rank, float scale, const loram_dropout_mask *dropout) {
    gradient p = {execution, da, da_stride, 0, dh, dh_stride, x, x_stride, tokens, inputs, rank, scale, dropout, NULL};
    return run_gradient(&p);
}

loram_status loram_thin_gradient_b(const loram_execution *execution, float *db, long db_stride, const float *dy, long dy_stride, const float *h, long h_stride, long tokens, long outputs, long rank, float scale) {
    gradient p = {execution, db, db_stride, 1, h, h_stride, dy, dy_stride, tokens, outputs, rank, scale, NULL, NULL};
    return run_gradient(&p);
}

// --- dx += dropout(dh A) -------------------------------------------------------------------------------------------------------------------

typedef struct addition {
    const loram_execution *execution;
    float *dx;
    long dx_stride;
    const float *dh;
    long dh_stride;
    const float *a;
    long a_stride, tokens, inputs, rank;
    const loram_dropout_mask *dropout;
    char *scratch;
} addition;

static void add_tokens(void *context, long index, int worker) {
    const addition *p = context;
    float *tile = (float *)(void *)(p->scratch + (size_t)worker * add_bytes(p->rank)), *across = tile + ADD_TOKENS * ADD_COLUMNS;
    long from = index * ADD_TOKENS, tokens = loram_min(ADD_TOKENS, p->tokens - from);
    for (long r = 0; r < p->rank; r++)
        for (long t = 0; t < tokens; t++) across[r * ADD_TOKENS + t] = p->dh[(from + t) * p->dh_stride + r];
    for (long column = 0; column < p->inputs; column += ADD_COLUMNS) {
        long columns = loram_min(ADD_COLUMNS, p->inputs - column);
        memset(tile, 0, (size_t)(tokens * ADD_COLUMNS) * sizeof(float));
        // The sum over ranks is an outer product of the tokens with the columns.
        p->execution->kernels->thin.outer(tile, ADD_COLUMNS, across, ADD_TOKENS, (int)tokens, p->a + column, p->a_stride, columns, p->rank);
        loram_dropout(p->dx + from * p->dx_stride + column, p->dx_stride, tile, ADD_COLUMNS, tokens, column, columns, p->dropout->row_keys + from, p->dropout->key, p->dropout->threshold, p->dropout->scale, 1);
    }
}

loram_status loram_thin_add(const loram_execution *execution, float *dx, long dx_stride, const float *dh, long dh_stride, const float *a, long a_stride, long tokens, long inputs, long rank, const loram_dropout_mask *dropout) {
    if (!valid(execution) || !dropout || tokens < 0 || inputs < 0 || rank < 0 || rank > LORAM_MAX_RANK) return LORAM_BAD_ARGUMENT;
    if (rank == 0 || tokens == 0) return LORAM_OK;
    addition p = {execution, dx, dx_stride, dh, dh_stride, a, a_stride, tokens, inputs, rank, dropout, aligned_workspace(execution, add_bytes(rank) * (size_t)execution->workers)};
    if (!p.scratch) return LORAM_SMALL_WORKSPACE;
    loram_run(execution, loram_ceil(tokens, ADD_TOKENS), add_tokens, &p);
    return LORAM_OK;
}
