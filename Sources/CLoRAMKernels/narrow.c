#include "loram_kernels.h"
#include "vector.h"

typedef uint32_t u16v __attribute__((vector_size(64)));
typedef uint16_t s16v __attribute__((vector_size(32)));

LORAM_INLINE uint16_t narrow(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

LORAM_CLONES
void loram_narrow_bf16(uint16_t *y, const float *x, long count) {
    long i = 0;
    for (; i + 16 <= count; i += 16) {
        u16v bits;
        memcpy(&bits, x + i, sizeof bits);
        u16v rounded = bits + (0x7fffu + (bits >> 16 & 1u));
        u16v nan = (u16v)((bits & 0x7fffffffu) > 0x7f800000u);
        s16v out = __builtin_convertvector(((rounded & ~nan) | ((bits | 0x400000u) & nan)) >> 16, s16v);
        memcpy(y + i, &out, sizeof out);
    }
    for (; i < count; i++) y[i] = narrow(x[i]);
}

LORAM_CLONES
void loram_round_bf16(float *x, long rows, long columns, long stride) {
    for (long r = 0; r < rows; r++, x += stride) {
        long i = 0;
        for (; i + 16 <= columns; i += 16) {
            u16v bits;
            memcpy(&bits, x + i, sizeof bits);
            u16v nan = (u16v)((bits & 0x7fffffffu) > 0x7f800000u);
            u16v rounded = bits + (0x7fffu + (bits >> 16 & 1u));
            bits = ((rounded & ~nan) | ((bits | 0x400000u) & nan)) & 0xffff0000u;
            memcpy(x + i, &bits, sizeof bits);
        }
        for (; i < columns; i++) {
            uint32_t bits = (uint32_t)narrow(x[i]) << 16;
            memcpy(x + i, &bits, sizeof bits);
        }
    }
}

LORAM_CLONES
void loram_widen_bf16(float *y, const uint16_t *x, long count) {
    for (long i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(y + i, &bits, sizeof bits);
    }
}
