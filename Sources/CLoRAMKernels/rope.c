#include "loram_kernels.h"
#include "vector.h"

LORAM_CLONES
void loram_rope(float *x, long rows, long heads, long d, const int32_t *positions, const float *cosine, const float *sine, float sign, int rounds) {
    long half = d / 2;
    for (long r = 0; r < rows; r++) {
        const float *c = cosine + positions[r] * half, *s = sine + positions[r] * half;
        for (long h = 0; h < heads; h++, x += d) {
            float *restrict a = x, *restrict b = x + half;
            for (long i = 0; i < half; i++) {
                float u = a[i], w = b[i], t = s[i] * sign;
                a[i] = u * c[i] - w * t;
                b[i] = w * c[i] + u * t;
            }
            // Still in the first-level cache.
            if (rounds) loram_round_bf16(x, 1, d, d);
        }
    }
}
