#include "loram_cached_attention.h"

#include <math.h>

#include "vector.h"

typedef uint32_t u16v __attribute__((vector_size(64)));
typedef uint16_t s16v __attribute__((vector_size(32)));

enum {
    /// Tokens whose values stay in the first-level cache while all heads pass by.
    BLOCK = 64,
};

LORAM_INLINE long round_up(long count) { return (count + 15) / 16 * 16; }

// Sixteen values of the cache from element `at`, and the first n (1...16) of them, the rest zero.
#define load_f32(base, at) v16_load((const float *)(base) + (at))
#define part_f32(base, at, n) v16_load_part((const float *)(base) + (at), n)
#define load_bf16(base, at) ({ s16v b_; __builtin_memcpy(&b_, (const uint16_t *)(base) + (at), sizeof b_); (v16)(__builtin_convertvector(b_, u16v) << 16); })
#define part_bf16(base, at, n) ({ s16v b_ = {}; __builtin_memcpy(&b_, (const uint16_t *)(base) + (at), (size_t)(n) * 2); (v16)(__builtin_convertvector(b_, u16v) << 16); })

// Two vectors of partial sums become one of half as many lanes each; after four such steps sixteen vectors are their sixteen sums, in order.
#define LOW8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define LOW4 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define HIGH4 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#define LOW2 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29
#define HIGH2 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31
#define LOW1 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define HIGH1 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define halve8(a, b) (__builtin_shufflevector(a, b, LOW8) + __builtin_shufflevector(a, b, HIGH8))
#define halve4(a, b) (__builtin_shufflevector(a, b, LOW4) + __builtin_shufflevector(a, b, HIGH4))
#define halve2(a, b) (__builtin_shufflevector(a, b, LOW2) + __builtin_shufflevector(a, b, HIGH2))
#define halve1(a, b) (__builtin_shufflevector(a, b, LOW1) + __builtin_shufflevector(a, b, HIGH1))

// scores[T] = q k^T, sixteen tokens at a time; in the last sixteen, the first token stands for those that are not there.
#define SCORES(load, part)                                                                                                                    \
    for (long first = 0; first < tokens; first += 16) {                                                                                       \
        long present = tokens - first < 16 ? tokens - first : 16;                                                                             \
        for (long g = 0; g < group; g++) {                                                                                                    \
            const float *query = q + g * d;                                                                                                   \
            v16 s[16];                                                                                                                        \
            for (long t = 0; t < 16; t++) {                                                                                                   \
                long at = (first + (t < present ? t : 0)) * d, i = 0;                                                                         \
                v16 sum = v16_set(0);                                                                                                         \
                for (; i + 16 <= d; i += 16) sum += load(head->keys, at + i) * v16_load(query + i);                                           \
                if (i < d) sum += part(head->keys, at + i, d - i) * v16_load_part(query + i, d - i);                                          \
                s[t] = sum;                                                                                                                   \
            }                                                                                                                                 \
            for (int t = 0; t < 8; t++) s[t] = halve8(s[2 * t], s[2 * t + 1]);                                                                \
            for (int t = 0; t < 4; t++) s[t] = halve4(s[2 * t], s[2 * t + 1]);                                                                \
            for (int t = 0; t < 2; t++) s[t] = halve2(s[2 * t], s[2 * t + 1]);                                                                \
            v16_store(scores + g * stride + first, halve1(s[0], s[1]));                                                                       \
        }                                                                                                                                     \
    }

