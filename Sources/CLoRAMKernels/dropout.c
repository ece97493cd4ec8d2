#include "loram_kernels.h"
#include "vector.h"

// Philox4x32-10 (Salmon et al., SC11): 128 random bits from a 128-bit counter and a 64-bit key.
// Eight blocks side by side in lanes, so that 64 elements are decided at a time.
typedef uint64_t q8 __attribute__((vector_size(64)));
typedef uint16_t h16 __attribute__((vector_size(32)));

LORAM_INLINE void philox8(q8 c[4], uint64_t key) {
    const q8 low = {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu};
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        q8 a = c[0] * (uint64_t)0xD2511F53u, b = c[2] * (uint64_t)0xCD9E8D57u;
        q8 c0 = (b >> 32) ^ c[1] ^ (uint64_t)k0, c2 = (a >> 32) ^ c[3] ^ (uint64_t)k1;
        c[1] = b & low;
        c[3] = a & low;
        c[0] = c0;
        c[2] = c2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

LORAM_CLONES
void loram_dropout(float *y, long y_ld, const float *x, long x_ld, long rows, long first, long columns, const uint64_t *row_keys, uint64_t key, uint32_t threshold, float scale, int accumulate) {
    for (long r = 0; r < rows; r++, x += x_ld, y += y_ld) {
        uint64_t row_low = row_keys[r] & 0xffffffffu, row_high = row_keys[r] >> 32;
        // Eight counters a turn: counter j decides columns 8 j ..< 8 j + 8.
        for (long j = 0; j < columns; j += 64) {
            uint64_t n0 = (uint64_t)(first + j) / 8;
            q8 c[4] = {{n0, n0 + 1, n0 + 2, n0 + 3, n0 + 4, n0 + 5, n0 + 6, n0 + 7}, {0}, {0}, {0}};
            c[2] += row_low;
            c[3] += row_high;
            philox8(c, key);
            // Words 0, 1 and 2, 3 of each block side by side, then the blocks one after the other: 64 numbers of 16 bits in order.
            q8 first_words = c[0] | c[1] << 32, last_words = c[2] | c[3] << 32;
            q8 halves[2] = {__builtin_shufflevector(first_words, last_words, 0, 8, 1, 9, 2, 10, 3, 11), __builtin_shufflevector(first_words, last_words, 4, 12, 5, 13, 6, 14, 7, 15)};
            uint16_t bits[64];
            memcpy(bits, halves, sizeof bits);
            long whole = columns - j < 64 ? 0 : 64;
            for (long i = 0; i < whole; i += 16) {
                h16 sixteen;
                memcpy(&sixteen, bits + i, sizeof sixteen);
                i16 kept = __builtin_convertvector(sixteen, i16) >= (int32_t)threshold;
                v16 value = (v16)((i16)(v16_load(x + j + i) * scale) & kept);
                if (accumulate) value += v16_load(y + j + i);
                v16_store(y + j + i, value);
            }
            if (whole) continue;
            float keep[64];
            for (int i = 0; i < 64; i++) keep[i] = bits[i] < threshold ? 0.0f : scale;
            long n = columns - j < 64 ? columns - j : 64;
            if (accumulate)
                for (long i = 0; i < n; i++) y[j + i] += x[j + i] * keep[i];
            else
                for (long i = 0; i < n; i++) y[j + i] = x[j + i] * keep[i];
        }
    }
}
