// The self-check of a kernel set: small products of every kind against the portable set.
#include <stdlib.h>

#include "gemm_internal.h"

// Sizes that leave a rest in every tile, straddle NF4 blocks and start rows in mid-byte.
enum { TOKENS = 37, OUTPUTS = 45, INPUTS = 131, RANK = 5, COUNT = OUTPUTS * INPUTS, BLOCKS = COUNT / LORAM_NF4_BLOCK + 1 };

typedef struct arena {
    float x[TOKENS * INPUTS], dy[TOKENS * OUTPUTS], w[COUNT], left[TOKENS * RANK], right[(OUTPUTS > INPUTS ? OUTPUTS : INPUTS) * RANK];
    /// Results, the portable set's, and the sum of magnitudes of each element.
    float got[TOKENS * INPUTS > COUNT ? TOKENS * INPUTS : COUNT], expected[TOKENS * INPUTS > COUNT ? TOKENS * INPUTS : COUNT];
    double magnitude[TOKENS * INPUTS > COUNT ? TOKENS * INPUTS : COUNT];
    uint16_t halves[COUNT];
    uint8_t codes[COUNT / 2 + 1], absmax[BLOCKS];
    float scales[BLOCKS], nested[BLOCKS / LORAM_NF4_NESTED_BLOCK + 1], decoded[COUNT];
} arena;

static void fill(float *values, long count, uint64_t *state) {
    for (long i = 0; i < count; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)((double)(*state >> 40) / (1 << 23) - 1);
    }
}

static loram_weight make_weight(arena *a, loram_element element) {
    loram_weight weight = {element, OUTPUTS, INPUTS, a->w, INPUTS, {0}};
    if (element == LORAM_ELEMENT_NF4) {
        loram_nf4_quantize("portable", a->w, LORAM_ELEMENT_F32, COUNT, a->codes, a->scales);
        float offset = loram_nf4_mean(a->scales, BLOCKS, 1);
        loram_nf4_quantize_scales(a->scales, BLOCKS, offset, LORAM_NF4_NEAREST, a->absmax, a->nested);
        weight.data = a->codes;
        weight.scales = (loram_nf4_scales){a->absmax, a->nested, loram_nf4_dynamic_map(), offset, 0};
    } else if (element != LORAM_ELEMENT_F32) {
        for (long i = 0; i < COUNT; i++) a->halves[i] = element == LORAM_ELEMENT_F16 ? loram_f32_to_f16(a->w[i]) : loram_f32_to_bf16(a->w[i]);
        weight.data = a->halves;
    }
    return weight;
}

/// Largest |got - expected| / magnitude; NaN counts as infinite.
static double worst(const arena *a, long count) {
    double most = 0;
    for (long i = 0; i < count; i++) {
        double error = a->got[i] - a->expected[i];
        if (error < 0) error = -error;
        error /= a->magnitude[i];
        if (!(error <= most)) most = error <= most ? most : error == error ? error : 1e300;
    }
    return most;
}

static double size_of(float value) { return value < 0 ? -(double)value : (double)value; }

static void measure(arena *a, loram_product product, long tokens) {
    long m = product == LORAM_WEIGHT_GRADIENT ? OUTPUTS : tokens, n = product == LORAM_FORWARD ? OUTPUTS : INPUTS;
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j++) {
            double sum = 0;
            if (product == LORAM_FORWARD)
                for (long k = 0; k < INPUTS; k++) sum += size_of(a->x[i * INPUTS + k]) * size_of(a->decoded[j * INPUTS + k]);
            else if (product == LORAM_INPUT_GRADIENT)
                for (long k = 0; k < OUTPUTS; k++) sum += size_of(a->dy[i * OUTPUTS + k]) * size_of(a->decoded[k * INPUTS + j]);
            else
                for (long k = 0; k < tokens; k++) sum += size_of(a->dy[k * OUTPUTS + i]) * size_of(a->x[k * INPUTS + j]);
            if (product == LORAM_FORWARD)
                for (long k = 0; k < RANK; k++) sum += size_of(a->left[i * RANK + k]) * size_of(a->right[j * RANK + k]);
            else if (product == LORAM_INPUT_GRADIENT)
                for (long k = 0; k < RANK; k++) sum += size_of(a->left[i * RANK + k]) * size_of(a->right[k * INPUTS + j]);
            a->magnitude[i * n + j] = sum + 1e-30;
        }
}

