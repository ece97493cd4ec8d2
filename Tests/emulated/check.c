// Every kernel set against the portable one: its own self-check; products of few tokens and more with NF4 weights of many shapes, in which a
// token's bits must not depend on the tokens beside it; thin products; attention.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loram_attention.h"
#include "loram_gemm.h"
#include "loram_kernels.h"

enum { MOST_TOKENS = 20, FEW_TOKENS = 16, RANK = 5 };

/// outputs, inputs: whole blocks and not, one chunk and several, rows that start in mid-block and in mid-byte.
static const long shapes[][2] = {{64, 64}, {45, 131}, {70, 1433}, {130, 4300}, {33, 10035}, {3, 7}, {1, 64}, {129, 192}, {300, 96}, {40, 4096}};

typedef struct setting {
    loram_compute compute;
    loram_weight weight;
    float *x, *left, *right;
} setting;

static float random_value(void) { return (float)(rand() % 20001 - 10000) * 1e-4f; }

static float *random_values(long count) {
    float *values = malloc((size_t)count * sizeof(float));
    for (long i = 0; i < count; i++) values[i] = random_value();
    return values;
}

static void forward(const loram_kernels *kernels, const setting *s, float *y, long first, long tokens, int adapted) {
    const long outputs = s->weight.rows, inputs = s->weight.columns;
    size_t bytes = loram_linear_workspace(kernels, s->compute, LORAM_FORWARD, tokens, outputs, inputs, RANK, 2);
    loram_execution execution = {kernels, s->compute, NULL, NULL, 2, malloc(bytes), bytes};
    loram_low_rank term = {s->left + first * RANK, RANK, s->right, RANK, RANK, 0.5f};
    if (loram_linear_forward(&execution, y, outputs, NULL, 0, s->x + first * inputs, inputs, &s->weight, tokens, adapted ? &term : NULL) != LORAM_OK) exit(70);
    free(execution.workspace);
}

/// Counts what is wrong for 1 ... MOST_TOKENS tokens.
static int compare(const loram_kernels *kernels, const setting *s) {
    const long outputs = s->weight.rows, inputs = s->weight.columns;
    float *got = malloc(sizeof(float) * MOST_TOKENS * (size_t)outputs), *expected = malloc(sizeof(float) * MOST_TOKENS * (size_t)outputs), *alone = malloc(sizeof(float) * (size_t)outputs);
    int faults = 0;
    for (long tokens = 1; tokens <= MOST_TOKENS; tokens++)
        for (int adapted = 0; adapted < 2; adapted++) {
            forward(kernels, s, got, 0, tokens, adapted);
            forward(loram_kernels_named("portable"), s, expected, 0, tokens, adapted);
            // A sum of products of values up to 1 in another order: its size grows with the root of their number.
            const double tolerance = 3e-6 * (1 + 0.6 * sqrt((double)inputs));
            int wrong = 0, other = 0;
            for (long i = 0; i < tokens * outputs; i++) wrong += !(fabs((double)got[i] - (double)expected[i]) <= tolerance);
            if (tokens <= FEW_TOKENS) {
                forward(kernels, s, alone, tokens - 1, 1, adapted);
                other = memcmp(alone, got + (tokens - 1) * outputs, sizeof(float) * (size_t)outputs) != 0;
            }
            if (wrong || other) printf("compute %d, %ld x %ld, %ld tokens, %s: %d values wrong%s\n", s->compute, outputs, inputs, tokens, adapted ? "adapter" : "no adapter", wrong, other ? ", bits depend on other tokens" : "");
            faults += wrong + other;
        }
    free(got);
    free(expected);
    free(alone);
    return faults;
}

/// 1 and a line when two results differ by more than `tolerance`.
static int differ(const char *what, const float *got, const float *expected, long count, double tolerance) {
    double most = 0;
    for (long i = 0; i < count; i++) {
        double difference = fabs((double)got[i] - (double)expected[i]);
        if (!(difference <= most)) most = difference;
    }
    if (most <= tolerance) return 0;
    printf("%s: differs by %g, expected at most %g\n", what, most, tolerance);
    return 1;
}

/// LoRA's products: h, and the gradients of A and B.
static int check_thin(const loram_kernels *kernels) {
    enum { TOKENS = 75, WIDTH = 333, THIN = 11 };
    float *x = random_values(TOKENS * WIDTH), *a = random_values(THIN * WIDTH), *h = random_values(TOKENS * THIN);
    float *results[2][3];
    for (int set = 0; set < 2; set++) {
        const loram_kernels *used = set ? kernels : loram_kernels_named("portable");
        size_t bytes = loram_thin_workspace(used, TOKENS, WIDTH, THIN, 1);
        loram_execution execution = {used, LORAM_COMPUTE_F32, NULL, NULL, 1, malloc(bytes), bytes};
        float **out = results[set];
        out[0] = calloc(TOKENS * THIN, sizeof(float));
        out[1] = calloc(THIN * WIDTH, sizeof(float));
        out[2] = calloc(THIN * WIDTH, sizeof(float));
        loram_thin_factor factor = {a, WIDTH, THIN, out[0], THIN, 0.5f};
        if (loram_thin_project(&execution, x, WIDTH, TOKENS, WIDTH, &factor, 1, NULL) != LORAM_OK) exit(70);
        if (loram_thin_gradient_a(&execution, out[1], WIDTH, h, THIN, x, WIDTH, TOKENS, WIDTH, THIN, 0.5f, NULL) != LORAM_OK) exit(70);
        if (loram_thin_gradient_b(&execution, out[2], THIN, x, WIDTH, h, THIN, TOKENS, WIDTH, THIN, 0.5f) != LORAM_OK) exit(70);
        free(execution.workspace);
    }
    int faults = differ("thin product", results[1][0], results[0][0], TOKENS * THIN, 1e-4) + differ("gradient of A", results[1][1], results[0][1], THIN * WIDTH, 1e-4) + differ("gradient of B", results[1][2], results[0][2], THIN * WIDTH, 1e-4);
    for (int set = 0; set < 2; set++)
        for (int i = 0; i < 3; i++) free(results[set][i]);
    free(x);
    free(a);
    free(h);
    return faults;
}

