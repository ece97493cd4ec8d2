#!/usr/bin/env bash
# Makes dist/loram-mpi-VERSION: a folder that runs from any path on machines without Swift, OpenBLAS or root (`make dist`).
#
# The Swift runtime is linked in; OpenBLAS, zstd, zlib and the Fortran runtime lie in lib/, where the program looks first. MPI is the
# site's: any Open MPI of the series that this was built with, found by LD_LIBRARY_PATH (a module sets it) or in the system's folders. So
# are glibc and libstdc++, at least as new as this machine's. At the end the folder is tried out from another path, with an empty
# environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'dist: %s\n' "$*" >&2; }

# A build of its own, so that the ordinary one stays as it is. RPATH, not RUNPATH: it also counts for what the libraries need.
swift build -c release --product loram-mpi --static-swift-stdlib --scratch-path .build/dist ${LORAM_LINK_FLAGS-} \
    -Xlinker -rpath -Xlinker '$ORIGIN/../lib' -Xlinker --disable-new-dtags
program=$(swift build -c release --product loram-mpi --static-swift-stdlib --scratch-path .build/dist --show-bin-path)/loram-mpi
version=$("$program" --version)
name=loram-mpi-$version target=dist/loram-mpi-$version
rm -rf "$target"
mkdir -p "$target/bin" "$target/lib"
cp "$program" "$target/bin/"
strip --strip-debug "$target/bin/loram-mpi"

# libraries FILE: "soname path" of all that it loads but MPI's, with what only MPI needs, and the system's own.
libraries() {
    local soname path
    objdump -p "$1" | awk '$1 == "NEEDED" { print $2 }' | while read -r soname; do
        case $soname in
            libmpi.* | libopen-rte.* | libopen-pal.* | libc.so.* | libm.so.* | libpthread.so.* | libdl.so.* | librt.so.* | libutil.so.* | ld-linux* | libgcc_s.so.* | libstdc++.so.*) continue ;;
        esac
        path=$(ldd "$1" | awk -v name="$soname" '$1 == name { print $3 }')
        [ -n "$path" ] && [ "$path" != not ] || { say "cannot find $soname, which $1 needs"; return 1; }
        echo "$soname $path"
        libraries "$path"
    done
}
libraries "$program" | sort -u | while read -r soname path; do
    cp -L "$path" "$target/lib/$soname"
    chmod 644 "$target/lib/$soname"
done

mkdir -p "$target/cluster"
cp -R cluster/recipes cluster/supervise cluster/openmpi-env.sh cluster/slurm-train.sbatch cluster/mpijob.yaml cluster/read_packed.py cluster/README.md "$target/cluster/"
ln -s cluster/recipes "$target/recipes"
cp -R hostfiles README.md "$target/"

# From another path, with nothing set.
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
cp -R "$target" "$trial/elsewhere"
(
    cd "$trial"
    clean() { env -i PATH=/usr/bin:/bin "$@"; }
    # LD_LIBRARY_PATH is how a module names the site's MPI; this machine's may need it too.
    [ -z "${LD_LIBRARY_PATH-}" ] || clean() { env -i PATH="$PATH" LD_LIBRARY_PATH="$LD_LIBRARY_PATH" "$@"; }
    [ "$(clean elsewhere/bin/loram-mpi --version)" = "$version" ]
    clean elsewhere/bin/loram-mpi recipes >/dev/null
    clean elsewhere/bin/loram-mpi plan --model llama-2-13b --method rand --ratio 0.65 --json >/dev/null
    clean elsewhere/bin/loram-mpi doctor --json >/dev/null
    loaded=$(clean ldd elsewhere/bin/loram-mpi)
    if grep -q 'not found\|libswift\|libFoundation' <<<"$loaded"; then
        say "the program still needs: $(grep 'not found\|libswift\|libFoundation' <<<"$loaded" | tr -s '[:space:]' ' ')"
        exit 1
    fi
    for library in elsewhere/lib/*; do
        grep -q "$(basename "$library") => .*elsewhere/" <<<"$loaded" || { say "$(basename "$library") is not loaded from the folder"; exit 1; }
    done
)
say "$target: $(du -sh "$target" | cut -f 1), $(find "$target/lib" -type f | wc -l) libraries; tried out in $trial/elsewhere"
echo "$target"
