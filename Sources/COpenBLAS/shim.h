// OpenBLAS's own C interface. LAPACK is called by its Fortran symbols (LAPACKE is a separate library).
#ifndef LORAM_COPENBLAS_SHIM_H
#define LORAM_COPENBLAS_SHIM_H

#include <cblas.h>

/// Cholesky factor of a symmetric positive definite matrix, in place. info > 0: not positive definite.
void spotrf_(const char *uplo, const blasint *n, float *a, const blasint *lda, blasint *info);
/// Inverse from the Cholesky factor, in place.
void spotri_(const char *uplo, const blasint *n, float *a, const blasint *lda, blasint *info);

#endif
