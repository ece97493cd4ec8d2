// zstd's C interface, with the settings that Swift cannot import because they are macros of the experimental section.
#ifndef LORAM_CZSTD_SHIM_H
#define LORAM_CZSTD_SHIM_H

#ifndef ZSTD_STATIC_LINKING_ONLY
#define ZSTD_STATIC_LINKING_ONLY
#endif
#include <zstd.h>

/// Entropy coding alone: the fastest search that there is, and literals are Huffman-coded although the level is negative.
static inline size_t loram_zstd_set_entropy_only(ZSTD_CCtx *context) {
    size_t code = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, ZSTD_minCLevel());
    if (ZSTD_isError(code)) return code;
    return ZSTD_CCtx_setParameter(context, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
}

static inline size_t loram_zstd_set_level(ZSTD_CCtx *context, int level) {
    return ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
}

/// Frames with a checksum (the low 32 bits of the content's XXH64) and their content size.
static inline size_t loram_zstd_set_checksum(ZSTD_CCtx *context) {
    size_t code = ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    if (ZSTD_isError(code)) return code;
    return ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1);
}

#endif
