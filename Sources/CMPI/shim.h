// Open MPI behind inline functions: its communicators, datatypes, operations and special
// values are macros with casts, which Swift does not import.
#ifndef LORAM_CMPI_SHIM_H
#define LORAM_CMPI_SHIM_H

#include <mpi.h>

static inline MPI_Comm loram_mpi_comm_world(void) { return MPI_COMM_WORLD; }

#endif
