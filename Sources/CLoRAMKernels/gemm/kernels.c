// The registry of kernel sets.
#include "gemm_internal.h"

static const loram_kernels *const sets[] = {
#if defined(__x86_64__)
    &loram_kernels_avx512bf16,
    &loram_kernels_avx512,
    &loram_kernels_avx2,
#endif
    &loram_kernels_portable,
};

int loram_kernels_count(void) { return (int)(sizeof sets / sizeof sets[0]); }

const loram_kernels *loram_kernels_at(int index) { return index < 0 || index >= loram_kernels_count() ? NULL : sets[index]; }

const char *loram_kernels_name(const loram_kernels *kernels) { return kernels->name; }

const loram_kernels *loram_kernels_named(const char *name) {
    for (int i = 0; i < loram_kernels_count(); i++)
        if (strcmp(sets[i]->name, name) == 0) return sets[i]->available() ? sets[i] : NULL;
    return NULL;
}

const loram_kernels *loram_kernels_best(void) {
    int i = 0;
    while (!sets[i]->available()) i++;
    return sets[i];
}
