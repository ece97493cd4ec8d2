#!/usr/bin/env bash
# Installs the Debian packages that a build and a run on this machine need, if they are missing; says and does nothing otherwise.
#
# Open MPI is left alone where the machine has its own: an `mpicc` of Open MPI in PATH (a module, say) or a pkg-config file
# `ompi-c`, with `mpirun` in PATH. The other libraries count as present when pkg-config knows them or their package is installed.
# Runs apt-get as root, through sudo otherwise; where neither is possible it prints the one line that an administrator has to run.
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }
has_library() { has pkg-config && pkg-config --exists "$1"; }
has_package() { has dpkg-query && [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
has_open_mpi_compiler() { has mpicc && mpicc --showme:version 2>/dev/null | grep -q 'Open MPI'; }

missing=()
has pkg-config || missing+=(pkg-config)
has_library openblas || has_package libopenblas-dev || missing+=(libopenblas-dev)
has_library libzstd || has_package libzstd-dev || missing+=(libzstd-dev)
has_library zlib || has_package zlib1g-dev || missing+=(zlib1g-dev)
if ! { has mpirun && { has_open_mpi_compiler || has_library ompi-c; }; }; then
    has_package libopenmpi-dev || missing+=(libopenmpi-dev)
    has_package openmpi-bin || missing+=(openmpi-bin)
fi
[ ${#missing[@]} -gt 0 ] || exit 0

say() { printf 'setup: %s\n' "$*" >&2; }
if ! has apt-get; then
    say "missing: ${missing[*]} (Debian's names), and there is no apt-get here; install them with this system's package manager"
    exit 1
fi

if [ "$(id -u)" = 0 ]; then
    root=(env)
elif has sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    root=(sudo env)
else
    say "missing: ${missing[*]}; run as root: apt-get update && apt-get install -y ${missing[*]}"
    exit 1
fi

say "installing ${missing[*]}"
install() { "${root[@]}" DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null >&2; }
update() { "${root[@]}" DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >&2; }
# A fresh image has no package lists; older lists may name versions that are gone.
compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null || update
install || { update && install; } || {
    say "could not install ${missing[*]}: see apt-get's message above"
    exit 1
}
