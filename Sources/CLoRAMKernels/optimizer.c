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
void loram_add(float *restrict y, const float *restrict x, long count) {
    for (long i = 0; i < count; i++) y[i] += x[i];
}

LORAM_CLONES
void loram_sum(float *y, const float *a, const float *b, long count) {
    for (long i = 0; i < count; i++) y[i] = a[i] + b[i];
}

LORAM_CLONES
void loram_scale(float *y, float s, long count) {
    for (long i = 0; i < count; i++) y[i] *= s;
}

LORAM_CLONES
double loram_sum_of_squares(const float *x, long count) {
    d8 sum = {0};
    long i = 0;
    for (; i + 8 <= count; i += 8) {
        d8 a = {x[i], x[i + 1], x[i + 2], x[i + 3], x[i + 4], x[i + 5], x[i + 6], x[i + 7]};
        sum += a * a;
    }
    double total = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    for (; i < count; i++) total += (double)x[i] * (double)x[i];
    return total;
}

LORAM_CLONES
int loram_all_finite(const float *x, long count) {
    uint32_t bad = 0;
    for (long i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bad |= (uint32_t)((bits & 0x7f800000u) == 0x7f800000u);
    }
    return bad == 0;
}
