// Functions of the portable set that other files of it define.
#ifndef LORAM_PORTABLE_H
#define LORAM_PORTABLE_H

#include "gemm_internal.h"

void loram_portable_scales(const loram_nf4_scales *scales, long first, long blocks, float *out);
void loram_portable_quantize_blocks(const void *source, loram_element element, long blocks, uint8_t *codes, void *absmax);
void loram_portable_narrow(void *target, loram_element element, const float *source, long count);

#endif
