#define _GNU_SOURCE
#include "loram_kernels.h"
#include "vector.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Twenty independent accumulators hide the latency of a fused multiply-add on all current cores.
#define FMA_LOOP(vector, width) \
    vector a[20]; \
    for (int i = 0; i < 20; i++) a[i] = (vector){0} + (float)i; \
    vector m = (vector){0} + 0.999f, c = (vector){0} + 0.001f; \
    for (long n = 0; n < turns; n++) { \
        for (int i = 0; i < 20; i++) a[i] = a[i] * m + c; \
        __asm__ volatile("" : "+m"(*(char *)sink)); \
    } \
    vector total = a[0]; \
    for (int i = 1; i < 20; i++) total += a[i]; \
    memcpy(sink, &total, sizeof total); \
    return 2.0 * 20 * width * (double)turns

typedef float f16x __attribute__((vector_size(64)));
typedef float f8x __attribute__((vector_size(32)));
typedef float f4x __attribute__((vector_size(16)));

#if defined(__x86_64__)
__attribute__((target("arch=x86-64-v4"), min_vector_width(512))) static double turn_avx512(float *sink, long turns) { FMA_LOOP(f16x, 16); }
__attribute__((target("arch=x86-64-v3"))) static double turn_avx2(float *sink, long turns) { FMA_LOOP(f8x, 8); }
#endif
static double turn_baseline(float *sink, long turns) { FMA_LOOP(f4x, 4); }

const char *loram_isa_name(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) return "avx512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
    return "baseline";
}

double loram_measure_fma_peak(void) {
    double (*turn)(float *, long) = turn_baseline;
#if defined(__x86_64__)
    const char *isa = loram_isa_name();
    if (strcmp(isa, "avx512") == 0) turn = turn_avx512;
    else if (strcmp(isa, "avx2") == 0) turn = turn_avx2;
#endif
    float sink[16] __attribute__((aligned(64)));
    double best = 0;
    for (int repeat = 0; repeat < 8; repeat++) {
        double start = seconds();
        double operations = turn(sink, 300000);
        double rate = operations / (seconds() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

long loram_available_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return sysconf(_SC_NPROCESSORS_ONLN);
    return CPU_COUNT(&set);
}

long loram_file_system_magic(const char *path) {
    struct statfs status;
    return statfs(path, &status) == 0 ? (long)(status.f_type & 0xffffffff) : 0;
}

int loram_anonymous_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }
