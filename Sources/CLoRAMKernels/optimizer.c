#include "loram_kernels.h"
#include "vector.h"

#include <math.h>

LORAM_CLONES
void loram_adamw(float *p, float *m, float *v, const float *g, long count, float gradient_scale, float learning_rate, float beta1, float beta2, float eps, float weight_decay, float bias1, float bias2_sqrt) {
    float decay = 1.0f - learning_rate * weight_decay, step = learning_rate / bias1;
    float rest1 = 1.0f - beta1, rest2 = 1.0f - beta2;
    for (long i = 0; i < count; i++) {
        float gradient = g[i] * gradient_scale;
        float first = m[i] + (gradient - m[i]) * rest1;
        float second = v[i] * beta2 + gradient * gradient * rest2;
        m[i] = first;
        v[i] = second;
        p[i] = p[i] * decay - step * first / (sqrtf(second) / bias2_sqrt + eps);
    }
}

LORAM_CLONES
void loram_sum(float *y, const float *a, const float *b, long count) {
    for (long i = 0; i < count; i++) y[i] = a[i] + b[i];
}
