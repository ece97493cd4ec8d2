#include "loram_kernels.h"
#include "vector.h"

#include <math.h>

LORAM_CLONES
void loram_rmsnorm_forward(float *y, float *rstd, const float *x, const float *g, long rows, long D, float eps) {
    long whole = D / 16 * 16, rest = D - whole;
    for (long r = 0; r < rows; r++, x += D, y += D) {
        v16 sum = v16_set(0);
        for (long j = 0; j < whole; j += 16) {
            v16 a = v16_load(x + j);
            sum += a * a;
        }
        if (rest) {
            v16 a = v16_load_part(x + whole, rest);
            sum += a * a;
        }
        float scale = 1.0f / sqrtf(v16_sum(sum) / (float)D + eps);
        rstd[r] = scale;
        v16 s = v16_set(scale);
        for (long j = 0; j < whole; j += 16) v16_store(y + j, v16_load(x + j) * s * v16_load(g + j));
        for (long j = whole; j < D; j++) y[j] = x[j] * scale * g[j];
    }
}

LORAM_CLONES
void loram_rmsnorm_backward(float *dx, const float *dy, const float *x, const float *g, const float *rstd, long rows, long D) {
    long whole = D / 16 * 16, rest = D - whole;
    for (long r = 0; r < rows; r++, x += D, dy += D, dx += D) {
        v16 sum = v16_set(0);
        for (long j = 0; j < whole; j += 16) sum += v16_load(dy + j) * v16_load(g + j) * v16_load(x + j);
        if (rest) sum += v16_load_part(dy + whole, rest) * v16_load_part(g + whole, rest) * v16_load_part(x + whole, rest);
        float s = rstd[r];
        float c = v16_sum(sum) * s * s * s / (float)D;
        v16 s16 = v16_set(s), c16 = v16_set(c);
        for (long j = 0; j < whole; j += 16)
            v16_store(dx + j, v16_load(dx + j) + (v16_load(dy + j) * v16_load(g + j) * s16 - v16_load(x + j) * c16));
        for (long j = whole; j < D; j++) dx[j] += dy[j] * g[j] * s - x[j] * c;
    }
}

LORAM_CLONES
void loram_rmsnorm_weight_gradient(float *dg, const float *dy, const float *x, const float *rstd, long rows, long D, long from, long to) {
    for (long r = 0; r < rows; r++) {
        const float *a = dy + r * D, *b = x + r * D;
        float s = rstd[r];
        for (long j = from; j < to; j++) dg[j] += a[j] * b[j] * s;
    }
}
