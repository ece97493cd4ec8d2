#define _GNU_SOURCE
#include "sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_BYTES = 4096, PROGRAM_BYTES = 16 << 20, POLL_MS = 5 };

static int read_all(int fd, void *buffer, size_t count) {
    for (size_t done = 0; done < count;) {
        ssize_t n = read(fd, (char *)buffer + done, count - done);
        if (n == 0 || (n < 0 && errno != EINTR)) return 0;
        if (n > 0) done += (size_t)n;
    }
    return 1;
}

static int write_all(int fd, const void *buffer, size_t count) {
    for (size_t done = 0; done < count;) {
        ssize_t n = write(fd, (const char *)buffer + done, count - done);
        if (n < 0 && errno != EINTR) return 0;
        if (n > 0) done += (size_t)n;
    }
    return 1;
}

void loram_report_failure(const char *step) {
    loram_report report = {.code = errno};
    strncpy(report.step, step, sizeof report.step - 1);
    write_all(LORAM_REPORT_FD, &report, sizeof report);
    _exit(126);
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// Puts the five descriptors that a program's process has in their places: program, stdout, stderr, token, report.
static void place_descriptors(const int fds[5]) {
    int high[5];
    for (int i = 0; i < 5; i++) high[i] = fcntl(fds[i], F_DUPFD, 64);
    for (int i = 0; i < 5; i++) dup2(high[i], i);
    syscall(SYS_close_range, 5u, ~0u, 0u);
    fcntl(LORAM_REPORT_FD, F_SETFD, FD_CLOEXEC);
}

static void execute(const char *python, enum loram_jail jail, const char *directory, const loram_program *program) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(directory) != 0) loram_report_failure("chdir");
    loram_limit_resources(program);
    if (jail == LORAM_JAIL_LANDLOCK) loram_enter_landlock(directory);
    loram_drop_privileges();
    loram_filter_system_calls();
    char home[300], temporary[300];
    snprintf(home, sizeof home, "HOME=%s", directory);
    snprintf(temporary, sizeof temporary, "TMPDIR=%s", directory);
    char *arguments[] = {"python3", "-I", "-B", "-", NULL};
    char *environment[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "OPENBLAS_NUM_THREADS=1", home, temporary, NULL};
    execve(python, arguments, environment);
    loram_report_failure("execve");
}

// The first process of a jail: makes it, starts the program as its child and ends as that ends, and with it all that is left in its PID namespace.
static void be_first(const char *python, enum loram_jail jail, const char *directory, const loram_program *program, uid_t uid, gid_t gid) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    if (jail == LORAM_JAIL_NAMESPACES) loram_enter_namespaces(uid, gid);
    pid_t child = fork();
    if (child < 0) loram_report_failure("fork");
    if (child == 0) execute(python, jail, jail == LORAM_JAIL_NAMESPACES ? LORAM_WORK_DIRECTORY : directory, program);
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, 0)) != child)
        if (ended < 0 && errno != EINTR) _exit(125);
    if (WIFSIGNALED(status)) {
        // The first process of a namespace cannot end itself by a signal: the token's pipe has no more use for one of these codes.
        char mark[2] = {0, (char)WTERMSIG(status)};
        write_all(3, mark, 2);
        _exit(124);
    }
    _exit(WEXITSTATUS(status));
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    (void)status, (void)type, (void)ftw;
    remove(path);
    return 0;
}

// Keeps the last OUTPUT_BYTES of what comes through a descriptor that does not block.
static void drain(int fd, char *tail, uint32_t *count) {
    char piece[OUTPUT_BYTES];
    ssize_t n;
    while ((n = read(fd, piece, sizeof piece)) > 0) {
        uint32_t keep = *count + (uint32_t)n > OUTPUT_BYTES ? OUTPUT_BYTES - (uint32_t)n : *count;
        memmove(tail, tail + *count - keep, keep);
        memcpy(tail + keep, piece, (size_t)n);
        *count = keep + (uint32_t)n;
    }
}

