// Dot products of few tokens with rows of NF4 blocks in 256-bit FMA.
#if defined(__x86_64__)
#include "avx2.h"
#include "avx2_dot.h"
#include "few_tokens.h"

LORAM_INLINE LORAM_AVX2 void split(float *even, float *odd, const float *x, long count, long length, const int rounded) {
    for (long i = 0; i < length; i += 8) {
        __m256 part[2];
        LORAM_UNROLL
        for (int j = 0; j < 2; j++) {
            const long at = 2 * i + 8 * j;
            part[j] = loram_maybe_round_256(_mm256_maskload_ps(x + loram_min(at, count), loram_mask8(count - at)), rounded);
        }
        // Within each half of the vectors first; then the middle quarters change places.
        __m256d evens = _mm256_castps_pd(_mm256_shuffle_ps(part[0], part[1], 0x88)), odds = _mm256_castps_pd(_mm256_shuffle_ps(part[0], part[1], 0xdd));
        _mm256_storeu_ps(even + i, _mm256_castpd_ps(_mm256_permute4x64_pd(evens, 0xd8)));
        _mm256_storeu_ps(odd + i, _mm256_castpd_ps(_mm256_permute4x64_pd(odds, 0xd8)));
    }
}

LORAM_AVX2 void loram_avx2_split(void *even, void *odd, const float *x, long count, long length) { split(even, odd, x, count, length, 0); }
LORAM_AVX2 void loram_avx2_split_rounded(void *even, void *odd, const float *x, long count, long length) { split(even, odd, x, count, length, 1); }

/// Values of the block's 32 upper or lower nibbles, whose bytes were put in order for it by `ordered`.
LORAM_INLINE LORAM_AVX2 void decode_half(__m256 values[4], const loram_nf4_planes *planes, __m256i bytes, const int lower, const int rounded) {
    loram_look_up(values, planes, _mm256_and_si256(lower ? bytes : _mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f)), rounded);
}

/// A block's codes such that looking them up puts them back in order.
LORAM_INLINE LORAM_AVX2 __m256i ordered(const uint8_t *codes) {
    return _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const __m256i *)codes), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

// --- Up to four tokens: decoded values never leave the registers ------------------------------------------------------------------

enum { TOKENS = 4 };

/// sum[token][half] += the products of 32 values with each token's plane.
LORAM_INLINE LORAM_AVX2 void add_products(const int tokens, __m256 sum[TOKENS][2], const int half, const __m256 values[4], const float *x, long x_stride) {
    LORAM_UNROLL
    for (int i = 0; i < 4; i++)
        LORAM_UNROLL
        for (int t = 0; t < tokens; t++) sum[t][half] = _mm256_fmadd_ps(values[i], _mm256_loadu_ps(x + t * x_stride + 8 * i), sum[t][half]);
}

/// lanes[tokens, LORAM_LANES] (=|+=) one row times all tokens; tokens and rounded are constants at every call. Upper and lower nibbles have
/// sums of their own, which with few tokens would wait for each other.
LORAM_INLINE LORAM_AVX2 void dot(const int tokens, const int rounded, float *lanes, const loram_nf4_rows *job, int row, long x_stride, int accumulate) {
    __m256 sum[TOKENS][2];
    LORAM_UNROLL
    for (int t = 0; t < tokens; t++)
        LORAM_UNROLL
        for (int h = 0; h < 2; h++) sum[t][h] = accumulate ? _mm256_loadu_ps(lanes + t * LORAM_LANES + 8 * h) : _mm256_setzero_ps();
    const uint8_t *codes = job->row[row].codes;
    const float *upper = (const float *)job->row[row].upper, *lower = (const float *)job->row[row].lower;
    for (long block = 0; block < job->blocks; block++, codes += 32, upper += 32, lower += 32) {
        _mm_prefetch((const char *)codes + job->ahead, _MM_HINT_T0);
        const loram_nf4_planes planes = loram_make_planes(job->row[row].scales + block, rounded);
        const __m256i bytes = ordered(codes);
        __m256 values[4];
        decode_half(values, &planes, bytes, 0, rounded);
        add_products(tokens, sum, 0, values, upper, x_stride);
        decode_half(values, &planes, bytes, 1, rounded);
        add_products(tokens, sum, 1, values, lower, x_stride);
    }
    LORAM_UNROLL
    for (int t = 0; t < tokens; t++)
        LORAM_UNROLL
        for (int h = 0; h < 2; h++) _mm256_storeu_ps(lanes + t * LORAM_LANES + 8 * h, sum[t][h]);
}

