#define _GNU_SOURCE
#include "sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#if __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#endif

static void limit(int resource, rlim_t value) {
    struct rlimit limits = {value, value};
    if (setrlimit(resource, &limits) != 0) loram_report_failure("setrlimit");
}

void loram_limit_resources(const loram_program *program) {
    limit(RLIMIT_AS, program->memory_bytes);
    limit(RLIMIT_CPU, program->timeout_ms / 1000 + 2);
    limit(RLIMIT_FSIZE, program->file_bytes);
    limit(RLIMIT_NOFILE, 64);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_MEMLOCK, 0);
    limit(RLIMIT_MSGQUEUE, 0);
}

void loram_drop_privileges(void) {
    // Of root outside of a user namespace too: exec gives nothing back. Who has nothing to drop may not set these.
    prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED);
    for (int capability = 0; capability < 64; capability++) prctl(PR_CAPBSET_DROP, capability);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    if (syscall(SYS_capset, &header, none) != 0) loram_report_failure("capset");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) loram_report_failure("no_new_privs");
}

void loram_enter_landlock(const char *directory) {
#if defined(LANDLOCK_CREATE_RULESET_VERSION) && defined(SYS_landlock_create_ruleset)
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) loram_report_failure("landlock");
    // Everything that changes a file or a directory: bits that older systems do not know would be refused.
    uint64_t changes = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR
        | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO
        | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
    if (version >= 2) changes |= 1 << 13;  // refer
    if (version >= 3) changes |= 1 << 14;  // truncate
    if (version >= 5) changes |= 1 << 15;  // ioctl on devices
    struct landlock_ruleset_attr ruleset = {.handled_access_fs = changes};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    if (rules < 0) loram_report_failure("landlock ruleset");
    const struct { const char *path; uint64_t allowed; } places[] = {{directory, changes}, {"/dev/null", LANDLOCK_ACCESS_FS_WRITE_FILE}};
    for (int i = 0; i < 2; i++) {
        struct landlock_path_beneath_attr beneath = {.allowed_access = places[i].allowed, .parent_fd = open(places[i].path, O_PATH | O_CLOEXEC)};
        if (beneath.parent_fd < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
            loram_report_failure("landlock rule");
        close(beneath.parent_fd);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, rules, 0) != 0) loram_report_failure("landlock restrict");
    close(rules);
#else
    (void)directory;
    errno = ENOSYS;
    loram_report_failure("landlock");
#endif
}
