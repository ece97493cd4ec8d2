// The portable kernel set: plain C on tiles of 4 x 8 that compilers turn into 128-bit vectors. Its bf16 engine keeps values that were
// rounded to bf16 in f32. It is the reference that the other sets are checked against, and what unknown CPUs run.
#include "portable.h"

enum { ROWS = 4, COLUMNS = 8 };

static void multiply(long groups, const void *a, const void *b, float *c, long c_stride, int rows, int columns, int accumulate) {
    const float *left = a, *right = b;
    float sum[ROWS][COLUMNS] = {{0}};
    for (long g = 0; g < groups; g++, left += ROWS, right += COLUMNS)
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < COLUMNS; j++) sum[i][j] += left[i] * right[j];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            float *out = c + i * c_stride + j;
            *out = accumulate ? *out + sum[i][j] : sum[i][j];
        }
}

static inline float maybe_round(float value, int rounded) { return rounded ? loram_f32_rounded_to_bf16(value) : value; }

static inline void pack_rows_as(float *out, const float *a, long a_stride, int rows, long k, float scale, int rounded) {
    for (long p = 0; p < k; p++)
        for (int i = 0; i < ROWS; i++) out[p * ROWS + i] = i < rows ? maybe_round(a[i * a_stride + p] * scale, rounded) : 0;
}

static void pack_rows(void *panel, const float *a, long a_stride, int rows, long k, float scale) { pack_rows_as(panel, a, a_stride, rows, k, scale, 0); }
static void pack_rows_rounded(void *panel, const float *a, long a_stride, int rows, long k, float scale) { pack_rows_as(panel, a, a_stride, rows, k, scale, 1); }

static inline void pack_columns_as(float *out, const float *a, long a_stride, int rows, long k, int rounded) {
    for (long p = 0; p < k; p++)
        for (int i = 0; i < ROWS; i++) out[p * ROWS + i] = i < rows ? maybe_round(a[p * a_stride + i], rounded) : 0;
}

static void pack_columns(void *panel, const float *a, long a_stride, int rows, long k) { pack_columns_as(panel, a, a_stride, rows, k, 0); }
static void pack_columns_rounded(void *panel, const float *a, long a_stride, int rows, long k) { pack_columns_as(panel, a, a_stride, rows, k, 1); }

static void decode_nf4(const loram_weight *weight, long row, long column, long count, float *out, int rounded) {
    long total = weight->rows * weight->columns, first = row * weight->columns + column;
    long block = first / LORAM_NF4_BLOCK, last = (first + count - 1) / LORAM_NF4_BLOCK;
    uint8_t spare[32];
    out -= first - block * LORAM_NF4_BLOCK;
    for (; block <= last; block++, out += LORAM_NF4_BLOCK) {
        const uint8_t *codes = loram_block_codes(weight, block, total, spare);
        float scale = loram_block_scale(&weight->scales, block), table[16];
        for (int i = 0; i < 16; i++) table[i] = maybe_round(loram_nf4_codes[i] * scale, rounded);
        for (int i = 0; i < 32; i++) {
            out[2 * i] = table[codes[i] >> 4];
            out[2 * i + 1] = table[codes[i] & 15];
        }
    }
}

static inline void decode_as(const loram_weight *weight, long row, long column, long count, float *out, int rounded) {
    if (count <= 0) return;
    if (weight->element == LORAM_ELEMENT_NF4) {
        decode_nf4(weight, row, column, count, out, rounded);
        return;
    }
    long first = row * weight->row_stride + column;
    if (weight->element == LORAM_ELEMENT_F32) {
        memcpy(out, (const char *)weight->data + 4 * first, (size_t)(4 * count));
        if (rounded)
            for (long i = 0; i < count; i++) out[i] = loram_f32_rounded_to_bf16(out[i]);
        return;
    }
    const char *in = (const char *)weight->data + 2 * first;
    for (long i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, in + 2 * i, sizeof bits);
        if (weight->element == LORAM_ELEMENT_F16) {
            out[i] = maybe_round(loram_f16_to_f32(bits), rounded);
        } else {
            uint32_t wide = (uint32_t)bits << 16;
            memcpy(out + i, &wide, sizeof wide);
        }
    }
}

static void decode(const loram_weight *weight, long row, long column, long count, void *out) { decode_as(weight, row, column, count, out, 0); }
static void decode_rounded(const loram_weight *weight, long row, long column, long count, void *out) { decode_as(weight, row, column, count, out, 1); }

static void transpose(void *panel, const void *decoded, long stride, int columns, long k) {
    const float *in = decoded;
    float *out = panel;
    for (long p = 0; p < k; p++)
        for (int j = 0; j < COLUMNS; j++) out[p * COLUMNS + j] = j < columns ? in[j * stride + p] : 0;
}

