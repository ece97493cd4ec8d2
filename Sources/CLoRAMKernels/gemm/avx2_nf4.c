// Dot products of few tokens with rows of NF4 blocks in 256-bit FMA.
//
// A vector of weights is looked up and at once multiplied with up to eight tokens, whose sums fill half of the registers. The tables for it are
// made before, in memory. From six tokens on rows follow each other; with fewer, whose sums would wait for each other, several take turns.
// More tokens would look everything up again: four rows are then decoded into the first-level cache, and every load serves several products.
#if defined(__x86_64__)
#include "avx2.h"

/// Elements of a block in the order of its vectors: even ones (the codes' upper nibbles), then odd ones; of each, for i = 0, 1 and j = 0, 1, the
/// four of bytes 8 i + 4 j ... and the four of bytes 16 + 8 i + 4 j ...
LORAM_INLINE LORAM_AVX2 void arrange_block(float *out, int tokens, const float *x, const int rounded) {
    LORAM_UNROLL
    for (int i = 0; i < 4; i++) {
        const float *from = x + 8 * i;
        __m256 first = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)), _mm_loadu_ps(from + 32), 1);
        __m256 second = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + 4)), _mm_loadu_ps(from + 36), 1);
        first = loram_maybe_round_256(first, rounded);
        second = loram_maybe_round_256(second, rounded);
        _mm256_store_ps(out + 8 * i * tokens, _mm256_shuffle_ps(first, second, 0x88));
        _mm256_store_ps(out + 8 * (4 + i) * tokens, _mm256_shuffle_ps(first, second, 0xdd));
    }
}

LORAM_INLINE LORAM_AVX2 void arrange(float *out, const float *x, long x_stride, int tokens, long first, long count, long blocks, const int rounded) {
    for (int t = 0; t < tokens; t++)
        for (long block = 0; block < blocks; block++) {
            const float *from = x + t * x_stride;
            const long at = first + LORAM_NF4_BLOCK * block;
            float part[LORAM_NF4_BLOCK];
            if (at < 0 || at + LORAM_NF4_BLOCK > count)
                for (int i = 0; i < LORAM_NF4_BLOCK; i++) part[i] = at + i >= 0 && at + i < count ? from[at + i] : 0;
            arrange_block(out + (LORAM_NF4_BLOCK * block * tokens + 8 * t), tokens, at < 0 || at + LORAM_NF4_BLOCK > count ? part : from + at, rounded);
        }
}

LORAM_AVX2 void loram_avx2_arrange(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks) { arrange(out, x, x_stride, tokens, first, count, blocks, 0); }
LORAM_AVX2 void loram_avx2_arrange_rounded(void *out, const float *x, long x_stride, int tokens, long first, long count, long blocks) { arrange(out, x, x_stride, tokens, first, count, blocks, 1); }

enum { ROWS = 4, TOKENS = 8, BLOCKS = LORAM_256_NF4_BLOCKS, TILE_TOKENS = 3 };

/// The values of a block, byte by byte: plane[b] has byte b of all sixteen.
typedef struct table {
    __m128i plane[4];
} table;

/// Of rounded values only the upper planes are made.
LORAM_INLINE LORAM_AVX2 void make_table(table *out, const float *scale, const int rounded) {
    __m256i quarters[2];
    loram_make_quarters(quarters, scale, rounded);
    LORAM_UNROLL
    for (int i = rounded; i < 2; i++) _mm256_storeu_si256((__m256i *)&out->plane[2 * i], _mm256_permute4x64_epi64(quarters[i], 0xd8));
}

LORAM_INLINE LORAM_AVX2 __m256i look_up(const table *from, int byte, __m256i codes) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(&from->plane[byte])), codes);
}

/// Compilers that see the same memory read again keep it in registers, which the sums need.
#define READ_AGAIN(POINTER) __asm__ volatile("" : "+r"(POINTER))

