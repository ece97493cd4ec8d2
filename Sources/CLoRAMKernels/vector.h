// Sixteen-lane vectors by compiler extension: one source, compiled for each instruction set by LORAM_CLONES.
// Lanes and their order are fixed, so a sum has the same order on every machine; only fused rounding may differ.
#ifndef LORAM_VECTOR_H
#define LORAM_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)
#define LORAM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LORAM_CLONES
#endif
#define LORAM_INLINE static inline __attribute__((always_inline))

#pragma clang diagnostic ignored "-Wpsabi"

typedef float v16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef uint32_t u16v __attribute__((vector_size(64)));
typedef double d8 __attribute__((vector_size(64)));

LORAM_INLINE v16 v16_load(const float *p) {
    v16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

LORAM_INLINE void v16_store(float *p, v16 v) { memcpy(p, &v, sizeof v); }

LORAM_INLINE v16 v16_set(float x) { return (v16){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }

// The first `count` (1...15) floats, the rest zero.
LORAM_INLINE v16 v16_load_part(const float *p, long count) {
    v16 v = v16_set(0);
    memcpy(&v, p, (size_t)count * sizeof(float));
    return v;
}

LORAM_INLINE void v16_store_part(float *p, v16 v, long count) { memcpy(p, &v, (size_t)count * sizeof(float)); }

LORAM_INLINE float v16_sum(v16 v) {
    float a[16];
    memcpy(a, &v, sizeof a);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++) a[i] += a[i + width];
    return a[0];
}

LORAM_INLINE v16 v16_max(v16 a, v16 b) {
    i16 greater = a > b;
    return (v16)(((i16)a & greater) | ((i16)b & ~greater));
}

LORAM_INLINE float v16_max_lane(v16 v) {
    float a[16];
    memcpy(a, &v, sizeof a);
    float m = a[0];
    for (int i = 1; i < 16; i++) m = a[i] > m ? a[i] : m;
    return m;
}

// e^x: x = n ln 2 + r with |r| <= ln 2 / 2, a degree-6 polynomial in r, then n into the exponent. Relative error below 2e-7
// for x in [-87, 88]; below that 0, above it the value at 88. NaN stays NaN.
LORAM_INLINE v16 v16_exp(v16 x) {
    const v16 low = v16_set(-87.0f), high = v16_set(88.0f), magic = v16_set(12582912.0f);
    i16 under = x < low;
    i16 over = x > high;
    v16 z = (v16)(((i16)x & ~over) | ((i16)high & over));
    z = (v16)(((i16)z & ~under) | ((i16)low & under));
    v16 shifted = z * v16_set(1.44269504088896341f) + magic;
    v16 n = shifted - magic;
    v16 r = z - n * v16_set(0.693145751953125f) - n * v16_set(1.428606765330187e-6f);
    v16 p = v16_set(1.0f / 720);
    p = p * r + v16_set(1.0f / 120);
    p = p * r + v16_set(1.0f / 24);
    p = p * r + v16_set(1.0f / 6);
    p = p * r + v16_set(0.5f);
    p = p * r + v16_set(1.0f);
    p = p * r + v16_set(1.0f);
    i16 exponent = ((i16)shifted - (i16)magic) << 23;
    v16 result = (v16)((i16)p + exponent);
    return (v16)((i16)result & ~under);
}

#endif
