#include "loram_kernels.h"
#include "vector.h"

#include <math.h>

LORAM_CLONES
void loram_cross_entropy(float *logits, double *loss, const int32_t *labels, long rows, long V, int gradient) {
    long whole = V / 16 * 16, rest = V - whole;
    for (long r = 0; r < rows; r++, logits += V) {
        v16 top = v16_set(-INFINITY);
        for (long j = 0; j < whole; j += 16) top = v16_max(top, v16_load(logits + j));
        float highest = v16_max_lane(top);
        for (long j = whole; j < V; j++) highest = logits[j] > highest ? logits[j] : highest;
        float target = logits[labels[r]];
        v16 shift = v16_set(highest), sum = v16_set(0);
        for (long j = 0; j < whole; j += 16) {
            v16 e = v16_exp(v16_load(logits + j) - shift);
            if (gradient) v16_store(logits + j, e);
            sum += e;
        }
        if (rest) {
            float part[16] = {0};
            v16 e = v16_exp(v16_load_part(logits + whole, rest) - shift);
            v16_store_part(part, e, rest);
            if (gradient) v16_store_part(logits + whole, e, rest);
            sum += v16_load(part);
        }
        float total = v16_sum(sum);
        loss[r] = log((double)total) + (double)highest - (double)target;
        if (!gradient) continue;
        float inverse = 1.0f / total;
        for (long j = 0; j < V; j++) logits[j] *= inverse;
        logits[labels[r]] -= 1.0f;
    }
}
