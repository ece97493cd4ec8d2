#!/usr/bin/env bash
# The AVX-512 kernel sets on a CPU without AVX-512: their sources are compiled against SIMDe (Debian: libsimde-dev), which does each
# instruction in AVX2 or plain C, and compared with the portable set. It shows that results are right, and nothing about speed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -e /usr/include/simde/x86/avx512.h ] || { echo "check.sh: expected SIMDe's headers, found none; apt-get install libsimde-dev" >&2; exit 69; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/../../Sources/CLoRAMKernels/." "$work"
cp "$here/avx512_instructions.h" "$work/include"
cd "$work"
# Functions are for the CPU that is there, intrinsics are SIMDe's, and the sets count as available.
sed -i 's|^#define LORAM_AVX512 .*|#define LORAM_AVX512|; s|^#define LORAM_AVX512BF16 .*|#define LORAM_AVX512BF16|; s|#include <immintrin.h>|#include "avx512_instructions.h"|' gemm/avx512.h
sed -i 's|__builtin_cpu_supports("avx512[a-z0-9]*")|1|g; /__asm__ volatile("" : "+v"(factor));/d' gemm/avx512.c
mkdir objects
for source in *.c gemm/*.c "$here/check.c"; do
    echo "clang -O2 -w $([[ $source == *avx512* ]] && echo -mavx2 -mfma -mf16c) -Iinclude -I. -c $source -o objects/$(tr / _ <<< "$source").o"
done | xargs -P "$(nproc)" -I{} sh -c '{}'
clang objects/*.o -lm -lpthread -o check
./check
