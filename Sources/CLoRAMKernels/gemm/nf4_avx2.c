// Quantization of whole NF4 blocks and narrowing to 16 bits with 256-bit vectors.
#if defined(__x86_64__)
#include "avx2.h"
#include "nf4_internal.h"

LORAM_INLINE LORAM_AVX2 __m256 load8(const char *source, const loram_element element) {
    if (element == LORAM_ELEMENT_F32) return _mm256_loadu_ps((const float *)(const void *)source);
    __m128i bits = _mm_loadu_si128((const __m128i *)source);
    if (element == LORAM_ELEMENT_F16) return _mm256_cvtph_ps(bits);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

LORAM_INLINE LORAM_AVX2 void quantize(const char *source, const loram_element element, long blocks, uint8_t *codes, char *absmax) {
    const int bytes = element == LORAM_ELEMENT_F32 ? 4 : 2;
    for (long block = 0; block < blocks; block++, source += LORAM_NF4_BLOCK * bytes, codes += 32, absmax += 4) {
        __m256 values[8];
        __m256i magnitude = _mm256_setzero_si256();
        LORAM_UNROLL
        for (int i = 0; i < 8; i++) {
            values[i] = load8(source + 8 * bytes * i, element);
            magnitude = _mm256_max_epi32(magnitude, _mm256_and_si256(_mm256_castps_si256(values[i]), _mm256_set1_epi32(0x7fffffff)));
        }
        __m128i four = _mm_max_epi32(_mm256_castsi256_si128(magnitude), _mm256_extracti128_si256(magnitude, 1));
        __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
        uint32_t largest = (uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
        memcpy(absmax, &largest, sizeof largest);
        __m256 inverse = _mm256_set1_ps(1 / loram_clamped_scale(largest));
        LORAM_UNROLL
        for (int i = 0; i < 8; i++) {
            __m256 value = _mm256_mul_ps(values[i], inverse);
            __m256i code = _mm256_setzero_si256();
            LORAM_UNROLL
            for (int j = 0; j < 15; j++) code = _mm256_sub_epi32(code, _mm256_castps_si256(_mm256_cmp_ps(_mm256_set1_ps(loram_nf4_midpoints[j]), value, _CMP_NGE_UQ)));
            // Even elements lie in the low halves of 64-bit words, odd ones in the high halves; byte 0 of each word holds the pair.
            __m256i pairs = _mm256_or_si256(_mm256_slli_epi64(code, 4), _mm256_srli_epi64(code, 32));
            const __m256i pick = _mm256_setr_epi8(0, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
            __m256i bytes4 = _mm256_shuffle_epi8(pairs, pick);
            int32_t packed = _mm_cvtsi128_si32(_mm_or_si128(_mm256_castsi256_si128(bytes4), _mm256_extracti128_si256(bytes4, 1)));
            memcpy(codes + 4 * i, &packed, sizeof packed);
        }
    }
}

LORAM_AVX2 void loram_avx2_quantize_blocks(const void *source, loram_element element, long blocks, uint8_t *codes, void *absmax) {
    if (element == LORAM_ELEMENT_F32) quantize(source, LORAM_ELEMENT_F32, blocks, codes, absmax);
    else if (element == LORAM_ELEMENT_BF16) quantize(source, LORAM_ELEMENT_BF16, blocks, codes, absmax);
    else quantize(source, LORAM_ELEMENT_F16, blocks, codes, absmax);
}

LORAM_AVX2 void loram_avx2_narrow(void *target, loram_element element, const float *source, long count) {
    for (long i = 0; i < count; i += 8) {
        __m256 values = _mm256_maskload_ps(source + i, loram_mask8(count - i));
        __m128i bits;
        if (element == LORAM_ELEMENT_F16) {
            bits = _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        } else {
            __m256i upper = _mm256_srli_epi32(_mm256_castps_si256(loram_round_bf16_256(values)), 16);
            bits = _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
        }
        memcpy((char *)target + 2 * i, &bits, (size_t)(2 * loram_min(8, count - i)));
    }
}
#endif