static int run(const loram_kernels *kernels, loram_compute compute, loram_product product, const arena *a, const loram_weight *weight, long tokens, float *result, void *workspace, size_t bytes) {
    loram_execution e = {kernels, compute, NULL, NULL, 1, workspace, bytes};
    loram_low_rank low = {a->left, RANK, a->right, product == LORAM_FORWARD ? RANK : INPUTS, RANK, 1};
    if (product == LORAM_FORWARD) return loram_linear_forward(&e, result, OUTPUTS, NULL, 0, a->x, INPUTS, weight, tokens, &low);
    if (product == LORAM_INPUT_GRADIENT) return loram_linear_input_gradient(&e, result, INPUTS, 0, a->dy, OUTPUTS, weight, tokens, &low);
    return loram_linear_weight_gradient(&e, result, INPUTS, 0, a->dy, OUTPUTS, a->x, INPUTS, tokens, OUTPUTS, INPUTS);
}

/// 1 when quantizing and narrowing, which are exact, give the portable set's bits.
static int exact(const loram_kernels *kernels, arena *a) {
    uint8_t codes[sizeof a->codes];
    float scales[BLOCKS];
    loram_nf4_quantize(kernels->name, a->w, LORAM_ELEMENT_F32, COUNT, codes, scales);
    if (memcmp(codes, a->codes, sizeof codes) || memcmp(scales, a->scales, sizeof scales)) return 0;
    for (loram_element element = LORAM_ELEMENT_BF16; element <= LORAM_ELEMENT_F16; element++) {
        uint16_t got[COUNT], expected[COUNT];
        kernels->narrow(got, element, a->w, COUNT);
        loram_kernels_portable.narrow(expected, element, a->w, COUNT);
        if (memcmp(got, expected, sizeof got)) return 0;
    }
    return 1;
}

/// Each takes another way through the kernels: in registers, from decoded rows, in tiles.
enum { TOKEN_COUNTS = 3 };
static const long token_counts[TOKEN_COUNTS] = {3, 13, TOKENS};

double loram_kernels_check_tolerance(loram_compute compute) {
    (void)compute;
    // Two f32 sums of at most 136 terms in different orders differ by a few roundings of partial sums; products of bf16 are exact in f32.
    return 4e-6;
}

double loram_kernels_check(const loram_kernels *kernels, loram_compute compute) {
    arena *a = malloc(sizeof *a);
    size_t bytes = 0;
    for (loram_product product = LORAM_FORWARD; product <= LORAM_WEIGHT_GRADIENT; product++)
        for (int i = 0; i < TOKEN_COUNTS; i++)
            for (int set = 0; set < 2; set++) {
                size_t size = loram_linear_workspace(set ? kernels : &loram_kernels_portable, compute, product, token_counts[i], OUTPUTS, INPUTS, RANK, 1);
                bytes = size > bytes ? size : bytes;
            }
    void *workspace = malloc(bytes);
    double most = -1;
    if (a && workspace) {
        uint64_t state = 1;
        most = 0;
        fill(a->x, TOKENS * INPUTS, &state);
        fill(a->dy, TOKENS * OUTPUTS, &state);
        fill(a->w, COUNT, &state);
        fill(a->left, TOKENS * RANK, &state);
        fill(a->right, (long)(sizeof a->right / sizeof a->right[0]), &state);
        for (loram_element element = LORAM_ELEMENT_F32; element <= LORAM_ELEMENT_NF4; element++) {
            loram_weight weight = make_weight(a, element);
            for (long row = 0; row < OUTPUTS; row++) {
                float decoded[INPUTS + 2 * LORAM_MARGIN];
                loram_kernels_portable.engine[LORAM_COMPUTE_F32].decode(&weight, row, 0, INPUTS, decoded + LORAM_MARGIN);
                memcpy(a->decoded + row * INPUTS, decoded + LORAM_MARGIN, sizeof(float) * INPUTS);
            }
            for (loram_product product = LORAM_FORWARD; product <= LORAM_WEIGHT_GRADIENT; product++)
                for (int i = 0; i < TOKEN_COUNTS; i++) {
                    const long tokens = token_counts[i];
                    measure(a, product, tokens);
                    int status = run(kernels, compute, product, a, &weight, tokens, a->got, workspace, bytes) | run(&loram_kernels_portable, compute, product, a, &weight, tokens, a->expected, workspace, bytes);
                    long count = product == LORAM_FORWARD ? tokens * OUTPUTS : product == LORAM_INPUT_GRADIENT ? tokens * INPUTS : COUNT;
                    double error = status ? 1e300 : worst(a, count);
                    if (error > most) most = error;
                }
        }
        if (!exact(kernels, a)) most = 1e300;
    }
    free(workspace);
    free(a);
    return most;
}