static void interleave(void *block, long panel_stride, const void *decoded, long stride, int present, long panels) {
    (void)stride;
    (void)present;
    for (long p = 0; p < panels; p++) memcpy((float *)block + p * panel_stride, (const float *)decoded + COLUMNS * p, COLUMNS * sizeof(float));
}

static inline void convert_as(float *out, const float *x, long count, float scale, int rounded) {
    for (long i = 0; i < count; i++) out[i] = maybe_round(x[i] * scale, rounded);
    for (long i = count; i < loram_round_up(count, LORAM_DOT_STEP); i++) out[i] = 0;
}

static void convert(void *out, const float *x, long count, float scale) { convert_as(out, x, count, scale, 0); }
static void convert_rounded(void *out, const float *x, long count, float scale) { convert_as(out, x, count, scale, 1); }

/// lanes[LORAM_LANES] += w * x over k elements, element i into lane i mod LORAM_LANES.
static void dot_one(float *lanes, const float *w, const float *x, long k, int accumulate) {
    float sum[LORAM_LANES];
    for (int l = 0; l < LORAM_LANES; l++) sum[l] = accumulate ? lanes[l] : 0;
    long i = 0;
    for (; i + LORAM_LANES <= k; i += LORAM_LANES)
        for (int l = 0; l < LORAM_LANES; l++) sum[l] += w[i + l] * x[i + l];
    for (int l = 0; i + l < k; l++) sum[l] += w[i + l] * x[i + l];
    memcpy(lanes, sum, sizeof sum);
}

static void dot(float *lanes, const void *w, long w_stride, int rows, const void *x, long x_stride, int tokens, long steps, int accumulate) {
    for (int r = 0; r < rows; r++)
        for (int t = 0; t < tokens; t++)
            dot_one(lanes + (r * tokens + t) * LORAM_LANES, (const float *)w + r * w_stride, (const float *)x + t * x_stride, steps * LORAM_DOT_STEP, accumulate);
}

static void sum_lanes(float *out, const float *lanes, long count) {
    for (long i = 0; i < count; i++, lanes += LORAM_LANES) {
        float sum[LORAM_LANES / 2];
        for (int l = 0; l < LORAM_LANES / 2; l++) sum[l] = lanes[l] + lanes[l + LORAM_LANES / 2];
        for (int width = LORAM_LANES / 4; width; width /= 2)
            for (int l = 0; l < width; l++) sum[l] += sum[l + width];
        out[i] = sum[0];
    }
}

static void project(float *lanes, const float *x, long x_stride, int tokens, const float *a, long a_stride, int ranks, long k, int accumulate) {
    for (int t = 0; t < tokens; t++)
        for (int r = 0; r < ranks; r++) dot_one(lanes + (t * ranks + r) * LORAM_LANES, a + r * a_stride, x + t * x_stride, k, accumulate);
}

static void outer(float *sums, long sums_stride, const float *g, long g_stride, int ranks, const float *v, long v_stride, long width, long tokens) {
    for (long t = 0; t < tokens; t++)
        for (int r = 0; r < ranks; r++) {
            float factor = g[t * g_stride + r];
            const float *row = v + t * v_stride;
            float *sum = sums + r * sums_stride;
            for (long i = 0; i < width; i++) sum[i] += factor * row[i];
        }
}

static int available(void) { return 1; }

static double peak(loram_compute compute, long rounds) {
    (void)compute;
    // 8 independent vectors of 4 multiply-adds.
    float sum[32], factor = 0.5f;
    for (int i = 0; i < 32; i++) sum[i] = (float)i;
    for (long n = 0; n < rounds; n++) {
        for (int i = 0; i < 32; i++) sum[i] = sum[i] * factor + 0.25f;
        // Otherwise the compiler would run one lane after the other to the end.
        __asm__ volatile("" : "+m"(sum));
    }
    volatile float keep = sum[0];
    (void)keep;
    return 64.0 * (double)rounds;
}

#define ENGINE(SUFFIX)                                                                                                                          \
    {                                                                                                                                         \
        .tile_rows = ROWS, .tile_columns = COLUMNS, .group = 1, .element_bytes = 4, .depth = 512, .width = 256, .strip = 1, .task_rows = 512, .task_columns = 256, .multiply = multiply,          \
        .pack_rows = pack_rows##SUFFIX, .pack_columns = pack_columns##SUFFIX, .decode = decode##SUFFIX, .decode_bf16 = decode_rounded, .transpose = transpose,                 \
        .interleave = interleave, .convert = convert##SUFFIX, .dot = dot, .sum_lanes = sum_lanes                                                                       \
    }

const loram_kernels loram_kernels_portable = {
    .name = "portable",
    .available = available,
    .engine = {ENGINE(), ENGINE(_rounded)},
    .thin = {.tokens = 4, .ranks = 4, .project = project, .outer = outer},
    .scales = loram_portable_scales,
    .quantize_blocks = loram_portable_quantize_blocks,
    .narrow = loram_portable_narrow,
    .peak = peak,
};