typedef void (*dot_function)(float *, const loram_nf4_rows *, int, long, int);
#define DOT(TOKENS, ROUNDED) static LORAM_AVX2 void dot##TOKENS##_##ROUNDED(float *lanes, const loram_nf4_rows *job, int row, long xs, int acc) { dot(TOKENS, ROUNDED, lanes, job, row, xs, acc); }
DOT(1, 0) DOT(2, 0) DOT(3, 0) DOT(4, 0) DOT(1, 1) DOT(2, 1) DOT(3, 1) DOT(4, 1)
static const dot_function dots[2][TOKENS] = {{dot1_0, dot2_0, dot3_0, dot4_0}, {dot1_1, dot2_1, dot3_1, dot4_1}};

// --- More tokens: a few rows are decoded into the first-level cache ---------------------------------------------------------------

enum { MOST_BLOCKS = LORAM_FEW_NF4_X_BYTES / (4 * LORAM_NF4_BLOCK * (TOKENS + 1)) + 1, HALF = LORAM_NF4_BLOCK / 2 };

/// The same sums in the same order.
LORAM_INLINE LORAM_AVX2 void dot_decoded(const int rounded, float *lanes, const loram_nf4_rows *job, int count, long x_stride, int tokens, int accumulate) {
    float decoded[LORAM_DOT_MAX_ROWS][2][MOST_BLOCKS * HALF];
    for (int r = 0; r < count; r++)
        for (long block = 0; block < job->blocks; block++) {
            const uint8_t *codes = job->row[r].codes + 32 * block;
            _mm_prefetch((const char *)codes + job->ahead, _MM_HINT_T0);
            const loram_nf4_planes planes = loram_make_planes(job->row[r].scales + block, rounded);
            const __m256i bytes = ordered(codes);
            LORAM_UNROLL
            for (int half = 0; half < 2; half++) {
                __m256 values[4];
                decode_half(values, &planes, bytes, half, rounded);
                LORAM_UNROLL
                for (int i = 0; i < 4; i++) _mm256_storeu_ps(decoded[r][half] + block * HALF + 8 * i, values[i]);
            }
        }
    const int together = job->shared ? count : 1;
    for (int r = 0; r < count; r += together)
        for (int half = 0; half < 2; half++)
            loram_dot_256(lanes + r * tokens * LORAM_LANES + 8 * half, decoded[r][half], 2 * MOST_BLOCKS * HALF, together, half ? job->row[r].lower : job->row[r].upper, x_stride, tokens, job->blocks * HALF, accumulate);
}

static LORAM_AVX2 void dot_many(float *lanes, const loram_nf4_rows *rows, int count, long x_stride, int tokens, int accumulate) { dot_decoded(0, lanes, rows, count, x_stride, tokens, accumulate); }
static LORAM_AVX2 void dot_many_rounded(float *lanes, const loram_nf4_rows *rows, int count, long x_stride, int tokens, int accumulate) { dot_decoded(1, lanes, rows, count, x_stride, tokens, accumulate); }

void loram_avx2_dot_nf4(float *lanes, const loram_nf4_rows *rows, int count, long x_stride, int tokens, int accumulate) {
    if (tokens > TOKENS) dot_many(lanes, rows, count, x_stride, tokens, accumulate);
    else for (int r = 0; r < count; r++) dots[0][tokens - 1](lanes + r * tokens * LORAM_LANES, rows, r, x_stride, accumulate);
}

void loram_avx2_dot_nf4_rounded(float *lanes, const loram_nf4_rows *rows, int count, long x_stride, int tokens, int accumulate) {
    if (tokens > TOKENS) dot_many_rounded(lanes, rows, count, x_stride, tokens, accumulate);
    else for (int r = 0; r < count; r++) dots[1][tokens - 1](lanes + r * tokens * LORAM_LANES, rows, r, x_stride, accumulate);
}
#endif
