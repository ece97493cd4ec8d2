// Causal attention inside one task of a pool, blocked with a running softmax: no T x T matrix exists (Dao et al., arXiv 2205.14135).
//
// Legend: T tokens of a segment, d head size. One call works on one head (forward) or on one key-value head with the query heads
// that read it (backward). Its products run on the matrix kernels of a set in the set's compute type; the softmax, its statistics
// and all sums are f32. What a call computes depends on its arguments alone.
#ifndef LORAM_ATTENTION_H
#define LORAM_ATTENTION_H

#include <stddef.h>

#include "loram_gemm.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Rows of queries and of keys that are taken together.
enum { LORAM_ATTENTION_BLOCK = 128 };

typedef struct loram_attention {
    const loram_kernels *kernels;
    loram_compute compute;
    /// d, and what scores are multiplied by.
    long head_dim;
    float scale;
    /// Elements between tokens: of q, o and their gradients; of k, v and theirs; of lse and delta.
    long query_stride, key_stride, statistic_stride;
} loram_attention;

/// Bytes of scratch, aligned to 64, that each worker needs for either pass.
size_t loram_attention_workspace(const loram_kernels *kernels, loram_compute compute, long head_dim);

/// o[count, d] = softmax(scale q k^T) v and lse[count] = the log of each row's denominator, for the queries at positions first ..<
/// first + count of a segment (count <= LORAM_ATTENTION_BLOCK). In BF16 o is rounded to bf16. q, o and lse point at the first of these queries, k and v at the
/// segment's first token.
void loram_attention_forward(const loram_attention *attention, void *workspace, float *o, float *lse, const float *q, const float *k, const float *v, long first, long count);

/// dq, dk and dv (overwritten) of a segment of `tokens`, for `group` neighbouring query heads that read one key-value head. Pointers
/// are at the segment's first token and the first of the heads; delta is the row sum of o * d_o.
void loram_attention_backward(const loram_attention *attention, void *workspace, float *dq, float *dk, float *dv, const float *d_o, const float *delta, const float *lse, const float *q, const float *k, const float *v, long tokens, long group);

#ifdef __cplusplus
}
#endif
#endif
