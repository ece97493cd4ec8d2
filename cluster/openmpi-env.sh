#!/usr/bin/env bash
# Prints the shell lines that make a build and a run use the Open MPI of this machine:  eval "$(cluster/openmpi-env.sh)"
#
# Where `mpicc` in PATH belongs to another Open MPI (4 or 5) than pkg-config's ompi-c, as with a module, or where pkg-config has
# none, it writes .build/pkgconfig/ompi-c.pc from what mpicc says and puts that folder first in PKG_CONFIG_PATH, and sets
# LORAM_LINK_FLAGS so that programs find that library at run time. Prints nothing where pkg-config's own Open MPI is the right one.
# Also: permission for mpirun as root (containers, test machines); in containers, shared memory without ptrace; keep-alive, by which the
# loss of a host ends a job in seconds and not after minutes; and, where LORAM_NETWORK names an interface or a subnet (eth0, 10.0.0.0/16),
# that network for everything: Open MPI hangs when it picks a dead one, such as docker0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

write_pkgconfig() {
    local version=$1 compile=$2 link=$3 folder=.build/pkgconfig
    mkdir -p "$folder"
    {
        printf 'Name: Open MPI\nDescription: the Open MPI of mpicc in PATH\nVersion: %s\n' "$version"
        # SwiftPM accepts no other kinds of flags from a pkg-config file.
        printf 'Cflags: %s\n' "$(printf '%s\n' $compile | grep '^-I' | paste -sd ' ')"
        printf 'Libs: %s\n' "$(printf '%s\n' $link | grep -E '^-[Ll]' | paste -sd ' ')"
    } >"$folder/ompi-c.pc.new"
    if cmp -s "$folder/ompi-c.pc.new" "$folder/ompi-c.pc"; then rm "$folder/ompi-c.pc.new"; else mv "$folder/ompi-c.pc.new" "$folder/ompi-c.pc"; fi
    printf 'export PKG_CONFIG_PATH=%q\n' "$PWD/$folder${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
}

# The folder holding libmpi, to tell two installations apart whatever paths name them.
same_folder() { [ -n "$1" ] && [ -n "$2" ] && [ "$(realpath -q "$1")" = "$(realpath -q "$2")" ]; }

if version=$(mpicc --showme:version 2>/dev/null) && [[ $version =~ Open\ MPI\ v?([0-9][0-9.]*) ]]; then
    libdirs=($(mpicc --showme:libdirs))
    if ! same_folder "${libdirs[0]-}" "$(pkg-config --variable=libdir ompi-c 2>/dev/null)"; then
        write_pkgconfig "${BASH_REMATCH[1]}" "$(mpicc --showme:compile)" "$(mpicc --showme:link)"
        flags=
        for folder in "${libdirs[@]}"; do flags+=" -Xlinker -rpath -Xlinker $folder"; done
        printf 'export LORAM_LINK_FLAGS=%q\n' "${flags# }"
    fi
fi
if [ "$(id -u)" = 0 ]; then
    echo 'export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1'
fi
if [ -e /.dockerenv ] || [ -e /run/.containerenv ] || [ -n "${KUBERNETES_SERVICE_HOST-}" ]; then
    echo 'export OMPI_MCA_btl_vader_single_copy_mechanism=none'
fi
echo 'export OMPI_MCA_oob_tcp_keepalive_time=3 OMPI_MCA_oob_tcp_keepalive_intvl=1 OMPI_MCA_oob_tcp_keepalive_probes=3'
if [ -n "${LORAM_NETWORK-}" ]; then
    printf 'export OMPI_MCA_btl_tcp_if_include=%q OMPI_MCA_oob_tcp_if_include=%q PRTE_MCA_prte_if_include=%q\n' "$LORAM_NETWORK" "$LORAM_NETWORK" "$LORAM_NETWORK"
fi
