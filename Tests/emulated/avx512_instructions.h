// AVX-512 intrinsics by SIMDe, and here those that its version 0.7.4 lacks.
#ifndef LORAM_AVX512_INSTRUCTIONS_H
#define LORAM_AVX512_INSTRUCTIONS_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

/// A vector as an array, and back.
#define EMULATED static inline __attribute__((unused))
#define AS_ARRAY(TYPE, COUNT, NAME, VECTOR) TYPE NAME[COUNT]; memcpy(NAME, &(VECTOR), sizeof NAME)
#define AS_VECTOR(TYPE, ARRAY) TYPE vector; memcpy(&vector, ARRAY, sizeof vector); return vector

#define MASKED_LOAD(NAME, VECTOR, TYPE, COUNT)                                                                              \
    EMULATED VECTOR NAME(uint32_t mask, const void *from) {                                                                 \
        TYPE lanes[COUNT] = {0};                                                                                            \
        for (int i = 0; i < COUNT; i++)                                                                                     \
            if (mask >> i & 1) memcpy(lanes + i, (const TYPE *)from + i, sizeof(TYPE));                                     \
        AS_VECTOR(VECTOR, lanes);                                                                                           \
    }
MASKED_LOAD(emulated_maskz_loadu_ps, simde__m512, float, 16)
MASKED_LOAD(emulated_maskz_loadu_epi16, simde__m512i, uint16_t, 32)
MASKED_LOAD(emulated_256_maskz_loadu_epi16, simde__m256i, uint16_t, 16)
MASKED_LOAD(emulated_128_maskz_loadu_epi8, simde__m128i, uint8_t, 16)

#define MASKED_STORE(NAME, VECTOR, TYPE, COUNT)                                                                             \
    EMULATED void NAME(void *to, uint32_t mask, VECTOR values) {                                                            \
        AS_ARRAY(TYPE, COUNT, lanes, values);                                                                               \
        for (int i = 0; i < COUNT; i++)                                                                                     \
            if (mask >> i & 1) memcpy((TYPE *)to + i, lanes + i, sizeof(TYPE));                                             \
    }
MASKED_STORE(emulated_mask_storeu_ps, simde__m512, float, 16)
MASKED_STORE(emulated_mask_storeu_epi32, simde__m512i, uint32_t, 16)
MASKED_STORE(emulated_256_mask_storeu_epi16, simde__m256i, uint16_t, 16)

#define CONVERSION(NAME, FROM, FROM_TYPE, COUNT, TO, TO_TYPE, TO_COUNT)                                                     \
    EMULATED TO NAME(FROM values) {                                                                                         \
        AS_ARRAY(FROM_TYPE, COUNT, lanes, values);                                                                          \
        TO_TYPE converted[TO_COUNT] = {0};                                                                                  \
        for (int i = 0; i < COUNT; i++) converted[i] = (TO_TYPE)lanes[i];                                                   \
        AS_VECTOR(TO, converted);                                                                                           \
    }
CONVERSION(emulated_cvtepu8_epi16, simde__m256i, uint8_t, 32, simde__m512i, uint16_t, 32)
CONVERSION(emulated_cvtepu8_epi32, simde__m128i, uint8_t, 16, simde__m512i, uint32_t, 16)
CONVERSION(emulated_cvtepu16_epi32, simde__m256i, uint16_t, 16, simde__m512i, uint32_t, 16)
CONVERSION(emulated_cvtepi32_epi16, simde__m512i, uint32_t, 16, simde__m256i, uint16_t, 16)
CONVERSION(emulated_cvtepi64_epi8, simde__m512i, uint64_t, 8, simde__m128i, uint8_t, 16)

EMULATED simde__m512 emulated_cvtph_ps(simde__m256i values) {
    AS_ARRAY(simde__m128i, 2, halves, values);
    simde__m256 wide[2] = {simde_mm256_cvtph_ps(halves[0]), simde_mm256_cvtph_ps(halves[1])};
    AS_VECTOR(simde__m512, wide);
}

EMULATED simde__m256i emulated_cvtps_ph(simde__m512 values) {
    AS_ARRAY(simde__m256, 2, wide, values);
    simde__m128i halves[2] = {simde_mm256_cvtps_ph(wide[0], 0), simde_mm256_cvtps_ph(wide[1], 0)};
    AS_VECTOR(simde__m256i, halves);
}

