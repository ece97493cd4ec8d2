#include "loram_kernels.h"
#include "vector.h"

LORAM_CLONES
void loram_embedding_backward(float *table, const float *dx, const int32_t *ids, long rows, long D, long from, long to) {
    for (long r = 0; r < rows; r++) {
        float *row = table + ids[r] * D;
        const float *source = dx + r * D;
        for (long j = from; j < to; j++) row[j] += source[j];
    }
}
