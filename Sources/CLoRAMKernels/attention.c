#include "loram_kernels.h"
#include "vector.h"

#include <math.h>

LORAM_INLINE long visible_columns(long diagonal, long row, long columns) {
    long visible = diagonal + row + 1;
    return visible < 0 ? 0 : visible > columns ? columns : visible;
}

LORAM_CLONES
void loram_softmax_tile(float *s, long rows, long columns, long ld, float scale, long diagonal, float *m, float *l, float *o, long d, long o_ld) {
    v16 scale16 = v16_set(scale);
    for (long r = 0; r < rows; r++, s += ld, o += o_ld) {
        long visible = visible_columns(diagonal, r, columns);
        if (visible == 0) {
            memset(s, 0, (size_t)columns * sizeof(float));
            continue;
        }
        v16 top = v16_set(-INFINITY);
        long j = 0;
        for (; j + 16 <= visible; j += 16) {
            v16 a = v16_load(s + j) * scale16;
            v16_store(s + j, a);
            top = v16_max(top, a);
        }
        float highest = v16_max_lane(top);
        for (; j < visible; j++) {
            s[j] *= scale;
            if (s[j] > highest) highest = s[j];
        }
        float old = m[r], now = highest > old ? highest : old;
        v16 shift = v16_set(now), sum = v16_set(0);
        for (j = 0; j + 16 <= visible; j += 16) {
            v16 p = v16_exp(v16_load(s + j) - shift);
            v16_store(s + j, p);
            sum += p;
        }
        if (j < visible) {
            long n = visible - j;
            v16 p = v16_exp(v16_load_part(s + j, n) - shift);
            v16_store_part(s + j, p, n);
            sum += v16_load_part(s + j, n);
        }
        if (visible < columns) memset(s + visible, 0, (size_t)(columns - visible) * sizeof(float));
        if (now > old) {
            float keep = old == -INFINITY ? 0 : expf(old - now);
            l[r] *= keep;
            for (long i = 0; i < d; i++) o[i] *= keep;
            m[r] = now;
        }
        l[r] += v16_sum(sum);
    }
}

LORAM_CLONES
void loram_softmax_finish(float *o, float *lse, long lse_stride, const float *m, const float *l, long rows, long d, long o_ld) {
    for (long r = 0; r < rows; r++, o += o_ld) {
        float inverse = 1.0f / l[r];
        for (long i = 0; i < d; i++) o[i] *= inverse;
        lse[r * lse_stride] = m[r] + logf(l[r]);
    }
}

LORAM_CLONES
void loram_probability_tile(float *s, long rows, long columns, long ld, float scale, long diagonal, const float *lse, long lse_stride) {
    v16 scale16 = v16_set(scale);
    for (long r = 0; r < rows; r++, s += ld) {
        long visible = visible_columns(diagonal, r, columns), j = 0;
        v16 shift = v16_set(lse[r * lse_stride]);
        for (; j + 16 <= visible; j += 16) v16_store(s + j, v16_exp(v16_load(s + j) * scale16 - shift));
        if (j < visible) v16_store_part(s + j, v16_exp(v16_load_part(s + j, visible - j) * scale16 - shift), visible - j);
        if (visible < columns) memset(s + visible, 0, (size_t)(columns - visible) * sizeof(float));
    }
}

LORAM_CLONES
void loram_score_gradient_tile(float *dp, const float *p, long rows, long columns, long ld, float scale, long diagonal, const float *delta, long delta_stride) {
    for (long r = 0; r < rows; r++, dp += ld, p += ld) {
        float shift = delta[r * delta_stride];
        long visible = visible_columns(diagonal, r, columns);
        for (long j = 0; j < visible; j++) dp[j] = p[j] * (dp[j] - shift) * scale;
        if (visible < columns) memset(dp + visible, 0, (size_t)(columns - visible) * sizeof(float));
    }
}

LORAM_CLONES
void loram_attention_delta(float *delta, const float *o, const float *d_o, long rows, long heads, long d) {
    for (long i = 0; i < rows * heads; i++, o += d, d_o += d) {
        v16 sum = v16_set(0);
        long j = 0;
        for (; j + 16 <= d; j += 16) sum += v16_load(o + j) * v16_load(d_o + j);
        if (j < d) sum += v16_load_part(o + j, d - j) * v16_load_part(d_o + j, d - j);
        delta[i] = v16_sum(sum);
    }
}
