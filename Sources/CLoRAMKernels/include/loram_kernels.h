// Element-wise and row-wise kernels of a Llama's step, in f32. Matrix products are elsewhere.
//
// Legend: N tokens (rows), D hidden size, H heads, d head size, F MLP width, V vocabulary. Matrices are row-major.
// Pointers of one call do not alias unless said. Every function handles the rows or range that it is given and keeps no
// state, so callers split work by shape and results do not depend on the number of threads.
#ifndef LORAM_KERNELS_H
#define LORAM_KERNELS_H

#include <stdint.h>

// --- RMSNorm: y = x * rstd * g, rstd = 1 / sqrt(mean(x^2) + eps) -------------------------------------------------

/// y[rows, D], rstd[rows] from x[rows, D], g[D]. The sum of squares is accumulated in f32 over 16 lanes.
void loram_rmsnorm_forward(float *y, float *rstd, const float *x, const float *g, long rows, long D, float eps);
/// dx[rows, D] += rstd * (g * dy - x * rstd^2 / D * sum(g * dy * x)).
void loram_rmsnorm_backward(float *dx, const float *dy, const float *x, const float *g, const float *rstd, long rows, long D);
/// dg[from ..< to] += sum over rows, in their order, of dy * x * rstd.
void loram_rmsnorm_weight_gradient(float *dg, const float *dy, const float *x, const float *rstd, long rows, long D, long from, long to);

// --- Rotary position embedding, rotate-half form --------------------------------------------------------------------

/// In place on x[rows, heads * d]: pairs (i, i + d/2) of every head are rotated by the angle whose cosine and sine stand at
/// [position, i] of tables [positions, d/2]. sign +1 forward, -1 backward (the inverse rotation). `rounds`: results become bf16 values.
void loram_rope(float *x, long rows, long heads, long d, const int32_t *positions, const float *cosine, const float *sine, float sign, int rounds);

// --- SwiGLU: h = silu(gate) * up ----------------------------------------------------------------------------------------

void loram_swiglu_forward(float *h, const float *gate, const float *up, long count);
/// dgate and dup may alias gate and up.
void loram_swiglu_backward(float *dgate, float *dup, const float *dh, const float *gate, const float *up, long count);

/// The same with gate and up kept in bf16. The first keeps them: gate and up hold bf16 values.
void loram_swiglu_forward_keeping(float *h, uint16_t *kept_gate, uint16_t *kept_up, const float *gate, const float *up, long count);
void loram_swiglu_forward_bf16(float *h, const uint16_t *gate, const uint16_t *up, long count);
void loram_swiglu_backward_bf16(float *dgate, float *dup, const float *dh, const uint16_t *gate, const uint16_t *up, long count);

// --- Attention, one tile of scores ---------------------------------------------------------------------------------------

/// Running softmax over a tile of raw scores s[rows, columns] (leading dimension ld): multiplies by scale, masks columns above
/// diagonal + row (diagonal: the last visible column of row 0; >= columns - 1 masks nothing), raises m[row], rescales l[row] and
/// o[row, d] (leading dimension o_ld), and leaves the unnormalised probabilities in s.
void loram_softmax_tile(float *s, long rows, long columns, long ld, float scale, long diagonal, float *m, float *l, float *o, long d, long o_ld);
/// o[row] /= l[row]; lse[row * lse_stride] = m[row] + log(l[row]).
void loram_softmax_finish(float *o, float *lse, long lse_stride, const float *m, const float *l, long rows, long d, long o_ld);
/// s becomes the probabilities exp(scale * s - lse), with the same mask.
void loram_probability_tile(float *s, long rows, long columns, long ld, float scale, long diagonal, const float *lse, long lse_stride);
/// ds = p * (dp - delta[row]) * scale, into dp, with the same mask; what is masked need not be set.
void loram_score_gradient_tile(float *dp, const float *p, long rows, long columns, long ld, float scale, long diagonal, const float *delta, long delta_stride);
/// delta[row * H + h] = sum over d of o * dO, for o, dO [rows, H * d].
void loram_attention_delta(float *delta, const float *o, const float *d_o, long rows, long heads, long d);

// --- Cross entropy --------------------------------------------------------------------------------------------------------

/// For each row of logits [rows, V] with a label in 0 ..< V: loss[row] = log(sum exp) - logits[label] in f64, and logits become
/// softmax - onehot(label), the gradient of the summed loss. With gradient == 0 the logits are left alone.
void loram_cross_entropy(float *logits, double *loss, const int32_t *labels, long rows, long V, int gradient);

// --- Embedding ------------------------------------------------------------------------------------------------------------

/// table[id, from ..< to] += dx[row, from ..< to], rows in order.
void loram_embedding_backward(float *table, const float *dx, const int32_t *ids, long rows, long D, long from, long to);

// --- Dropout on LoRA's input --------------------------------------------------------------------------------------------------

/// y = x / (1 - p) where kept, else 0, for columns first ..< first + columns of a matrix; x and y point at column `first` (a
/// multiple of 64) of their first row and have row strides x_ld and y_ld. Kept is decided by Philox4x32-10 with counter
/// (column / 8, 0, row_keys[row]) and key `key`, 16 bits an element: an element is dropped when its 16 bits are below
/// `threshold` = round(p * 65536). scale = 1 / (1 - p). With accumulate, y += instead. y may alias x when not accumulating.
void loram_dropout(float *y, long y_ld, const float *x, long x_ld, long rows, long first, long columns, const uint64_t *row_keys, uint64_t key, uint32_t threshold, float scale, int accumulate);

// --- Activations kept in bf16 ---------------------------------------------------------------------------------------------------------

/// f32 -> bf16, to nearest even; NaN stays NaN. And back, exactly.
void loram_narrow_bf16(uint16_t *y, const float *x, long count);
void loram_widen_bf16(float *y, const uint16_t *x, long count);
/// x[rows, columns], rows `stride` apart, to the nearest bf16 values, kept as f32.
void loram_round_bf16(float *x, long rows, long columns, long stride);

// --- Optimizer and plain vectors -------------------------------------------------------------------------------------------------

/// One AdamW update (Loshchilov & Hutter; torch.optim.AdamW's order of operations) of p, m, v with gradient g * gradient_scale.
void loram_adamw(float *p, float *m, float *v, const float *g, long count, float gradient_scale, float learning_rate, float beta1, float beta2, float eps, float weight_decay, float bias1, float bias2_sqrt);
/// y = a + b
void loram_sum(float *y, const float *a, const float *b, long count);

// --- What the machine can do ----------------------------------------------------------------------------------------------------------

/// Name of the widest instruction set in use here: "avx512", "avx2" or "baseline".
const char *loram_isa_name(void);
/// Processors in this process's affinity mask (CPU_COUNT is a macro).
long loram_available_processors(void);
/// statfs(2)'s f_type, 0 where the system does not say.
long loram_file_system_magic(const char *path);
/// memfd_create(2): a file in memory without a name; -1 and errno on failure.
int loram_anonymous_file(const char *name);

#endif
