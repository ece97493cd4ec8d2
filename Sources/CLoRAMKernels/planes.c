#include "loram_planes.h"
#include "vector.h"

#include <math.h>

// One loop for each width, with the rotation decided outside: these become shuffles and truncating stores.
#define SPLIT(type, bits, rotated) \
    for (size_t i = 0; i < count; i++) { \
        type x; \
        memcpy(&x, source + i * sizeof x, sizeof x); \
        if (rotated) x = (type)(x << 1 | x >> (bits - 1)); \
        for (int k = 0; k < bits / 8; k++) planes[k * stride + i] = (uint8_t)(x >> 8 * k); \
    }

#define JOIN(type, bits, rotated) \
    for (size_t i = 0; i < count; i++) { \
        type x = 0; \
        for (int k = 0; k < bits / 8; k++) x = (type)(x | (type)((type)p[k][i] << 8 * k)); \
        if (rotated) x = (type)(x >> 1 | x << (bits - 1)); \
        memcpy(destination + i * sizeof x, &x, sizeof x); \
    }

#define BY_WIDTH(action) \
    switch (width) { \
    case 2: if (rotate) action(uint16_t, 16, 1) else action(uint16_t, 16, 0) break; \
    case 4: if (rotate) action(uint32_t, 32, 1) else action(uint32_t, 32, 0) break; \
    default: if (rotate) action(uint64_t, 64, 1) else action(uint64_t, 64, 0) break; \
    }

// Clones are external functions to clang, and want a declaration before the one with their attributes.
void loram_planes_split_wide(const uint8_t *restrict, size_t, int, int, uint8_t *restrict, size_t);
void loram_planes_join_wide(const uint8_t *const *, size_t, int, int, uint8_t *restrict);
void loram_planes_join_pairs(const uint8_t *restrict, const uint8_t *restrict, size_t, int, uint8_t *restrict);

LORAM_CLONES
void loram_planes_split_wide(const uint8_t *restrict source, size_t count, int width, int rotate, uint8_t *restrict planes, size_t stride) {
    BY_WIDTH(SPLIT)
}

LORAM_CLONES
void loram_planes_join_wide(const uint8_t *const *p, size_t count, int width, int rotate, uint8_t *restrict destination) {
    BY_WIDTH(JOIN)
}

// The plane pointers in locals: the compiler need not fear that a store changes them.
LORAM_CLONES
void loram_planes_join_pairs(const uint8_t *restrict low, const uint8_t *restrict high, size_t count, int rotate, uint8_t *restrict destination) {
    const uint8_t *const p[2] = {low, high};
    if (rotate) JOIN(uint16_t, 16, 1) else JOIN(uint16_t, 16, 0)
}

void loram_planes_split(const void *source, size_t count, int width, int rotate, uint8_t *planes, size_t stride) {
    if (width == 1) memcpy(planes, source, count);
    else loram_planes_split_wide(source, count, width, rotate, planes, stride);
}

void loram_planes_join(const uint8_t *const *planes, size_t count, int width, int rotate, void *destination) {
    if (width == 1) memcpy(destination, planes[0], count);
    else if (width == 2) loram_planes_join_pairs(planes[0], planes[1], count, rotate, destination);
    else loram_planes_join_wide(planes, count, width, rotate, destination);
}

double loram_planes_sample_entropy(const uint8_t *bytes, size_t count) {
    enum { runs = 64, length = 256 };
    uint32_t histogram[2][256] = {{0}};
    size_t sampled = 0;
    size_t step = count <= runs * length ? length : count / runs;
    for (size_t start = 0; start < count && sampled < runs * length; start += step) {
        size_t end = start + length < count ? start + length : count;
        for (size_t i = start; i < end; i++) histogram[i & 1][bytes[i]]++;
        sampled += end - start;
    }
    if (sampled == 0) return 0;
    double sum = 0;
    for (int symbol = 0; symbol < 256; symbol++) {
        double n = histogram[0][symbol] + histogram[1][symbol];
        if (n > 0) sum += n * log2((double)sampled / n);
    }
    return sum / (double)sampled;
}