/// sum[tokens] += the products of one block; tokens and rounded are constants at every call.
LORAM_INLINE LORAM_AVX2 void add_block(__m256 *sum, const int tokens, const int rounded, const uint8_t *codes, const table *values, const float *x) {
    READ_AGAIN(x);
    LORAM_UNROLL
    for (int half = 0; half < 2; half++) {
        READ_AGAIN(codes);
        READ_AGAIN(values);
        const __m256i bytes = _mm256_loadu_si256((const __m256i *)codes);
        const __m256i nibbles = _mm256_and_si256(half ? bytes : _mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
        const __m256i second = look_up(values, 2, nibbles), first = look_up(values, 3, nibbles);
        __m256i low[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        if (!rounded) {
            const __m256i fourth = look_up(values, 0, nibbles), third = look_up(values, 1, nibbles);
            low[0] = _mm256_unpacklo_epi8(fourth, third);
            low[1] = _mm256_unpackhi_epi8(fourth, third);
        }
        LORAM_UNROLL
        for (int i = 0; i < 2; i++) {
            const __m256i high = i ? _mm256_unpackhi_epi8(second, first) : _mm256_unpacklo_epi8(second, first);
            LORAM_UNROLL
            for (int j = 0; j < 2; j++) {
                const __m256 weights = _mm256_castsi256_ps(j ? _mm256_unpackhi_epi16(low[i], high) : _mm256_unpacklo_epi16(low[i], high));
                LORAM_UNROLL
                for (int t = 0; t < tokens; t++) sum[t] = _mm256_fmadd_ps(weights, _mm256_load_ps(x + ((4 * half + 2 * i + j) * tokens + t) * 8), sum[t]);
            }
        }
    }
}

/// Of a sum's lanes eight are used.
LORAM_INLINE LORAM_AVX2 void load_sums(__m256 *sum, const int tokens, const float *lanes, int accumulate) {
    LORAM_UNROLL
    for (int t = 0; t < tokens; t++) sum[t] = accumulate ? _mm256_loadu_ps(lanes + t * LORAM_LANES) : _mm256_setzero_ps();
}

LORAM_INLINE LORAM_AVX2 void store_sums(const __m256 *sum, const int tokens, float *lanes, int accumulate) {
    LORAM_UNROLL
    for (int t = 0; t < tokens; t++) {
        _mm256_storeu_ps(lanes + t * LORAM_LANES, sum[t]);
        if (!accumulate) _mm256_storeu_ps(lanes + t * LORAM_LANES + 8, _mm256_setzero_ps());
    }
}

/// The tables of all rows of a call.
LORAM_INLINE LORAM_AVX2 void make_tables(table tables[ROWS][BLOCKS], const loram_nf4_rows *job, int count, const int rounded) {
    for (int r = 0; r < count; r++)
        for (long block = 0; block < job->blocks; block++) make_table(&tables[r][block], job->row[r].scales + block, rounded);
}

/// lanes[count, tokens, LORAM_LANES] (=|+=) rows times tokens, row after row; tokens and rounded are constants at every call.
LORAM_INLINE LORAM_AVX2 void dot_one_by_one(const int tokens, const int rounded, float *lanes, const loram_nf4_rows *job, int count, const float *x, int accumulate) {
    _Alignas(32) table tables[ROWS][BLOCKS];
    make_tables(tables, job, count, rounded);
    for (int r = 0; r < count; r++, lanes += tokens * LORAM_LANES) {
        const uint8_t *codes = job->row[r].codes;
        const float *at = x;
        __m256 sum[TOKENS];
        load_sums(sum, tokens, lanes, accumulate);
        for (long block = 0, blocks = job->blocks; block < blocks; block++, codes += 32, at += LORAM_NF4_BLOCK * tokens) {
            _mm_prefetch((const char *)codes + job->ahead, _MM_HINT_T0);
            add_block(sum, tokens, rounded, codes, &tables[r][block], at);
        }
        store_sums(sum, tokens, lanes, accumulate);
    }
}

/// lanes[rows, tokens, LORAM_LANES] (=|+=) rows times tokens, the rows in turn; rows, tokens and rounded are constants at every call.
LORAM_INLINE LORAM_AVX2 void dot_in_turn(const int rows, const int tokens, const int rounded, float *lanes, const loram_nf4_rows *job, const float *x, int accumulate) {
    _Alignas(32) table tables[ROWS][BLOCKS];
    make_tables(tables, job, rows, rounded);
    __m256 sum[ROWS][TOKENS];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++) load_sums(sum[r], tokens, lanes + r * tokens * LORAM_LANES, accumulate);
    for (long block = 0; block < job->blocks; block++, x += LORAM_NF4_BLOCK * tokens) {
        LORAM_UNROLL
        for (int r = 0; r < rows; r++) {
            const uint8_t *codes = job->row[r].codes + 32 * block;
            _mm_prefetch((const char *)codes + job->ahead, _MM_HINT_T0);
            add_block(sum[r], tokens, rounded, codes, &tables[r][block], x);
        }
    }
    LORAM_UNROLL
    for (int r = 0; r < rows; r++) store_sums(sum[r], tokens, lanes + r * tokens * LORAM_LANES, accumulate);
}

/// The values of a block in the order of its vectors, which lie `stride` elements apart.
LORAM_INLINE LORAM_AVX2 void decode_block(float *out, long stride, const uint8_t *codes, const float *scale, const int rounded) {
    const loram_nf4_planes planes = loram_make_planes(scale, rounded);
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)codes);
    LORAM_UNROLL
    for (int half = 0; half < 2; half++) {
        __m256 values[4];
        loram_look_up(values, &planes, _mm256_and_si256(half ? bytes : _mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f)), rounded);
        LORAM_UNROLL
        for (int i = 0; i < 4; i++) _mm256_store_ps(out + (4 * half + i) * stride, values[i]);
    }
}

