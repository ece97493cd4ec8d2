#pragma once
#include "loram_sandbox.h"

// What goes wrong between fork and exec is reported through this descriptor, which exec closes.
#define LORAM_REPORT_FD 4

typedef struct {
    int32_t code;
    char step[24];
} loram_report;

// Sends errno with the step's name through LORAM_REPORT_FD and ends the process.
__attribute__((noreturn)) void loram_report_failure(const char *step);

// Each puts this process, for good, into a part of the jail, or reports and ends it.
void loram_enter_namespaces(uid_t uid, gid_t gid);
void loram_enter_landlock(const char *directory);
void loram_drop_privileges(void);
void loram_limit_resources(const loram_program *program);
void loram_filter_system_calls(void);

// Where a program works in its own file system.
#define LORAM_WORK_DIRECTORY "/tmp/work"