/// Two query heads on one key-value head, three blocks of queries, forward and backward.
static int check_attention(const loram_kernels *kernels, loram_compute compute, long d) {
    enum { TOKENS = 300, HEADS = 2 };
    const long wide = TOKENS * HEADS * d, narrow = TOKENS * d;
    float *q = random_values(wide), *k = random_values(narrow), *v = random_values(narrow), *d_o = random_values(wide);
    float *o[2], *lse[2], *dq[2], *dk[2], *dv[2];
    for (int set = 0; set < 2; set++) {
        const loram_kernels *used = set ? kernels : loram_kernels_named("portable");
        loram_attention attention = {used, compute, d, 0.125f, HEADS * d, d, HEADS};
        void *workspace = aligned_alloc(64, (loram_attention_workspace(used, compute, d) + 63) / 64 * 64);
        o[set] = calloc((size_t)wide, 4), lse[set] = calloc(TOKENS * HEADS, 4), dq[set] = calloc((size_t)wide, 4), dk[set] = calloc((size_t)narrow, 4), dv[set] = calloc((size_t)narrow, 4);
        for (int head = 0; head < HEADS; head++)
            for (long first = 0; first < TOKENS; first += LORAM_ATTENTION_BLOCK) {
                long count = TOKENS - first < LORAM_ATTENTION_BLOCK ? TOKENS - first : LORAM_ATTENTION_BLOCK, at = (first * HEADS + head) * d;
                loram_attention_forward(&attention, workspace, o[set] + at, lse[set] + first * HEADS + head, q + at, k, v, first, count);
            }
        float *delta = calloc(TOKENS * HEADS, 4);
        // Both backward passes start from the portable set's results.
        for (long row = 0; row < TOKENS * HEADS; row++)
            for (long i = 0; i < d; i++) delta[row] += o[0][row * d + i] * d_o[row * d + i];
        loram_attention_backward(&attention, workspace, dq[set], dk[set], dv[set], d_o, delta, lse[0], q, k, v, TOKENS, HEADS);
        free(delta);
        free(workspace);
    }
    // In bf16 a sum in another order can round a probability to its neighbour.
    const double tolerance = compute == LORAM_COMPUTE_F32 ? 2e-5 : 2e-2;
    int faults = differ("attention", o[1], o[0], wide, tolerance) + differ("lse", lse[1], lse[0], TOKENS * HEADS, tolerance);
    faults += differ("dq", dq[1], dq[0], wide, tolerance) + differ("dk", dk[1], dk[0], narrow, 4 * tolerance) + differ("dv", dv[1], dv[0], narrow, 4 * tolerance);
    for (int set = 0; set < 2; set++) free(o[set]), free(lse[set]), free(dq[set]), free(dk[set]), free(dv[set]);
    free(q), free(k), free(v), free(d_o);
    return faults;
}

int main(void) {
    static const char *const sets[] = {"avx2", "avx512", "avx512-bf16"};
    int faults = 0;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const loram_kernels *kernels = loram_kernels_named(sets[i]);
        if (!kernels) {
            printf("%s: expected this kernel set, found none\n", sets[i]);
            return 1;
        }
        for (loram_compute compute = LORAM_COMPUTE_F32; compute <= LORAM_COMPUTE_BF16; compute++) {
            double error = loram_kernels_check(kernels, compute), tolerance = loram_kernels_check_tolerance(compute);
            printf("%s, compute %d: self-check %.3g of %.3g\n", sets[i], compute, error, tolerance);
            faults += !(error <= tolerance);
            faults += check_attention(kernels, compute, 64) + check_attention(kernels, compute, 128) + check_attention(kernels, compute, 36);
        }
        faults += check_thin(kernels);
        for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++) {
            const long outputs = shapes[j][0], inputs = shapes[j][1], count = outputs * inputs, blocks = (count + 63) / 64;
            float *weights = random_values(count), *scales = malloc(sizeof(float) * (size_t)blocks);
            uint8_t *codes = malloc((size_t)(count + 1) / 2);
            loram_nf4_quantize("portable", weights, LORAM_ELEMENT_F32, count, codes, scales);
            setting s = {.x = random_values(MOST_TOKENS * inputs), .left = random_values(MOST_TOKENS * RANK), .right = random_values(outputs * RANK)};
            for (int rounds = 0; rounds < 2; rounds++)
                for (s.compute = LORAM_COMPUTE_F32; s.compute <= LORAM_COMPUTE_BF16; s.compute++) {
                    s.weight = (loram_weight){LORAM_ELEMENT_NF4, outputs, inputs, codes, inputs, {scales, NULL, NULL, 0, rounds}};
                    faults += compare(kernels, &s);
                }
            free(weights);
            free(scales);
            free(codes);
            free(s.x);
            free(s.left);
            free(s.right);
        }
    }
    printf(faults ? "%d faults\n" : "all right\n", faults);
    return faults != 0;
}
