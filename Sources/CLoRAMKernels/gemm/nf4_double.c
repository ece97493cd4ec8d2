// Double quantization of NF4 scales: their mean, the nearest entries of the dynamic map, and back.
#include "gemm_internal.h"

// --- torch's mean ------------------------------------------------------------------------------------------------------------------

enum { SUM_LANES = 8, SUM_ROWS = 4, SUM_LEVELS = 4, SUM_GRAIN = 32768 };

static long ceil_log2(long value) {
    long bits = 0;
    while ((1L << bits) < value) bits++;
    return bits;
}

/// Sum over one slice: SUM_ROWS vectors of SUM_LANES lanes run side by side; each keeps SUM_LEVELS partial sums, the lower ones carried
/// upwards every 2^power, 2^2power, ... additions, so that errors grow with the logarithm of the count.
static float cascade_sum(const char *values, long count) {
    if (count < SUM_LANES) {
        // Too short for a vector: SUM_ROWS scalars side by side.
        float sum[SUM_ROWS] = {0};
        for (long i = 0; i < count; i++) sum[i < count / SUM_ROWS * SUM_ROWS ? i % SUM_ROWS : 0] += loram_load_f32(values + 4 * i);
        for (int r = 1; r < SUM_ROWS; r++) sum[0] += sum[r];
        return sum[0];
    }
    long vectors = count / SUM_LANES, size = vectors / SUM_ROWS;
    long power = ceil_log2(size) / SUM_LEVELS;
    if (power < 4) power = 4;
    long step = 1L << power, mask = step - 1, i = 0;
    float sum[SUM_LEVELS][SUM_ROWS][SUM_LANES] = {{{0}}};
#define ADD_ROW                                                                                                                               \
    for (int r = 0; r < SUM_ROWS; r++)                                                                                                        \
        for (int l = 0; l < SUM_LANES; l++) sum[0][r][l] += loram_load_f32(values + 4 * ((i * SUM_ROWS + r) * SUM_LANES + l))
    while (i + step <= size) {
        for (long j = 0; j < step; j++, i++) ADD_ROW;
        for (int level = 1; level < SUM_LEVELS; level++) {
            for (int r = 0; r < SUM_ROWS; r++)
                for (int l = 0; l < SUM_LANES; l++) {
                    sum[level][r][l] += sum[level - 1][r][l];
                    sum[level - 1][r][l] = 0;
                }
            if (i & (mask << (level * power))) break;
        }
    }
    for (; i < size; i++) ADD_ROW;
#undef ADD_ROW
    for (int level = 1; level < SUM_LEVELS; level++)
        for (int r = 0; r < SUM_ROWS; r++)
            for (int l = 0; l < SUM_LANES; l++) sum[0][r][l] += sum[level][r][l];
    for (long v = size * SUM_ROWS; v < vectors; v++)
        for (int l = 0; l < SUM_LANES; l++) sum[0][0][l] += loram_load_f32(values + 4 * (v * SUM_LANES + l));
    for (int r = 1; r < SUM_ROWS; r++)
        for (int l = 0; l < SUM_LANES; l++) sum[0][0][l] += sum[0][r][l];
    float total = 0;
    for (long v = vectors * SUM_LANES; v < count; v++) total += loram_load_f32(values + 4 * v);
    for (int l = 0; l < SUM_LANES; l++) total += sum[0][0][l];
    return total;
}

float loram_nf4_mean(const void *values, long count, int threads) {
    enum { MOST_THREADS = 1024 };
    if (count <= 0) return 0;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads < 2 || count < SUM_GRAIN) return cascade_sum(values, count) / (float)count;
    float parts[MOST_THREADS] = {0};
    long slices = loram_min(threads, loram_ceil(count, SUM_GRAIN)), length = loram_ceil(count, slices);
    for (long s = 0; s * length < count; s++) parts[s] = cascade_sum((const char *)values + 4 * s * length, loram_min(length, count - s * length));
    return cascade_sum((const char *)parts, threads) / (float)count;
}

// --- The dynamic map ----------------------------------------------------------------------------------------------------------------

/// Index of the map's entry nearest to value; half-way, the lower one; NaN takes entry 0.
static uint8_t nearest(const float *map, double value) {
    // The last entry below value, found without branches that nobody could predict.
    int low = 0;
    for (int step = 128; step > 0; step /= 2) {
        int next = low + step < 255 ? low + step : 254;
        low = value > map[next] ? next : low;
    }
    return (uint8_t)(low + (value > ((double)map[low] + (double)map[low + 1]) / 2));
}

/// The centre of the bin, of 65536 over -1 ... 1, that value falls into.
static float bin_centre(float value) {
    float position = (value + 1) * 0.5f * 65535 + 0.5f;
    // Negated comparisons send NaN to the first bin.
    long bin = !(position >= 0) ? 0 : position >= 65535 ? 65535 : (long)position;
    return 2 * (float)bin / 65535 - 1;
}

void loram_nf4_quantize_scales(const void *absmax, long count, float offset, loram_nf4_rounding rounding, void *codes, void *nested_absmax) {
#pragma STDC FP_CONTRACT OFF
    const float *map = loram_nf4_dynamic_map();
    uint8_t *out = codes;
    for (long block = 0; block * LORAM_NF4_NESTED_BLOCK < count; block++) {
        long first = block * LORAM_NF4_NESTED_BLOCK, length = loram_min(LORAM_NF4_NESTED_BLOCK, count - first);
        float largest = 0, shifted[LORAM_NF4_NESTED_BLOCK];
        for (long i = 0; i < length; i++) {
            shifted[i] = loram_load_f32((const char *)absmax + 4 * (first + i)) - offset;
            float magnitude = shifted[i] < 0 ? -shifted[i] : shifted[i];
            if (magnitude > largest) largest = magnitude;
        }
        memcpy((char *)nested_absmax + 4 * block, &largest, sizeof largest);
        float inverse = 1 / largest;
        for (long i = 0; i < length; i++) {
            float value = shifted[i] * inverse;
            out[first + i] = largest == 0 ? 0 : nearest(map, rounding == LORAM_NF4_BINNED ? bin_centre(value) : value);
        }
    }
}

void loram_nf4_decode_scales(const loram_nf4_scales *scales, long first, long count, float *absmax) {
    loram_block_scales(scales, first, count, absmax);
}
