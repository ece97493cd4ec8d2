// Attention of one new token over the keys and values that a cache keeps of the tokens before it: what generation does for each token.
//
// Legend: T tokens of the sequence so far, d head size, G query heads that read one key-value head. The cache holds f32 or bf16 values, one
// key-value head's tokens one behind the other; all arithmetic is f32. Keys and values are read once for all G heads.
#ifndef LORAM_CACHED_ATTENTION_H
#define LORAM_CACHED_ATTENTION_H

#ifdef __cplusplus
extern "C" {
#endif

/// One key-value head of one sequence: keys and values [T, d], contiguous.
typedef struct loram_cached_head {
    const void *keys, *values;
    /// 1: bf16, else f32.
    int is_bf16;
    long tokens, head_dim;
} loram_cached_head;

/// o[G, d] = softmax(scale q k^T) v for q[G, d], both contiguous. `scores` is scratch of G * (T rounded up to 16) floats. A head's result
/// depends on its q and the cache alone: sums over d run in 16 lanes, sums over T in the order of the tokens.
void loram_attention_cached(const loram_cached_head *head, float *o, const float *q, long group, float scale, float *scores);

#ifdef __cplusplus
}
#endif
#endif
