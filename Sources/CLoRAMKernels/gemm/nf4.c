// Quantization to NF4 and decoding to plain elements.
#include "gemm_internal.h"
#include "nf4_internal.h"

static const loram_kernels *find(const char *name) { return name ? loram_kernels_named(name) : loram_kernels_best(); }

static float load_element(const void *source, loram_element element, long index) {
    if (element == LORAM_ELEMENT_F32) return loram_load_f32((const char *)source + 4 * index);
    uint16_t bits;
    memcpy(&bits, (const char *)source + 2 * index, sizeof bits);
    if (element == LORAM_ELEMENT_F16) return loram_f16_to_f32(bits);
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

int loram_nf4_quantize(const char *name, const void *source, loram_element element, long count, void *codes, void *absmax) {
    const loram_kernels *kernels = find(name);
    if (!kernels || count < 0 || element > LORAM_ELEMENT_F16) return -1;
    long full = count / LORAM_NF4_BLOCK;
    kernels->quantize_blocks(source, element, full, codes, absmax);
    long rest = count - full * LORAM_NF4_BLOCK;
    if (rest == 0) return 0;
    // The short last block divides where full ones multiply by the reciprocal, and stores the clamped maximum.
    float values[LORAM_NF4_BLOCK];
    uint32_t largest = 0;
    for (long i = 0; i < rest; i++) {
        values[i] = load_element(source, element, full * LORAM_NF4_BLOCK + i);
        uint32_t magnitude = loram_magnitude_bits(values[i]);
        if (magnitude > largest) largest = magnitude;
    }
    float scale = loram_clamped_scale(largest);
    memcpy((char *)absmax + 4 * full, &scale, sizeof scale);
    uint8_t *out = (uint8_t *)codes + full * 32;
    for (long i = 0; i < rest; i += 2) {
        unsigned high = loram_nf4_code(values[i] / scale), low = i + 1 < rest ? loram_nf4_code(values[i + 1] / scale) : 7;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

int loram_nf4_dequantize(const char *name, const void *codes, const loram_nf4_scales *scales, long total, long first, long count, void *target, loram_element element) {
    enum { RUN = 1024 };
    const loram_kernels *kernels = find(name);
    if (!kernels || first < 0 || count < 0 || first > total - count || element > LORAM_ELEMENT_F16) return -1;
    loram_weight flat = {LORAM_ELEMENT_NF4, 1, total, codes, total, *scales};
    float values[RUN + 2 * LORAM_MARGIN];
    // Runs end at block boundaries, so that no block is decoded twice.
    for (long done = 0; done < count;) {
        long start = first + done, length = loram_min(RUN - start % LORAM_NF4_BLOCK, count - done);
        kernels->engine[LORAM_COMPUTE_F32].decode(&flat, 0, start, length, values + LORAM_MARGIN);
        if (element == LORAM_ELEMENT_F32) memcpy((char *)target + 4 * done, values + LORAM_MARGIN, (size_t)(4 * length));
        else kernels->narrow((char *)target + 2 * done, element, values + LORAM_MARGIN, length);
        done += length;
    }
    return 0;
}
