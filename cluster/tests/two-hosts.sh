#!/usr/bin/env bash
# Two hosts on one machine, to try what happens between hosts: network namespaces with a cable (veth) between them, private addresses,
# host names of their own, and ssh from the first to the second with keys made for it. Needs root, iproute2 and openssh-server.
#
#   two-hosts.sh check                  exits 0 where such hosts can be made
#   two-hosts.sh up DIR [HIDDEN]        makes them; DIR gets keys, `hostfile` (two slots each) and `env`; the second does not see HIDDEN
#   two-hosts.sh run DIR COMMAND...     runs a command on the first host, Open MPI set up for the two
#   two-hosts.sh cut DIR                pulls the cable out of the second
#   two-hosts.sh down DIR               removes all of it, with whatever runs there
set -euo pipefail

check() {
    [ "$(id -u)" = 0 ] || { echo "two hosts: expected to be root" >&2; return 1; }
    local program
    for program in ip unshare ssh ssh-keygen sshd; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || { echo "two hosts: expected the program $program" >&2; return 1; }
    done
    local name=loram-check-$$
    ip netns add "$name" 2>/dev/null && ip netns del "$name" && unshare --uts --mount true 2>/dev/null || {
        echo "two hosts: namespaces are not permitted here" >&2
        return 1
    }
}

# names: of what belongs to DIR, different for every process that makes some.
names() { id=$(cat "$dir/id"); a=loram-a-$id b=loram-b-$id net=10.213.$((id % 250 + 1)); }

up() {
    local hidden=${1-}
    mkdir -p "$dir" /run/sshd
    echo "$$" >"$dir/id"
    names
    ip netns add "$a"
    ip netns add "$b"
    ip -n "$a" link add cable0 type veth peer name cable0 netns "$b"
    ip -n "$a" addr add "$net.1/24" dev cable0
    ip -n "$b" addr add "$net.2/24" dev cable0
    local name
    for name in "$a" "$b"; do
        ip -n "$name" link set lo up
        ip -n "$name" link set cable0 up
    done
    ssh-keygen -q -t ed25519 -N '' -f "$dir/host_key"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/user_key"
    cp "$dir/user_key.pub" "$dir/authorized_keys"
    cat >"$dir/sshd_config" <<CONFIG
ListenAddress $net.2
HostKey $dir/host_key
AuthorizedKeysFile $dir/authorized_keys
PidFile $dir/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 50
CONFIG
    local ssh="-i $dir/user_key -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    printf '%s slots=2\n' "$net.1" "$net.2" >"$dir/hostfile"
    cat >"$dir/env" <<ENV
export LORAM_NETWORK=$net.0/24 SSH_TO_HOST='ssh $ssh' OMPI_MCA_plm_rsh_args='$ssh'
ENV
    # Sessions inherit the server's namespaces, its host name and what it does not see.
    ip netns exec "$b" unshare --uts --mount bash -c '
        hostname "$1"
        [ -z "$3" ] || mount -t tmpfs none "$3"
        exec "$(PATH=$PATH:/usr/sbin:/sbin command -v sshd)" -f "$2/sshd_config" -E "$2/sshd.log"' - "$b" "$dir" "$hidden"
}

run() {
    names
    # shellcheck disable=SC1091
    . "$dir/env"
    eval "$("$(dirname "${BASH_SOURCE[0]}")/../openmpi-env.sh")"
    exec ip netns exec "$a" unshare --uts bash -c 'hostname "$1"; shift; exec "$@"' - "$a" "$@"
}

cut() {
    names
    ip -n "$b" link set cable0 down
}

down() {
    names
    local name
    for name in "$a" "$b"; do
        ip netns pids "$name" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
        ip netns del "$name" 2>/dev/null || true
    done
}

action=${1-}
[ "$action" = check ] || dir=${2:?expected a directory}
case $action in
    check) check ;;
    up | run | cut | down) shift 2; "$action" "$@" ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 64 ;;
esac
