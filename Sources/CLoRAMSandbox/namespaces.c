#define _GNU_SOURCE
#include "sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) loram_report_failure(path);
    close(fd);
}

// The program is nobody in its namespace and, to the files, who started this.
static void map_user(uid_t uid, gid_t gid) {
    char text[64];
    write_file("/proc/self/setgroups", "deny");
    snprintf(text, sizeof text, "65534 %u 1", (unsigned)uid);
    write_file("/proc/self/uid_map", text);
    snprintf(text, sizeof text, "65534 %u 1", (unsigned)gid);
    write_file("/proc/self/gid_map", text);
}

// A /dev that has nothing to break.
static void mount_devices(void) {
    static const char *const names[] = {"null", "zero", "random", "urandom"};
    if (mkdir("/tmp/dev", 0755) != 0) loram_report_failure("mkdir dev");
    for (int i = 0; i < 4; i++) {
        char from[32], to[32];
        snprintf(from, sizeof from, "/dev/%s", names[i]);
        snprintf(to, sizeof to, "/tmp/dev/%s", names[i]);
        int fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0) close(fd);
        if (mount(from, to, NULL, MS_BIND, NULL) != 0) loram_report_failure("mount device");
    }
    if (mount("/tmp/dev", "/dev", NULL, MS_BIND | MS_REC, NULL) != 0) loram_report_failure("mount /dev");
}

void loram_enter_namespaces(uid_t uid, gid_t gid) {
    map_user(uid, gid);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) loram_report_failure("mount private");
    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID, "size=1m,mode=0755") != 0) loram_report_failure("mount /tmp");
    mount_devices();
    if (mkdir(LORAM_WORK_DIRECTORY, 0755) != 0) loram_report_failure("mkdir work");
    // Where the system hides parts of /proc it allows no new one: then there is none.
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0
        && mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV, "size=4k,mode=0555") != 0)
        loram_report_failure("mount /proc");
    struct { uint64_t set, clear, propagation, userns; } read_only = {.set = 1 /* RDONLY */ | 2 /* NOSUID */};
    if (syscall(SYS_mount_setattr, -1, "/", 0x8000 /* AT_RECURSIVE */, &read_only, sizeof read_only) != 0) loram_report_failure("mount_setattr");
    if (mount("tmpfs", LORAM_WORK_DIRECTORY, "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=0777,nr_inodes=4096") != 0)
        loram_report_failure("mount work");
}
