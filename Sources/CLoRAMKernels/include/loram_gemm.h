// Matrix products of a linear layer whose weight is stored in f32, bf16, f16 or NF4, and the thin products of LoRA.
//
// Legend: N tokens, O outputs, I inputs, r LoRA rank. Activations and gradients are f32, row-major with a row stride in elements;
// weights W[O, I] may have any alignment. The outputs of one call alias none of its inputs.
//
// A product is cut into tasks by its shapes alone. Every element of a result is one sum over the inner dimension whose order
// depends on the kernel set, the compute type and the shapes, never on the number of threads, the order of tasks or the alignment of
// buffers: same call, same bits.
//
// Compute types. F32: f32 products and sums (fused where the CPU has FMA). BF16: both operands are rounded to bf16 (to nearest even)
// while they are packed, products are exact, sums are f32. Kernel sets with vdpbf16ps ("avx512bf16") add the two products of
// neighbouring k's one after the other, rounding to nearest even, and treat denormal inputs and results as zero; the others multiply
// the rounded values with the f32 kernels. W is decoded block by block in the packing step; a decoded W never exists as a whole.
#ifndef LORAM_GEMM_H
#define LORAM_GEMM_H

#include <stddef.h>
#include <stdint.h>

#include "loram_nf4.h"

#ifdef __cplusplus
extern "C" {
#endif

// --- Kernel sets ---------------------------------------------------------------------------------------------------------------

/// Micro-kernels, packing and decoding for one kind of CPU.
typedef struct loram_kernels loram_kernels;

typedef enum loram_compute { LORAM_COMPUTE_F32 = 0, LORAM_COMPUTE_BF16 = 1 } loram_compute;

/// Number of sets in this build, best first; the last is "portable".
int loram_kernels_count(void);
/// Set `index` of 0 ..< loram_kernels_count(), else NULL.
const loram_kernels *loram_kernels_at(int index);
/// "avx512-bf16", "avx512", "avx2" or "portable".
const char *loram_kernels_name(const loram_kernels *kernels);
/// The set of that name, NULL when there is none or this CPU cannot run it.
const loram_kernels *loram_kernels_named(const char *name);
/// The first available set.
const loram_kernels *loram_kernels_best(void);
/// Runs small products of every kind (three products, four weight types, small and large token counts, low-rank term) and compares
/// them with the portable set. Returns the largest error relative to sum |a| |b| of an element; a correct set stays below
/// loram_kernels_check_tolerance. Allocates its buffers; returns a negative number when it cannot.
double loram_kernels_check(const loram_kernels *kernels, loram_compute compute);
double loram_kernels_check_tolerance(loram_compute compute);

// --- Execution -----------------------------------------------------------------------------------------------------------------

typedef void (*loram_task)(void *context, long index, int worker);
/// Runs task(context, i, worker) for every i of 0 ..< count in any order, worker in 0 ..< workers, and returns when all are done.
typedef void (*loram_parallel_for)(void *pool, long count, loram_task task, void *context);

/// Where and with what a product runs. Nothing is allocated: `workspace` holds packed activations and the workers' scratch.
typedef struct loram_execution {
    const loram_kernels *kernels;
    loram_compute compute;
    /// NULL runs the tasks one after the other on the calling thread.
    loram_parallel_for parallel_for;
    void *pool;
    int workers;
    void *workspace;
    size_t workspace_bytes;
} loram_execution;

typedef enum loram_status {
    LORAM_OK = 0,
    /// A negative size, an unknown element or compute type, a missing pointer, a rank above LORAM_MAX_RANK.
    LORAM_BAD_ARGUMENT = 1,
    /// The workspace is smaller than the size query says.
    LORAM_SMALL_WORKSPACE = 2,
} loram_status;

enum {
    LORAM_MAX_RANK = 65536,
    /// Ranks of several factors up to which one reading of x for all is worth their sums' room.
    LORAM_RANKS_TOGETHER = 256,
    LORAM_SMALL_TOKENS = 16,
};

// --- Linear layer --------------------------------------------------------------------------------------------------------------

/// W[rows, columns] = W[O, I].
typedef struct loram_weight {
    loram_element element;
    long rows, columns;
    /// First element (NF4: the codes).
    const void *data;
    /// Elements between rows; ignored for NF4, which is always contiguous.
    long row_stride;
    loram_nf4_scales scales;
} loram_weight;

/// A product left[N, rank] * right, times scale, added in f32 to each tile of a result while it is in cache.
/// Forward: right = B[O, rank]. Input gradient: right = A[rank, I].
typedef struct loram_low_rank {
    const float *left;
    long left_stride;
    const float *right;
    long right_stride;
    long rank;
    float scale;
} loram_low_rank;

typedef enum loram_product { LORAM_FORWARD = 0, LORAM_INPUT_GRADIENT = 1, LORAM_WEIGHT_GRADIENT = 2 } loram_product;

/// Bytes of workspace that are enough for a product of these sizes, of fewer tokens and of a smaller rank; `rank` 0
/// without low-rank term.
size_t loram_linear_workspace(const loram_kernels *kernels, loram_compute compute, loram_product product, long tokens, long outputs, long inputs, long rank, int workers);

/// y[N, O] = [start[N, O] +] x[N, I] W[O, I]^T [+ scale * h[N, r] B[O, r]^T]. `start`, of y's row stride, is NULL, y itself, or apart from
/// y: what a residual connection adds. `rounds`: to bf16 values when it is complete, for results that are kept in bf16. Up to
/// LORAM_SMALL_TOKENS tokens take a path that streams W once.
loram_status loram_linear_forward(const loram_execution *execution, float *y, long y_stride, const float *start, int rounds, const float *x, long x_stride, const loram_weight *weight, long tokens, const loram_low_rank *low_rank);

/// The same, when the workspace was last used by a forward product of the same x and as many tokens: x lies in it ready for use.
loram_status loram_linear_forward_again(const loram_execution *execution, float *y, long y_stride, const float *start, int rounds, const float *x, long x_stride, const loram_weight *weight, long tokens, const loram_low_rank *low_rank);

/// dx[N, I] (= or +=) dy[N, O] W[O, I] [+ scale * dh[N, r] A[r, I]].
loram_status loram_linear_input_gradient(const loram_execution *execution, float *dx, long dx_stride, int accumulate, const float *dy, long dy_stride, const loram_weight *weight, long tokens, const loram_low_rank *low_rank);

/// dW[O, I] (= or +=) dy[N, O]^T x[N, I].
loram_status loram_linear_weight_gradient(const loram_execution *execution, float *dw, long dw_stride, int accumulate, const float *dy, long dy_stride, const float *x, long x_stride, long tokens, long outputs, long inputs);

// --- Thin products of LoRA, in f32 ------------------------------------------------------------------------------------------------

/// One of several low-rank factors that share a reading of x: h[N, rank] (row stride h_stride) = scale * x[N, I] a[rank, I]^T.
typedef struct loram_thin_factor {
    const float *a;
    long a_stride;
    long rank;
    float *h;
    long h_stride;
    float scale;
} loram_thin_factor;

/// Dropout of a wide operand while it is read: see loram_dropout.
typedef struct loram_dropout_mask {
    /// One a token.
    const uint64_t *row_keys;
    uint64_t key;
    uint32_t threshold;
    float scale;
} loram_dropout_mask;

/// h_j = scale_j * dropout(x) A_j^T for each factor; `dropout` NULL: x as it is.
loram_status loram_thin_project(const loram_execution *execution, const float *x, long x_stride, long tokens, long inputs, const loram_thin_factor *factors, int count, const loram_dropout_mask *dropout);

/// dh[N, r] = scale * dy[N, O] B[O, r].
loram_status loram_thin_project_transposed(const loram_execution *execution, float *dh, long dh_stride, const float *dy, long dy_stride, const float *b, long b_stride, long tokens, long outputs, long rank, float scale);

/// dA[r, I] += scale * dh[N, r]^T dropout(x)[N, I]; `dropout` NULL: x as it is.
loram_status loram_thin_gradient_a(const loram_execution *execution, float *da, long da_stride, const float *dh, long dh_stride, const float *x, long x_stride, long tokens, long inputs, long rank, float scale, const loram_dropout_mask *dropout);

/// dB[O, r] += scale * dy[N, O]^T h[N, r].
loram_status loram_thin_gradient_b(const loram_execution *execution, float *db, long db_stride, const float *dy, long dy_stride, const float *h, long h_stride, long tokens, long outputs, long rank, float scale);

/// dx[N, I] += dropout(dh[N, r] A[r, I]): what dropout leaves of the low-rank term of an input gradient.
loram_status loram_thin_add(const loram_execution *execution, float *dx, long dx_stride, const float *dh, long dh_stride, const float *a, long a_stride, long tokens, long inputs, long rank, const loram_dropout_mask *dropout);

/// Bytes of workspace that is enough for any thin product of these sizes: `width` = I or O, `rank` = r or the sum of the factors' ranks.
size_t loram_thin_workspace(const loram_kernels *kernels, long tokens, long width, long rank, int workers);

// --- What the machine can do ------------------------------------------------------------------------------------------------------

/// GFLOP/s of one core in a loop of independent multiply-adds on registers: f32 FMA at the set's width, or (BF16, set "avx512bf16")
/// vdpbf16ps. Runs for about `seconds`.
double loram_peak_gflops(const loram_kernels *kernels, loram_compute compute, double seconds);
/// Bytes per second copied by memcpy between two buffers of `bytes` each.
double loram_peak_copy(void *target, const void *source, size_t bytes, double seconds);
/// Elements per second that the set decodes from NF4 with double quantization, from L1-resident codes.
double loram_peak_decode(const loram_kernels *kernels, loram_compute compute, double seconds);

#ifdef __cplusplus
}
#endif
#endif
