#include "loram_kernels.h"
#include "vector.h"

#define sigmoid16(x) (1.0f / (1.0f + v16_exp(-(x))))

LORAM_CLONES
void loram_swiglu_forward(float *h, const float *gate, const float *up, long count) {
    long i = 0;
    for (; i + 16 <= count; i += 16) {
        v16 g = v16_load(gate + i);
        v16_store(h + i, g * sigmoid16(g) * v16_load(up + i));
    }
    if (i < count) {
        v16 g = v16_load_part(gate + i, count - i);
        v16_store_part(h + i, g * sigmoid16(g) * v16_load_part(up + i, count - i), count - i);
    }
}

LORAM_CLONES
void loram_swiglu_backward(float *dgate, float *dup, const float *dh, const float *gate, const float *up, long count) {
    long i = 0;
    for (; i + 16 <= count; i += 16) {
        v16 g = v16_load(gate + i), u = v16_load(up + i), t = v16_load(dh + i);
        v16 s = sigmoid16(g);
        v16_store(dgate + i, t * u * s * (1.0f + g * (1.0f - s)));
        v16_store(dup + i, t * g * s);
    }
    if (i < count) {
        long n = count - i;
        v16 g = v16_load_part(gate + i, n), u = v16_load_part(up + i, n), t = v16_load_part(dh + i, n);
        v16 s = sigmoid16(g);
        v16_store_part(dgate + i, t * u * s * (1.0f + g * (1.0f - s)), n);
        v16_store_part(dup + i, t * g * s, n);
    }
}
