// OpenBLAS's own C interface. LAPACK is called by its Fortran symbols (LAPACKE is a separate library).
#ifndef LORAM_COPENBLAS_SHIM_H
#define LORAM_COPENBLAS_SHIM_H

#include <cblas.h>

#endif