// o[G, d] = p v, block by block of tokens; 64 columns at a time stand in registers.
#define VALUES(load, part)                                                                                                                    \
    for (long first = 0; first < tokens; first += BLOCK) {                                                                                    \
        long end = first + BLOCK < tokens ? first + BLOCK : tokens;                                                                           \
        for (long g = 0; g < group; g++) {                                                                                                    \
            const float *p = scores + g * stride;                                                                                             \
            float *out = o + g * d;                                                                                                           \
            long i = 0;                                                                                                                       \
            for (; i + 64 <= d; i += 64) {                                                                                                    \
                v16 a = v16_load(out + i), b = v16_load(out + i + 16), c = v16_load(out + i + 32), e = v16_load(out + i + 48);                \
                for (long t = first; t < end; t++) {                                                                                          \
                    v16 weight = v16_set(p[t]);                                                                                               \
                    a += weight * load(head->values, t * d + i);                                                                              \
                    b += weight * load(head->values, t * d + i + 16);                                                                         \
                    c += weight * load(head->values, t * d + i + 32);                                                                         \
                    e += weight * load(head->values, t * d + i + 48);                                                                         \
                }                                                                                                                             \
                v16_store(out + i, a);                                                                                                        \
                v16_store(out + i + 16, b);                                                                                                   \
                v16_store(out + i + 32, c);                                                                                                   \
                v16_store(out + i + 48, e);                                                                                                   \
            }                                                                                                                                 \
            for (; i < d; i += 16) {                                                                                                          \
                long n = d - i < 16 ? d - i : 16;                                                                                             \
                v16 a = v16_load_part(out + i, n);                                                                                            \
                for (long t = first; t < end; t++) a += v16_set(p[t]) * part(head->values, t * d + i, n);                                     \
                v16_store_part(out + i, a, n);                                                                                                \
            }                                                                                                                                 \
        }                                                                                                                                     \
    }

LORAM_INLINE void scores_f32(const loram_cached_head *head, const float *q, long group, float *scores, long stride) {
    const long tokens = head->tokens, d = head->head_dim;
    SCORES(load_f32, part_f32)
}

LORAM_INLINE void scores_bf16(const loram_cached_head *head, const float *q, long group, float *scores, long stride) {
    const long tokens = head->tokens, d = head->head_dim;
    SCORES(load_bf16, part_bf16)
}

LORAM_INLINE void values_f32(const loram_cached_head *head, float *o, long group, const float *scores, long stride) {
    const long tokens = head->tokens, d = head->head_dim;
    VALUES(load_f32, part_f32)
}

LORAM_INLINE void values_bf16(const loram_cached_head *head, float *o, long group, const float *scores, long stride) {
    const long tokens = head->tokens, d = head->head_dim;
    VALUES(load_bf16, part_bf16)
}

/// s[0 ..< count] becomes the softmax of scale * s. Room for whole vectors stands behind it.
LORAM_INLINE void softmax(float *s, long count, float scale) {
    long whole = round_up(count);
    for (long j = count; j < whole; j++) s[j] = -INFINITY;
    v16 top = v16_set(-INFINITY), scale16 = v16_set(scale), sum = v16_set(0);
    for (long j = 0; j < whole; j += 16) {
        v16 a = v16_load(s + j) * scale16;
        v16_store(s + j, a);
        top = v16_max(top, a);
    }
    v16 shift = v16_set(v16_max_lane(top));
    for (long j = 0; j < whole; j += 16) {
        v16 p = v16_exp(v16_load(s + j) - shift);
        v16_store(s + j, p);
        sum += p;
    }
    v16 inverse = v16_set(1.0f / v16_sum(sum));
    for (long j = 0; j < whole; j += 16) v16_store(s + j, v16_load(s + j) * inverse);
}

LORAM_CLONES
void loram_attention_cached(const loram_cached_head *head, float *o, const float *q, long group, float scale, float *scores) {
    long stride = round_up(head->tokens);
    if (head->is_bf16) scores_bf16(head, q, group, scores, stride);
    else scores_f32(head, q, group, scores, stride);
    for (long g = 0; g < group; g++) softmax(scores + g * stride, head->tokens, scale);
    memset(o, 0, (size_t)(group * head->head_dim) * sizeof(float));
    if (head->is_bf16) values_bf16(head, o, group, scores, stride);
    else values_f32(head, o, group, scores, stride);
}