/// lanes[rows, taken of tokens, LORAM_LANES] (=|+=) decoded rows w[vectors, rows, 8] times x[vectors, taken of tokens, 8]; rows and taken are
/// constants at every call.
LORAM_INLINE LORAM_AVX2 void multiply_decoded(const int rows, const int taken, float *lanes, const float *w, const float *x, int tokens, long vectors, int accumulate) {
    __m256 sum[ROWS][TILE_TOKENS];
    LORAM_UNROLL
    for (int r = 0; r < rows; r++) load_sums(sum[r], taken, lanes + r * tokens * LORAM_LANES, accumulate);
#pragma clang loop unroll_count(4)
    for (long v = 0; v < vectors; v++, w += 8 * rows, x += 8 * tokens) {
        __m256 held[TILE_TOKENS];
        LORAM_UNROLL
        for (int t = 0; t < taken; t++) held[t] = _mm256_load_ps(x + 8 * t);
        LORAM_UNROLL
        for (int r = 0; r < rows; r++) {
            const __m256 weights = _mm256_load_ps(w + 8 * r);
            LORAM_UNROLL
            for (int t = 0; t < taken; t++) sum[r][t] = _mm256_fmadd_ps(weights, held[t], sum[r][t]);
        }
    }
    LORAM_UNROLL
    for (int r = 0; r < rows; r++) store_sums(sum[r], taken, lanes + r * tokens * LORAM_LANES, accumulate);
}

