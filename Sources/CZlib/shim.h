// zlib's inflate; its start is a macro, which Swift does not import.
#ifndef LORAM_CZLIB_SHIM_H
#define LORAM_CZLIB_SHIM_H

#include <zlib.h>

/// Reads gzip streams (RFC 1952) alone.
static inline int loram_inflate_init(z_stream *stream) { return inflateInit2(stream, 16 + MAX_WBITS); }

#endif
