#define _GNU_SOURCE
#include "sandbox_internal.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

// System calls that a program has no use for whose results are all that counts: new processes, signals and other powers over processes, sockets,
// mounts, ownership and modes of files, memory that limits do not count. They fail with EPERM.
static const int refused[] = {
#define REFUSE(name) __NR_##name
#ifdef __NR_fork
    REFUSE(fork), REFUSE(vfork),
#endif
    REFUSE(kill), REFUSE(tkill), REFUSE(tgkill), REFUSE(rt_sigqueueinfo), REFUSE(rt_tgsigqueueinfo), REFUSE(setsid), REFUSE(setpgid), REFUSE(ptrace),
    REFUSE(process_vm_readv), REFUSE(process_vm_writev), REFUSE(kcmp), REFUSE(setpriority), REFUSE(sched_setaffinity), REFUSE(sched_setscheduler),
    REFUSE(sched_setparam), REFUSE(sched_setattr), REFUSE(ioprio_set), REFUSE(migrate_pages), REFUSE(move_pages),
#ifdef __NR_pidfd_open
    REFUSE(pidfd_open), REFUSE(pidfd_send_signal),
#endif
#ifdef __NR_pidfd_getfd
    REFUSE(pidfd_getfd),
#endif
    REFUSE(socket), REFUSE(socketpair), REFUSE(connect), REFUSE(bind), REFUSE(listen), REFUSE(sendto), REFUSE(sendmsg), REFUSE(sendmmsg),
#ifdef __NR_io_uring_setup
    REFUSE(io_uring_setup), REFUSE(io_uring_enter), REFUSE(io_uring_register),
#endif
    REFUSE(mount), REFUSE(umount2), REFUSE(pivot_root), REFUSE(chroot), REFUSE(unshare), REFUSE(setns),
#ifdef __NR_move_mount
    REFUSE(open_tree), REFUSE(move_mount), REFUSE(fsopen), REFUSE(fsmount), REFUSE(fsconfig), REFUSE(fspick),
#endif
#ifdef __NR_chmod
    REFUSE(chmod), REFUSE(chown), REFUSE(lchown), REFUSE(utime), REFUSE(utimes), REFUSE(futimesat),
#endif
    REFUSE(fchmod), REFUSE(fchmodat), REFUSE(fchown), REFUSE(fchownat), REFUSE(utimensat), REFUSE(truncate), REFUSE(setxattr), REFUSE(lsetxattr),
    REFUSE(fsetxattr), REFUSE(removexattr), REFUSE(lremovexattr), REFUSE(fremovexattr),
#ifdef __NR_fchmodat2
    REFUSE(fchmodat2),
#endif
    REFUSE(bpf), REFUSE(perf_event_open), REFUSE(userfaultfd), REFUSE(keyctl), REFUSE(add_key), REFUSE(request_key), REFUSE(memfd_create),
#ifdef __NR_memfd_secret
    REFUSE(memfd_secret),
#endif
    REFUSE(shmget), REFUSE(shmat), REFUSE(shmctl), REFUSE(semget), REFUSE(semctl), REFUSE(msgget), REFUSE(msgctl), REFUSE(mq_open), REFUSE(mq_unlink),
};

enum { REFUSED = sizeof refused / sizeof *refused };

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

void loram_filter_system_calls(void) {
#ifdef ARCHITECTURE
    struct sock_filter code[2 * REFUSED + 24];
    unsigned short n = 0;
#define ADD(...) code[n++] = (struct sock_filter)__VA_ARGS__
#define LOAD(field) ADD(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field)))
// Goes on unless the value is k, then `action` follows.
#define WHEN(k, action) ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 0, 1)), ADD(BPF_STMT(BPF_RET | BPF_K, (action)))
    const unsigned refuse = SECCOMP_RET_ERRNO | EPERM, allow = SECCOMP_RET_ALLOW;
    LOAD(arch);
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    LOAD(nr);
#if defined(__x86_64__)
    // The other numbering of the same system.
    ADD(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
    ADD(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
#endif
    for (int i = 0; i < REFUSED; i++) WHEN((unsigned)refused[i], refuse);
    // Its flags lie in memory, where no filter looks; libraries then take clone.
    WHEN(__NR_clone3, SECCOMP_RET_ERRNO | ENOSYS);
    // Threads may be started.
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 4));
    LOAD(args[0]);
    ADD(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
    ADD(BPF_STMT(BPF_RET | BPF_K, allow));
    ADD(BPF_STMT(BPF_RET | BPF_K, refuse));
    // Limits of its own only.
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_prlimit64, 0, 3));
    LOAD(args[0]);
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0));
    ADD(BPF_STMT(BPF_RET | BPF_K, refuse));
    ADD(BPF_STMT(BPF_RET | BPF_K, allow));
    struct sock_fprog program = {.len = n, .filter = code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) loram_report_failure("seccomp");
#else
    errno = ENOSYS;
    loram_report_failure("seccomp");
#endif
}