/// lanes[rows, tokens, LORAM_LANES] (=|+=) rows times tokens, decoded first; rows and rounded are constants at every call.
LORAM_INLINE LORAM_AVX2 void dot_decoded(const int rows, const int rounded, float *lanes, const loram_nf4_rows *job, const float *x, int tokens, int accumulate) {
    _Alignas(32) float w[BLOCKS * LORAM_NF4_BLOCK * ROWS];
    for (long block = 0; block < job->blocks; block++)
        for (int r = 0; r < rows; r++) {
            const uint8_t *codes = job->row[r].codes + 32 * block;
            _mm_prefetch((const char *)codes + job->ahead, _MM_HINT_T0);
            decode_block(w + (LORAM_NF4_BLOCK * block * rows + 8 * r), 8 * rows, codes, job->row[r].scales + block, rounded);
        }
    const long vectors = job->blocks * (LORAM_NF4_BLOCK / 8);
    // Three tokens a tile, or two where one would be left: its sums wait for each other.
    for (int t = 0, left; (left = tokens - t) > 0; t += left == 2 || left == 4 ? 2 : loram_min(left, TILE_TOKENS)) {
        float *out = lanes + t * LORAM_LANES;
        const float *from = x + 8 * t;
        if (left == 1) multiply_decoded(rows, 1, out, w, from, tokens, vectors, accumulate);
        else if (left == 2 || left == 4) multiply_decoded(rows, 2, out, w, from, tokens, vectors, accumulate);
        else multiply_decoded(rows, TILE_TOKENS, out, w, from, tokens, vectors, accumulate);
    }
}

typedef void (*dot_function)(float *, const loram_nf4_rows *, int, const float *, int);
#define ONE_BY_ONE(TOKENS, ROUNDED)                                                                                                           \
    static LORAM_AVX2 void dot1x##TOKENS##_##ROUNDED(float *lanes, const loram_nf4_rows *job, int count, const float *x, int acc) { dot_one_by_one(TOKENS, ROUNDED, lanes, job, count, x, acc); }
#define IN_TURN(ROWS, TOKENS, ROUNDED)                                                                                                        \
    static LORAM_AVX2 void dot##ROWS##x##TOKENS##_##ROUNDED(float *lanes, const loram_nf4_rows *job, int count, const float *x, int acc) { (void)count; dot_in_turn(ROWS, TOKENS, ROUNDED, lanes, job, x, acc); }
#define SET(R)                                                                                                                                \
    ONE_BY_ONE(1, R) ONE_BY_ONE(2, R) ONE_BY_ONE(3, R) ONE_BY_ONE(4, R) ONE_BY_ONE(5, R) ONE_BY_ONE(6, R) ONE_BY_ONE(7, R) ONE_BY_ONE(8, R)  \
    IN_TURN(4, 1, R) IN_TURN(2, 2, R) IN_TURN(2, 3, R) IN_TURN(2, 4, R) IN_TURN(2, 5, R)
SET(0) SET(1)
#define ONE(R) {dot1x1_##R, dot1x2_##R, dot1x3_##R, dot1x4_##R, dot1x5_##R, dot1x6_##R, dot1x7_##R, dot1x8_##R}
#define SEVERAL(R) {dot4x1_##R, dot2x2_##R, dot2x3_##R, dot2x4_##R, dot2x5_##R, dot1x6_##R, dot1x7_##R, dot1x8_##R}
static const dot_function one[2][TOKENS] = {ONE(0), ONE(1)};
/// As many rows as the engines' nf4_rows say (avx2.c).
static const dot_function several[2][TOKENS] = {SEVERAL(0), SEVERAL(1)};

LORAM_INLINE LORAM_AVX2 void dot(const int rounded, float *lanes, const loram_nf4_rows *rows, int count, const float *x, int tokens, int accumulate) {
    if (tokens <= TOKENS) (count == 1 ? one : several)[rounded][tokens - 1](lanes, rows, count, x, accumulate);
    else if (count == 1) dot_decoded(1, rounded, lanes, rows, x, tokens, accumulate);
    else dot_decoded(ROWS, rounded, lanes, rows, x, tokens, accumulate);
}

LORAM_AVX2 void loram_avx2_dot_nf4(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate) { dot(0, lanes, rows, count, x, tokens, accumulate); }
LORAM_AVX2 void loram_avx2_dot_nf4_rounded(float *lanes, const loram_nf4_rows *rows, int count, const void *x, int tokens, int accumulate) { dot(1, lanes, rows, count, x, tokens, accumulate); }
#endif