EMULATED float emulated_reduce_add_ps(simde__m512 values) {
    AS_ARRAY(float, 16, lanes, values);
    float sum = 0;
    for (int i = 0; i < 16; i++) sum += lanes[i];
    return sum;
}

EMULATED int32_t emulated_reduce_max_epi32(simde__m512i values) {
    AS_ARRAY(int32_t, 16, lanes, values);
    int32_t most = lanes[0];
    for (int i = 1; i < 16; i++) most = lanes[i] > most ? lanes[i] : most;
    return most;
}

EMULATED simde__m512 emulated_shuffle_f32x4(simde__m512 low, simde__m512 high, int control) {
    AS_ARRAY(float, 16, a, low);
    AS_ARRAY(float, 16, b, high);
    float lanes[16];
    for (int i = 0; i < 4; i++) memcpy(lanes + 4 * i, (i < 2 ? a : b) + 4 * (control >> 2 * i & 3), 16);
    AS_VECTOR(simde__m512, lanes);
}

/// vcvtne2ps2bf16: to nearest even, denormals count as zero.
EMULATED uint16_t emulated_bf16(uint32_t bits) {
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    if (magnitude < 0x00800000) return (uint16_t)(bits >> 31 << 15);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

EMULATED simde__m512i emulated_cvtne2ps_pbh(simde__m512 upper, simde__m512 lower) {
    AS_ARRAY(uint32_t, 16, high, upper);
    AS_ARRAY(uint32_t, 16, low, lower);
    uint16_t lanes[32];
    for (int i = 0; i < 16; i++) {
        lanes[i] = emulated_bf16(low[i]);
        lanes[16 + i] = emulated_bf16(high[i]);
    }
    AS_VECTOR(simde__m512i, lanes);
}

EMULATED float emulated_widened(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/// vdpbf16ps: the odd elements' product, then the even ones' added to it without rounding between, then the sum.
EMULATED simde__m512 emulated_dpbf16_ps(simde__m512 start, simde__m512i left, simde__m512i right) {
    AS_ARRAY(float, 16, sum, start);
    AS_ARRAY(uint32_t, 16, a, left);
    AS_ARRAY(uint32_t, 16, b, right);
    for (int i = 0; i < 16; i++) {
        float odd = emulated_widened(a[i] & 0xffff0000) * emulated_widened(b[i] & 0xffff0000);
        sum[i] += fmaf(emulated_widened(a[i] << 16), emulated_widened(b[i] << 16), odd);
    }
    AS_VECTOR(simde__m512, sum);
}

// Clang's own declarations of these names need the CPU; SIMDe's aliases, where it has any, are replaced too.
#undef __m512bh
#undef _mm512_cvtepu8_epi16
#undef _mm512_cvtepu8_epi32
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtepi32_epi16
#undef _mm512_cvtepi64_epi8
#undef _mm512_cvtne2ps_pbh
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_ph
#undef _mm512_dpbf16_ps
#undef _mm512_maskz_loadu_ps
#undef _mm512_shuffle_f32x4
#define __m512bh simde__m512i
#define _mm512_cvtepu8_epi16 emulated_cvtepu8_epi16
#define _mm512_cvtepu8_epi32 emulated_cvtepu8_epi32
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#define _mm512_cvtepi32_epi16 emulated_cvtepi32_epi16
#define _mm512_cvtepi64_epi8 emulated_cvtepi64_epi8
#define _mm512_cvtne2ps_pbh emulated_cvtne2ps_pbh
#define _mm512_cvtph_ps emulated_cvtph_ps
#define _mm512_cvtps_ph(VALUES, ROUNDING) emulated_cvtps_ph(VALUES)
#define _mm512_dpbf16_ps(SUM, LEFT, RIGHT) emulated_dpbf16_ps(SUM, (simde__m512i)(LEFT), (simde__m512i)(RIGHT))
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps
#define _mm512_maskz_loadu_epi16 emulated_maskz_loadu_epi16
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
#define _mm512_mask_storeu_epi32 emulated_mask_storeu_epi32
#define _mm512_reduce_add_ps emulated_reduce_add_ps
#define _mm512_reduce_max_epi32 emulated_reduce_max_epi32
#define _mm512_shuffle_f32x4 emulated_shuffle_f32x4
#define _mm256_maskz_loadu_epi16 emulated_256_maskz_loadu_epi16
#define _mm256_mask_storeu_epi16 emulated_256_mask_storeu_epi16
#define _mm_maskz_loadu_epi8 emulated_128_maskz_loadu_epi8

#endif