static void run(int socket, const char *python, enum loram_jail jail, int program_fd, const loram_program *program) {
    loram_program_result result = {.end = LORAM_PROGRAM_NO_JAIL};
    char output[OUTPUT_BYTES], directory[] = "/tmp/loram-program-XXXXXX";
    if (jail == LORAM_JAIL_LANDLOCK && !mkdtemp(directory)) {
        result.detail = errno;
        strcpy(result.step, "mkdtemp");
        write_all(socket, &result, sizeof result);
        return;
    }
    int null = open("/dev/null", O_WRONLY), err[2] = {-1, -1}, token[2] = {-1, -1}, report[2] = {-1, -1};
    pid_t child = -1;
    if (pipe2(err, O_NONBLOCK) == 0 && pipe2(token, O_NONBLOCK) == 0 && pipe2(report, O_NONBLOCK) == 0) {
        // Programs block on their own ends.
        fcntl(err[1], F_SETFL, 0);
        fcntl(token[1], F_SETFL, 0);
        uid_t uid = geteuid();
        gid_t gid = getegid();
        long flags = SIGCHLD;
        if (jail == LORAM_JAIL_NAMESPACES) flags |= CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
#if defined(__s390__)
        child = (pid_t)syscall(SYS_clone, 0, flags, 0, 0, 0);
#else
        child = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
#endif
        if (child == 0) {
            place_descriptors((int[]){program_fd, null, err[1], token[1], report[1]});
            be_first(python, jail, directory, program, uid, gid);
        }
    }
    if (child < 0) {
        result.detail = errno;
        strcpy(result.step, "clone");
    }
    close(null), close(err[1]), close(token[1]), close(report[1]);

    long deadline = now_ms() + program->timeout_ms;
    int status = 0, timed_out = 0;
    while (child > 0 && waitpid(child, &status, WNOHANG) == 0) {
        struct pollfd wait[2] = {{.fd = err[0], .events = POLLIN}, {.fd = socket, .events = POLLRDHUP}};
        poll(wait, 2, POLL_MS);
        drain(err[0], output, &result.output_bytes);
        int orphaned = wait[1].revents != 0;
        timed_out = now_ms() >= deadline;
        if (!orphaned && !timed_out) continue;
        // In a PID namespace everything ends with its first process; without, nothing can leave the process group.
        kill(-child, SIGKILL);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        if (orphaned) _exit(0);
        break;
    }
    if (child > 0) {
        loram_report failure;
        drain(err[0], output, &result.output_bytes);
        char mark[sizeof result.token] = {0};
        ssize_t marked = read(token[0], mark, sizeof mark);
        if (timed_out) {
            result.end = LORAM_PROGRAM_TIMED_OUT;
        } else if (read(report[0], &failure, sizeof failure) == sizeof failure) {
            result.detail = failure.code;
            memcpy(result.step, failure.step, sizeof result.step);
        } else if (WIFSIGNALED(status) || WEXITSTATUS(status) == 124) {
            result.end = LORAM_PROGRAM_SIGNALLED;
            result.detail = WIFSIGNALED(status) ? WTERMSIG(status) : marked >= 2 ? mark[marked - 1] : SIGKILL;
        } else {
            result.end = LORAM_PROGRAM_EXITED;
            result.detail = WEXITSTATUS(status);
            memcpy(result.token, mark, sizeof mark);
        }
    }
    close(err[0]), close(token[0]), close(report[0]);
    if (jail == LORAM_JAIL_LANDLOCK) nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    if (!write_all(socket, &result, sizeof result) || !write_all(socket, output, result.output_bytes)) _exit(0);
}

static void serve(int socket, const char *python, enum loram_jail jail) {
    for (;;) {
        loram_program program;
        if (!read_all(socket, &program, sizeof program) || program.byte_count > PROGRAM_BYTES) _exit(0);
        char *text = malloc(program.byte_count + 1);
        if (!text || !read_all(socket, text, program.byte_count)) _exit(0);
        int fd = memfd_create("program", MFD_CLOEXEC);
        if (fd < 0 || !write_all(fd, text, program.byte_count)) _exit(1);
        free(text);
        lseek(fd, 0, SEEK_SET);
        run(socket, python, jail, fd, &program);
        close(fd);
    }
}

int loram_sandbox_start(const char *python, enum loram_jail jail, pid_t *server) {
    int sockets[2];
    char *path = strdup(python);
    if (!path || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        free(path);
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        // Alone from here on: no descriptors, handlers or signal mask of the program that this was.
        dup2(sockets[1], 3);
        syscall(SYS_close_range, 4u, ~0u, 0u);
        for (int number = 1; number < 32; number++) signal(number, SIG_DFL);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_IGN);
        setsid();
        prctl(PR_SET_NAME, "loram-sandbox");
        serve(3, path, jail);
    }
    int code = errno;
    free(path);
    close(sockets[1]);
    if (pid < 0) {
        close(sockets[0]);
        errno = code;
        return -1;
    }
    *server = pid;
    return sockets[0];
}
