// Open MPI for Swift. Functions and handle types import as they are; what does not import is wrapped here, and nothing else:
// communicators, datatypes, operations, error handlers and special values are macros with casts, and MPI_Init_thread takes
// an argument list that Swift has no use for.
#ifndef LORAM_CMPI_SHIM_H
#define LORAM_CMPI_SHIM_H

#include <mpi.h>

// Communicators
static inline MPI_Comm loram_mpi_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Comm loram_mpi_comm_null(void) { return MPI_COMM_NULL; }

// Datatypes
static inline MPI_Datatype loram_mpi_float(void) { return MPI_FLOAT; }
static inline MPI_Datatype loram_mpi_double(void) { return MPI_DOUBLE; }
static inline MPI_Datatype loram_mpi_uint8(void) { return MPI_UINT8_T; }
static inline MPI_Datatype loram_mpi_int64(void) { return MPI_INT64_T; }

// Operations
static inline MPI_Op loram_mpi_sum(void) { return MPI_SUM; }
static inline MPI_Op loram_mpi_max(void) { return MPI_MAX; }

// Special values
static inline const void *loram_mpi_in_place(void) { return MPI_IN_PLACE; }
static inline MPI_Request loram_mpi_request_null(void) { return MPI_REQUEST_NULL; }
static inline MPI_Info loram_mpi_info_null(void) { return MPI_INFO_NULL; }
static inline MPI_Errhandler loram_mpi_errors_return(void) { return MPI_ERRORS_RETURN; }
static inline int loram_mpi_undefined(void) { return MPI_UNDEFINED; }
static inline int loram_mpi_type_shared(void) { return MPI_COMM_TYPE_SHARED; }
static inline int loram_mpi_max_error_string(void) { return MPI_MAX_ERROR_STRING; }

// Only the main thread calls MPI.
static inline int loram_mpi_thread_funneled(void) { return MPI_THREAD_FUNNELED; }
static inline int loram_mpi_init_thread(int required, int *provided) {
    return MPI_Init_thread(NULL, NULL, required, provided);
}

#endif
