// Sixteen-lane vectors by compiler extension: one source, compiled for each instruction set by LORAM_CLONES.
// Lanes and their order are fixed, so a sum has the same order on every machine; only fused rounding may differ.
#ifndef LORAM_VECTOR_H
#define LORAM_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)
// Without min_vector_width clang splits every 64-byte vector in two on AVX-512.
#define LORAM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), min_vector_width(512)))
#else
#define LORAM_CLONES
#endif
#define LORAM_INLINE static inline __attribute__((always_inline))

#pragma clang diagnostic ignored "-Wpsabi"

typedef float v16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef double d8 __attribute__((vector_size(64)));

// Macros, not functions: a function that takes or returns a 64-byte vector has another calling convention on each instruction set,
// which the compiler rejects even where it would be inlined.
#define v16_set(x) ((v16){} + (float)(x))
#define v16_load(p) ({ v16 v_; __builtin_memcpy(&v_, (p), sizeof v_); v_; })
#define v16_store(p, v) ({ v16 v_ = (v); __builtin_memcpy((p), &v_, sizeof v_); (void)0; })
// The first `count` (1...15) floats, the rest zero.
#define v16_load_part(p, count) ({ v16 v_ = {}; __builtin_memcpy(&v_, (p), (size_t)(count) * sizeof(float)); v_; })
#define v16_store_part(p, v, count) ({ v16 v_ = (v); __builtin_memcpy((p), &v_, (size_t)(count) * sizeof(float)); (void)0; })
#define v16_max(a, b) ({ v16 a_ = (a), b_ = (b); i16 greater_ = a_ > b_; (v16)(((i16)a_ & greater_) | ((i16)b_ & ~greater_)); })

// Pairwise, lane i with lane i + 8, then + 4, + 2, + 1.
#define v16_sum(v) ({ \
    v16 v_ = (v); \
    float a_[16]; \
    __builtin_memcpy(a_, &v_, sizeof a_); \
    for (int width_ = 8; width_ > 0; width_ /= 2) \
        for (int i_ = 0; i_ < width_; i_++) a_[i_] += a_[i_ + width_]; \
    a_[0]; })

#define v16_max_lane(v) ({ \
    v16 v_ = (v); \
    float a_[16]; \
    __builtin_memcpy(a_, &v_, sizeof a_); \
    float m_ = a_[0]; \
    for (int i_ = 1; i_ < 16; i_++) m_ = a_[i_] > m_ ? a_[i_] : m_; \
    m_; })

// e^x: x = n ln 2 + r with |r| <= ln 2 / 2, a degree-6 polynomial in r, then n into the exponent. Relative error below 2e-7
// for x in [-87, 88]; below that 0, above it the value at 88. NaN stays NaN.
#define v16_exp(argument) ({ \
    v16 x_ = (argument); \
    i16 under_ = x_ < -87.0f, over_ = x_ > 88.0f, nan_ = x_ != x_; \
    v16 z_ = (v16)(((i16)x_ & ~over_) | ((i16)v16_set(88.0f) & over_)); \
    z_ = (v16)(((i16)z_ & ~under_) | ((i16)v16_set(-87.0f) & under_)); \
    v16 shifted_ = z_ * 1.44269504088896341f + 12582912.0f; \
    v16 n_ = shifted_ - 12582912.0f; \
    v16 r_ = z_ - n_ * 0.693145751953125f - n_ * 1.428606765330187e-6f; \
    v16 p_ = r_ * (1.0f / 720) + (1.0f / 120); \
    p_ = p_ * r_ + (1.0f / 24); \
    p_ = p_ * r_ + (1.0f / 6); \
    p_ = p_ * r_ + 0.5f; \
    p_ = p_ * r_ + 1.0f; \
    p_ = p_ * r_ + 1.0f; \
    i16 exponent_ = ((i16)shifted_ - (i16)v16_set(12582912.0f)) << 23; \
    v16 e_ = (v16)((i16)p_ + exponent_); \
    (v16)(((i16)e_ & ~under_ & ~nan_) | ((i16)x_ & nan_)); })

#endif
