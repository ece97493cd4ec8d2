// The rule by which one value becomes an NF4 code.
#ifndef LORAM_NF4_INTERNAL_H
#define LORAM_NF4_INTERNAL_H

#include "gemm_internal.h"

/// fl((code[i] + code[i + 1]) / 2).
extern const float loram_nf4_midpoints[15];

/// Bits of |value|; as integers they compare as the magnitudes do, with NaN above everything.
static inline uint32_t loram_magnitude_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffff;
}

/// max(absmax, 1e-38) of a block whose largest magnitude has these bits; NaN stays NaN.
static inline float loram_clamped_scale(uint32_t magnitude) {
    float value;
    memcpy(&value, &magnitude, sizeof value);
    return value < 1e-38f ? 1e-38f : value;
}

/// Number of midpoints below a normalised value: the upper code above a midpoint, the lower at it; NaN counts all 15.
static inline unsigned loram_nf4_code(float value) {
    unsigned code = 0;
    for (int i = 0; i < 15; i++) code += !(loram_nf4_midpoints[i] >= value);
    return code;
}

#endif
