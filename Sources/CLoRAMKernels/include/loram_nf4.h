// NF4 in the bitsandbytes layout: quantization, double quantization of the scales, and decoding, bit for bit.
//
// A tensor of n elements is flattened row-major and cut into blocks of 64 (the last may be shorter; blocks may cross rows).
// Element 2i is the HIGH nibble of byte i, element 2i+1 the low one; (n + 1) / 2 bytes in all. Each block has a scale `absmax`,
// stored in f32, or double-quantized: u8 q, with nested_absmax f32 per 256 blocks, a map of 256 f32 and one offset f32.
//   a     = fl(fl(map[q] * nested_absmax) + offset)         two roundings, never a fused multiply-add
//   value = fl(code[nibble] * a)                            then rounded to nearest even where bf16 or f16 is wanted
// Every pointer declared `const void *` or `void *` may have any alignment.
#ifndef LORAM_NF4_H
#define LORAM_NF4_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LORAM_NF4_BLOCK = 64, LORAM_NF4_NESTED_BLOCK = 256 };

/// How the elements of a tensor are stored.
typedef enum loram_element {
    LORAM_ELEMENT_F32 = 0,
    LORAM_ELEMENT_BF16 = 1,
    LORAM_ELEMENT_F16 = 2,
    LORAM_ELEMENT_NF4 = 3,
} loram_element;

/// The scales of an NF4 tensor.
typedef struct loram_nf4_scales {
    /// f32 per block, or u8 per block when `nested_absmax` is set.
    const void *absmax;
    /// f32 per 256 blocks; NULL without double quantization.
    const void *nested_absmax;
    /// 256 f32; needed with `nested_absmax`.
    const void *nested_map;
    float nested_offset;
    /// 1: what codes stand for is rounded to bf16, the type that the weight had (bitsandbytes' quant_state.dtype). Products obey it; rounding
    /// to f16, far below what NF4 itself loses, they leave out.
    int rounds_bf16;
} loram_nf4_scales;

/// The 16 values of NF4, ascending.
extern const float loram_nf4_codes[16];
/// The 256 values of bitsandbytes' signed dynamic map, ascending, that double quantization uses.
const float *loram_nf4_dynamic_map(void);

/// Which entry of the dynamic map a normalised scale takes.
typedef enum loram_nf4_rounding {
    /// The nearest entry; half-way, the lower one (bitsandbytes on CUDA).
    LORAM_NF4_NEAREST = 0,
    /// The nearest entry to the centre of one of 65536 bins (bitsandbytes on CPU).
    LORAM_NF4_BINNED = 1,
} loram_nf4_rounding;

/// Quantizes blocks of 64 elements: codes (count + 1) / 2 bytes, absmax one f32 a block. `source` is f32, bf16 or f16 by `element`.
/// Full blocks multiply by fl(1 / max(absmax, 1e-38)); a short last block divides by max(absmax, 1e-38) and stores that maximum
/// (bitsandbytes 0.50's rule). A value above the midpoint of two codes takes the upper one, a tie the lower; NaN takes code 15.
/// An odd count leaves 7 in the last low nibble. A caller that splits a tensor does so at multiples of 64.
/// `kernels` is a name of loram_kernels_name, or NULL for the best. Returns 0, or -1 for an unknown name or element.
int loram_nf4_quantize(const char *kernels, const void *source, loram_element element, long count, void *codes, void *absmax);

/// Mean of `count` f32 values in the summation order of torch's CPU mean (cascade summation over 8 vector lanes x 4, and, above
/// 32768 values, over as many slices as torch has `threads`): the offset of double quantization.
float loram_nf4_mean(const void *values, long count, int threads);

/// Double quantization of `count` scales: codes u8 per scale, nested_absmax f32 per 256, with a given offset.
void loram_nf4_quantize_scales(const void *absmax, long count, float offset, loram_nf4_rounding rounding, void *codes, void *nested_absmax);

/// Scales of blocks first ..< first + count in f32.
void loram_nf4_decode_scales(const loram_nf4_scales *scales, long first, long count, float *absmax);

/// Decodes elements first ..< first + count of a tensor of `total` elements into f32, bf16 or f16, exact in every bit.
/// Returns 0, or -1 for an unknown name or element.
int loram_nf4_dequantize(const char *kernels, const void *codes, const loram_nf4_scales *scales, long total, long first, long count, void *target, loram_element element);

#ifdef __cplusplus
}
#endif
#endif
