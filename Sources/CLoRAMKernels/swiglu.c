#include "loram_kernels.h"
#include "vector.h"

typedef uint32_t u16v __attribute__((vector_size(64)));
typedef uint16_t s16v __attribute__((vector_size(32)));

#define sigmoid16(x) (1.0f / (1.0f + v16_exp(-(x))))
/// The first n (1...16) of sixteen bf16 values as f32, the rest zero, and back, cutting off what bf16 values do not have.
#define load_bf16(p, n) ({ s16v b_ = {}; __builtin_memcpy(&b_, (p), (size_t)(n) * 2); (v16)(__builtin_convertvector(b_, u16v) << 16); })
#define store_bf16(p, v, n) ({ s16v b_ = __builtin_convertvector((u16v)(v) >> 16, s16v); __builtin_memcpy((p), &b_, (size_t)(n) * 2); (void)0; })
#define load_f32(p, n) v16_load_part(p, n)

#define FORWARD(g, u) ({ v16 g_ = (g); g_ * sigmoid16(g_) * (u); })
/// Each kernel's loop: whole vectors, whose size the compiler knows, then what is left.
#define FOR_EACH_PART(BODY)                                                                                                                   \
    long i = 0;                                                                                                                               \
    for (; i + 16 <= count; i += 16) BODY(16)                                                                                                 \
    if (i < count) BODY(count - i)

LORAM_CLONES
void loram_swiglu_forward(float *h, const float *gate, const float *up, long count) {
#define BODY(n) { v16_store_part(h + i, FORWARD(load_f32(gate + i, n), load_f32(up + i, n)), n); }
    FOR_EACH_PART(BODY)
#undef BODY
}

LORAM_CLONES
void loram_swiglu_forward_keeping(float *h, uint16_t *kept_gate, uint16_t *kept_up, const float *gate, const float *up, long count) {
#define BODY(n) {                                                                                                                             \
        v16 g = load_f32(gate + i, n), u = load_f32(up + i, n);                                                                               \
        v16_store_part(h + i, FORWARD(g, u), n);                                                                                              \
        store_bf16(kept_gate + i, g, n);                                                                                                      \
        store_bf16(kept_up + i, u, n);                                                                                                        \
    }
    FOR_EACH_PART(BODY)
#undef BODY
}

LORAM_CLONES
void loram_swiglu_forward_bf16(float *h, const uint16_t *gate, const uint16_t *up, long count) {
#define BODY(n) { v16_store_part(h + i, FORWARD(load_bf16(gate + i, n), load_bf16(up + i, n)), n); }
    FOR_EACH_PART(BODY)
#undef BODY
}

#define BACKWARD(load, n) {                                                                                                                   \
        v16 g = load(gate + i, n), u = load(up + i, n), t = load_f32(dh + i, n), s = sigmoid16(g);                                            \
        v16_store_part(dgate + i, t * u * s * (1.0f + g * (1.0f - s)), n);                                                                    \
        v16_store_part(dup + i, t * g * s, n);                                                                                                \
    }

LORAM_CLONES
void loram_swiglu_backward(float *dgate, float *dup, const float *dh, const float *gate, const float *up, long count) {
#define BODY(n) BACKWARD(load_f32, n)
    FOR_EACH_PART(BODY)
#undef BODY
}

LORAM_CLONES
void loram_swiglu_backward_bf16(float *dgate, float *dup, const float *dh, const uint16_t *gate, const uint16_t *up, long count) {
#define BODY(n) BACKWARD(load_bf16, n)
    FOR_EACH_PART(BODY)
#undef BODY
}
