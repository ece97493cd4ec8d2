// Quantization of whole NF4 blocks and narrowing to 16 bits with 512-bit vectors.
#if defined(__x86_64__)
#include "avx512.h"
#include "avx512_f32.h"
#include "nf4_internal.h"

LORAM_INLINE LORAM_AVX512 __m512 load16(const char *source, const loram_element element) {
    if (element == LORAM_ELEMENT_F32) return _mm512_loadu_ps(source);
    __m256i bits = _mm256_loadu_si256((const __m256i *)source);
    if (element == LORAM_ELEMENT_F16) return _mm512_cvtph_ps(bits);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

LORAM_INLINE LORAM_AVX512 void quantize(const char *source, const loram_element element, long blocks, uint8_t *codes, char *absmax) {
    const int bytes = element == LORAM_ELEMENT_F32 ? 4 : 2;
    const __m512i one = _mm512_set1_epi32(1);
    for (long block = 0; block < blocks; block++, source += LORAM_NF4_BLOCK * bytes, codes += 32, absmax += 4) {
        __m512 values[4];
        __m512i magnitude = _mm512_setzero_si512();
        LORAM_UNROLL
        for (int i = 0; i < 4; i++) {
            values[i] = load16(source + 16 * bytes * i, element);
            magnitude = _mm512_max_epi32(magnitude, _mm512_and_si512(_mm512_castps_si512(values[i]), _mm512_set1_epi32(0x7fffffff)));
        }
        uint32_t largest = (uint32_t)_mm512_reduce_max_epi32(magnitude);
        memcpy(absmax, &largest, sizeof largest);
        __m512 inverse = _mm512_set1_ps(1 / loram_clamped_scale(largest));
        LORAM_UNROLL
        for (int i = 0; i < 4; i++) {
            __m512 value = _mm512_mul_ps(values[i], inverse);
            __m512i code = _mm512_setzero_si512();
            LORAM_UNROLL
            for (int j = 0; j < 15; j++) code = _mm512_mask_add_epi32(code, _mm512_cmp_ps_mask(_mm512_set1_ps(loram_nf4_midpoints[j]), value, _CMP_NGE_UQ), code, one);
            // Even elements lie in the low halves of 64-bit words, odd ones in the high halves.
            __m512i pairs = _mm512_or_si512(_mm512_slli_epi64(code, 4), _mm512_srli_epi64(code, 32));
            _mm_storel_epi64((__m128i *)(codes + 8 * i), _mm512_cvtepi64_epi8(pairs));
        }
    }
}

LORAM_AVX512 void loram_avx512_quantize_blocks(const void *source, loram_element element, long blocks, uint8_t *codes, void *absmax) {
    if (element == LORAM_ELEMENT_F32) quantize(source, LORAM_ELEMENT_F32, blocks, codes, absmax);
    else if (element == LORAM_ELEMENT_BF16) quantize(source, LORAM_ELEMENT_BF16, blocks, codes, absmax);
    else quantize(source, LORAM_ELEMENT_F16, blocks, codes, absmax);
}

LORAM_AVX512 void loram_avx512_scales(const loram_nf4_scales *scales, long first, long blocks, float *out) { loram_block_scales_512(scales, first, blocks, out); }

LORAM_AVX512 void loram_avx512_narrow(void *target, loram_element element, const float *source, long count) {
    for (long i = 0; i < count; i += 16) {
        __mmask16 mask = loram_mask16(count - i);
        __m512 values = _mm512_maskz_loadu_ps(mask, source + i);
        __m256i bits = element == LORAM_ELEMENT_F16 ? _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
                                                    : _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(loram_round_bf16_512(values)), 16));
        _mm256_mask_storeu_epi16((char *)target + 2 * i, mask, bits);
    }
}
#endif
