// The linear layer's three products: arguments are checked and put into the form of product.h.
#include "../include/loram_kernels.h"
#include "product.h"

size_t loram_linear_workspace(const loram_kernels *kernels, loram_compute compute, loram_product product, long tokens, long outputs, long inputs, long rank, int workers) {
    // Room to align the caller's pointer.
    const size_t slack = 64;
    if (product == LORAM_WEIGHT_GRADIENT) return slack + loram_product_workspace(kernels, compute, outputs, inputs, tokens, 0, workers);
    if (product == LORAM_INPUT_GRADIENT) return slack + loram_product_workspace(kernels, compute, tokens, inputs, outputs, rank, workers);
    // The path of few tokens needs sizes of its own, which do not grow evenly with the tokens.
    size_t most = tokens > LORAM_SMALL_TOKENS ? loram_product_workspace(kernels, compute, tokens, outputs, inputs, rank, workers) : 0;
    for (long few = 1; few <= loram_min(tokens, LORAM_SMALL_TOKENS); few++) {
        size_t size = loram_few_tokens_workspace(kernels, compute, few, inputs, rank, workers);
        most = size > most ? size : most;
    }
    return slack + most;
}

static int valid_execution(const loram_execution *e) {
    return e && e->kernels && e->workers >= 1 && (e->compute == LORAM_COMPUTE_F32 || e->compute == LORAM_COMPUTE_BF16);
}

static int valid_weight(const loram_weight *w) {
    if (!w || w->rows < 0 || w->columns < 0 || (unsigned)w->element > LORAM_ELEMENT_NF4) return 0;
    if (w->rows == 0 || w->columns == 0) return 1;
    if (!w->data) return 0;
    if (w->element != LORAM_ELEMENT_NF4) return w->row_stride >= w->columns;
    return w->scales.absmax && (!w->scales.nested_absmax || w->scales.nested_map);
}

static int valid_low_rank(const loram_low_rank *l) {
    return !l || l->rank == 0 || (l->rank > 0 && l->rank <= LORAM_MAX_RANK && l->left && l->right);
}

static loram_status forward(const loram_execution *execution, int again, float *y, long y_stride, const float *start, int rounds, const float *x, long x_stride, const loram_weight *weight, long tokens, const loram_low_rank *low_rank) {
    if (!valid_execution(execution) || !valid_weight(weight) || !valid_low_rank(low_rank) || tokens < 0) return LORAM_BAD_ARGUMENT;
    loram_matrix_product product = {
        .m = tokens, .n = weight->rows, .k = weight->columns, .c = y, .c_stride = y_stride, .start = start, .rounds = rounds, .a = x, .a_stride = x_stride,
        .a_packed = again, .b = *weight, .b_transposed = 1, .low_rank = low_rank && low_rank->rank ? low_rank : NULL, .right_transposed = 1,
    };
    if (tokens > LORAM_SMALL_TOKENS) return loram_run_product(execution, &product);
    loram_status status = loram_few_tokens(execution, &product);
    if (status == LORAM_OK && product.rounds) loram_round_bf16(y, tokens, weight->rows, y_stride);
    return status;
}

loram_status loram_linear_forward(const loram_execution *execution, float *y, long y_stride, const float *start, int rounds, const float *x, long x_stride, const loram_weight *weight, long tokens, const loram_low_rank *low_rank) {
    return forward(execution, 0, y, y_stride, start, rounds, x, x_stride, weight, tokens, low_rank);
}

loram_status loram_linear_forward_again(const loram_execution *execution, float *y, long y_stride, const float *start, int rounds, const float *x, long x_stride, const loram_weight *weight, long tokens, const loram_low_rank *low_rank) {
    return forward(execution, 1, y, y_stride, start, rounds, x, x_stride, weight, tokens, low_rank);
}

loram_status loram_linear_input_gradient(const loram_execution *execution, float *dx, long dx_stride, int accumulate, const float *dy, long dy_stride, const loram_weight *weight, long tokens, const loram_low_rank *low_rank) {
    if (!valid_execution(execution) || !valid_weight(weight) || !valid_low_rank(low_rank) || tokens < 0) return LORAM_BAD_ARGUMENT;
    loram_matrix_product product = {
        .m = tokens, .n = weight->columns, .k = weight->rows, .c = dx, .c_stride = dx_stride, .start = accumulate ? dx : NULL, .a = dy, .a_stride = dy_stride,
        .b = *weight, .low_rank = low_rank && low_rank->rank ? low_rank : NULL,
    };
    return loram_run_product(execution, &product);
}

loram_status loram_linear_weight_gradient(const loram_execution *execution, float *dw, long dw_stride, int accumulate, const float *dy, long dy_stride, const float *x, long x_stride, long tokens, long outputs, long inputs) {
    if (!valid_execution(execution) || tokens < 0 || outputs < 0 || inputs < 0) return LORAM_BAD_ARGUMENT;
    loram_matrix_product product = {
        .m = outputs, .n = inputs, .k = tokens, .c = dw, .c_stride = dw_stride, .start = accumulate ? dw : NULL, .a = dy, .a_stride = dy_stride, .a_transposed = 1,
        .b = {LORAM_ELEMENT_F32, tokens, inputs, x, x_stride, {0}},
    };
    return loram_run_product(execution, &product);
}
