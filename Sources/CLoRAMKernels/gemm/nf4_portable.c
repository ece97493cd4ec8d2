// Quantization of whole NF4 blocks and narrowing to 16 bits, in plain C that compilers vectorize.
#include "nf4_internal.h"
#include "portable.h"

const float loram_nf4_midpoints[15] = {
    (-1.0f + -0.6961928009986877f) / 2, (-0.6961928009986877f + -0.5250730514526367f) / 2, (-0.5250730514526367f + -0.39491748809814453f) / 2,
    (-0.39491748809814453f + -0.28444138169288635f) / 2, (-0.28444138169288635f + -0.18477343022823334f) / 2, (-0.18477343022823334f + -0.09105003625154495f) / 2,
    (-0.09105003625154495f + 0.0f) / 2, (0.0f + 0.07958029955625534f) / 2, (0.07958029955625534f + 0.16093020141124725f) / 2,
    (0.16093020141124725f + 0.24611230194568634f) / 2, (0.24611230194568634f + 0.33791524171829224f) / 2, (0.33791524171829224f + 0.44070982933044434f) / 2,
    (0.44070982933044434f + 0.5626170039176941f) / 2, (0.5626170039176941f + 0.7229568362236023f) / 2, (0.7229568362236023f + 1.0f) / 2,
};

static void load_block(float values[LORAM_NF4_BLOCK], const char *source, loram_element element) {
    if (element == LORAM_ELEMENT_F32) {
        memcpy(values, source, 4 * LORAM_NF4_BLOCK);
        return;
    }
    uint16_t bits[LORAM_NF4_BLOCK];
    memcpy(bits, source, sizeof bits);
    if (element == LORAM_ELEMENT_F16) {
        for (int i = 0; i < LORAM_NF4_BLOCK; i++) values[i] = loram_f16_to_f32(bits[i]);
        return;
    }
    uint32_t wide[LORAM_NF4_BLOCK];
    for (int i = 0; i < LORAM_NF4_BLOCK; i++) wide[i] = (uint32_t)bits[i] << 16;
    memcpy(values, wide, sizeof wide);
}

void loram_portable_quantize_blocks(const void *source, loram_element element, long blocks, uint8_t *codes, void *absmax) {
    long bytes = LORAM_NF4_BLOCK * (element == LORAM_ELEMENT_F32 ? 4 : 2);
    for (long block = 0; block < blocks; block++) {
        float values[LORAM_NF4_BLOCK];
        load_block(values, (const char *)source + block * bytes, element);
        // Integer compares of the magnitudes vectorize on every CPU, and let NaN win.
        int32_t largest = 0;
        for (int i = 0; i < LORAM_NF4_BLOCK; i++) {
            int32_t magnitude = (int32_t)loram_magnitude_bits(values[i]);
            largest = magnitude > largest ? magnitude : largest;
        }
        memcpy((char *)absmax + 4 * block, &largest, sizeof largest);
        float inverse = 1 / loram_clamped_scale((uint32_t)largest);
        int32_t code[LORAM_NF4_BLOCK];
        for (int i = 0; i < LORAM_NF4_BLOCK; i++) {
            float value = values[i] * inverse;
            int32_t count = 0;
            for (int j = 0; j < 15; j++) count += !(loram_nf4_midpoints[j] >= value);
            code[i] = count;
        }
        for (int i = 0; i < LORAM_NF4_BLOCK / 2; i++) codes[block * 32 + i] = (uint8_t)(code[2 * i] << 4 | code[2 * i + 1]);
    }
}

void loram_portable_narrow(void *target, loram_element element, const float *source, long count) {
    for (long i = 0; i < count; i++) {
        uint16_t bits = element == LORAM_ELEMENT_F16 ? loram_f32_to_f16(source[i]) : loram_f32_to_bf16(source[i]);
        memcpy((char *)target + 2 * i, &bits, sizeof bits);
    }
}

void loram_portable_scales(const loram_nf4_scales *scales, long first, long blocks, float *out) { loram_block_scales(scales, first, blocks, out); }
