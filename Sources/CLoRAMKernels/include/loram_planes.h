// Byte planes of numbers, checksums, and the merging of low-rank products: what a compressed checkpoint needs beside zstd.
#ifndef LORAM_PLANES_H
#define LORAM_PLANES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Splits `count` little-endian elements of `width` bytes (1, 2, 4, 8) into planes of their bytes: plane k, `count` bytes that begin at
/// planes + k * stride, holds byte k of every element. `rotate`: an element is first rotated left by one bit, which brings a float's
/// exponent to its highest byte and its sign to the lowest bit. Source at any alignment; nothing may overlap.
void loram_planes_split(const void *source, size_t count, int width, int rotate, uint8_t *planes, size_t stride);

/// The inverse: plane k begins at planes[k].
void loram_planes_join(const uint8_t *const *planes, size_t count, int width, int rotate, void *destination);

/// Order-0 entropy, in bits a byte, of a sample of at most 16 KiB spread over `count` bytes; 0 for none.
double loram_planes_sample_entropy(const uint8_t *bytes, size_t count);

/// XXH64 with seed 0.
uint64_t loram_xxh64(const void *bytes, size_t count);

/// The same of bytes that come in pieces: start, add any number of pieces, finish with the last one.
struct loram_xxh64_sums {
    uint64_t lanes[4];
    size_t count;
};
void loram_xxh64_start(struct loram_xxh64_sums *sums);
/// `count` is a multiple of 32.
void loram_xxh64_add(struct loram_xxh64_sums *sums, const void *bytes, size_t count);
/// `count` is any. The sums are used up.
uint64_t loram_xxh64_finish(struct loram_xxh64_sums *sums, const void *bytes, size_t count);

/// One row of a merged weight: out[i] = bf16(w[i] + (scale * mask[i]) * sum_r b[r] * a[r * stride + i]), i < count. The sum goes over r in
/// ascending order from zero; every product and every sum is rounded to f32 by itself, never fused, so that all machines get the same bits.
/// mask == NULL leaves the factor out. The last rounding is to nearest, ties to even; NaN stays NaN.
void loram_merge_row(
    uint16_t *out, const float *w, const float *b, const float *a, long stride, int rank, float scale, const float *mask, long count);

#ifdef __cplusplus
}
#endif
#endif