// XXH64 (Y. Collet, xxHash specification 0.1.1), for little-endian machines.
static const uint64_t P1 = 0x9E3779B185EBCA87u, P2 = 0xC2B2AE3D27D4EB4Fu, P3 = 0x165667B19E3779F9u, P4 = 0x85EBCA77C2B2AE63u,
                      P5 = 0x27D4EB2F165667C5u;

LORAM_INLINE uint64_t rotated(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }
LORAM_INLINE uint64_t round64(uint64_t sum, uint64_t lane) { return rotated(sum + lane * P2, 31) * P1; }
LORAM_INLINE uint64_t merged(uint64_t hash, uint64_t sum) { return (hash ^ round64(0, sum)) * P1 + P4; }
LORAM_INLINE uint64_t word(const uint8_t *p) { uint64_t x; memcpy(&x, p, sizeof x); return x; }

void loram_xxh64_start(struct loram_xxh64_sums *sums) {
    *sums = (struct loram_xxh64_sums){{P1 + P2, P2, 0, 0 - P1}, 0};
}

void loram_xxh64_add(struct loram_xxh64_sums *sums, const void *bytes, size_t count) {
    const uint8_t *p = bytes, *end = p + count;
    uint64_t a = sums->lanes[0], b = sums->lanes[1], c = sums->lanes[2], d = sums->lanes[3];
    for (; p < end; p += 32) {
        a = round64(a, word(p));
        b = round64(b, word(p + 8));
        c = round64(c, word(p + 16));
        d = round64(d, word(p + 24));
    }
    *sums = (struct loram_xxh64_sums){{a, b, c, d}, sums->count + count};
}

uint64_t loram_xxh64_finish(struct loram_xxh64_sums *sums, const void *bytes, size_t count) {
    const uint8_t *p = bytes, *end = p + count;
    loram_xxh64_add(sums, p, count / 32 * 32);
    p += count / 32 * 32;
    uint64_t hash = P5;
    if (sums->count > 0) {
        uint64_t a = sums->lanes[0], b = sums->lanes[1], c = sums->lanes[2], d = sums->lanes[3];
        hash = rotated(a, 1) + rotated(b, 7) + rotated(c, 12) + rotated(d, 18);
        hash = merged(merged(merged(merged(hash, a), b), c), d);
    }
    hash += sums->count + (size_t)(end - p);
    for (; end - p >= 8; p += 8) hash = rotated(hash ^ round64(0, word(p)), 27) * P1 + P4;
    if (end - p >= 4) {
        uint32_t half;
        memcpy(&half, p, sizeof half);
        hash = rotated(hash ^ half * P1, 23) * P2 + P3;
        p += 4;
    }
    for (; p < end; p++) hash = rotated(hash ^ *p * P5, 11) * P1;
    hash = (hash ^ hash >> 33) * P2;
    hash = (hash ^ hash >> 29) * P3;
    return hash ^ hash >> 32;
}

uint64_t loram_xxh64(const void *bytes, size_t count) {
    struct loram_xxh64_sums sums;
    loram_xxh64_start(&sums);
    return loram_xxh64_finish(&sums, bytes, count);
}

LORAM_INLINE uint16_t to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded);
}

// Columns go through in pieces that stay in the nearest cache while the rank's rows are added.
LORAM_CLONES
void loram_merge_row(
    uint16_t *restrict out, const float *restrict w, const float *restrict b, const float *restrict a, long stride, int rank, float scale,
    const float *restrict mask, long count) {
#pragma clang fp contract(off)
    enum { piece = 512 };
    float sum[piece];
    for (long first = 0; first < count; first += piece) {
        long n = count - first < piece ? count - first : piece;
        for (long i = 0; i < n; i++) sum[i] = 0;
        for (int r = 0; r < rank; r++) {
            const float *row = a + r * stride + first;
            float factor = b[r];
            for (long i = 0; i < n; i++) sum[i] = sum[i] + factor * row[i];
        }
        if (mask) {
            for (long i = 0; i < n; i++) out[first + i] = to_bf16(w[first + i] + scale * mask[first + i] * sum[i]);
        } else {
            for (long i = 0; i < n; i++) out[first + i] = to_bf16(w[first + i] + scale * sum[i]);
        }
    }
}
