#define _GNU_SOURCE
#include "loram_kernels.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

const char *loram_isa_name(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) return "avx512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
    return "baseline";
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
