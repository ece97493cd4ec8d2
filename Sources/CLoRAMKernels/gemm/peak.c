// What one core can do: the limits that measured kernels are compared with.
#include <time.h>

#include "gemm_internal.h"

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

double loram_peak_gflops(const loram_kernels *kernels, loram_compute compute, double seconds) {
    double start = now(), work = 0, elapsed;
    do {
        work += kernels->peak(compute, 100000);
        elapsed = now() - start;
    } while (elapsed < seconds);
    return work / elapsed * 1e-9;
}

double loram_peak_copy(void *target, const void *source, size_t bytes, double seconds) {
    double start = now(), copied = 0, elapsed;
    do {
        memcpy(target, source, bytes);
        __asm__ volatile("" : : "r"(target) : "memory");
        copied += (double)bytes;
        elapsed = now() - start;
    } while (elapsed < seconds);
    return copied / elapsed;
}

double loram_peak_decode(const loram_kernels *kernels, loram_compute compute, double seconds) {
    enum { COUNT = 4096, BLOCKS = COUNT / LORAM_NF4_BLOCK };
    static const float nested_absmax[1] = {0.5f};
    uint8_t codes[COUNT / 2], absmax[BLOCKS];
    float decoded[COUNT + 2 * LORAM_MARGIN];
    for (int i = 0; i < COUNT / 2; i++) codes[i] = (uint8_t)(i * 37);
    for (int i = 0; i < BLOCKS; i++) absmax[i] = (uint8_t)(i * 11);
    loram_weight weight = {LORAM_ELEMENT_NF4, 1, COUNT, codes, COUNT, {absmax, nested_absmax, loram_nf4_dynamic_map(), 1.0f, 0}};
    const loram_engine *engine = &kernels->engine[compute];
    double start = now(), count = 0, elapsed;
    do {
        for (int i = 0; i < 1000; i++) {
            engine->decode(&weight, 0, 0, COUNT, (char *)decoded + LORAM_MARGIN * engine->element_bytes);
            __asm__ volatile("" : : "r"(decoded) : "memory");
        }
        count += 1000.0 * COUNT;
        elapsed = now() - start;
    } while (elapsed < seconds);
    return count / elapsed;
}
