#include "loram_kernels.h"
