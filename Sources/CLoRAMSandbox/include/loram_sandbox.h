// A server process that runs Python programs nobody vouches for, one at a time, each in a jail of its own.
//
// The server is forked before MPI starts, since nothing may fork afterwards, and speaks over a socket: a loram_program with the program's
// text goes in, a loram_program_result with the tail of its stderr comes out. It ends when the socket is closed, and its program with it.
#pragma once
#include <stdint.h>
#include <sys/types.h>

// What holds a program in, beside a filter of system calls (no processes, no signals, no sockets) and resource limits, which it always has.
enum loram_jail {
    // Namespaces of its own: no network, no other processes, all files read-only but an empty directory in memory.
    LORAM_JAIL_NAMESPACES,
    // Landlock: writing only below a directory of its own, which is removed afterwards.
    LORAM_JAIL_LANDLOCK,
};

typedef struct {
    uint32_t byte_count;     // of the text that follows
    uint32_t timeout_ms;     // wall clock
    uint64_t memory_bytes;   // address space
    uint64_t file_bytes;     // of each file that it writes
} loram_program;

enum loram_program_end {
    LORAM_PROGRAM_EXITED,    // detail: exit code
    LORAM_PROGRAM_SIGNALLED, // detail: signal
    LORAM_PROGRAM_TIMED_OUT,
    LORAM_PROGRAM_NO_JAIL,   // detail: errno, step: what failed; the program was not run
};

typedef struct {
    int32_t end, detail;
    uint32_t output_bytes;   // of stderr's tail, which follows
    char step[24];
    char token[32];          // first bytes that the program wrote to descriptor 3
} loram_program_result;

// Starts a server. Returns its socket, -1 with errno where that fails. `python`: path of the interpreter.
int loram_sandbox_start(const char *python, enum loram_jail jail, pid_t *server);
