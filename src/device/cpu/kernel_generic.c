/*
 * kernel_generic.c
 *		kernel.h in the compiler's own vectors: for any processor.
 */
#include "cpu.h"

#define KERNEL_TABLE pm_cpu_kernels_generic
#define KERNEL_NAME "generic"
#define LANES 4
#define VECTORS 2
#define WIDTH 4
#define PAIR 1

typedef float Vec __attribute__((vector_size(16)));
typedef int32_t Mask __attribute__((vector_size(16)));

/* Load without asking for alignment. */
#define V_LOAD(p) (*(const VecAnywhere *) (p))
#define V_STORE(p, v) (*(VecAnywhere *) (p) = (v))
#define V_SET(f) ((f) - (Vec) {0})
#define V_CHOOSE(mask, a, b) ((Vec) (((mask) & (Mask) (a)) | (~(mask) & (Mask) (b))))
#define V_MAX(a, b) V_CHOOSE((a) > (b), a, b)
#define V_MIN(a, b) V_CHOOSE((a) < (b), a, b)
#define V_MUL_ADD(a, b, c) ((c) + (a) * (b))
#define V_WORD(w) ((Vec) ((Mask) {0} + (int32_t) (w)))
#define V_TAG(v, n) ((Vec) (((Mask) (v) & -PM_CPU_BLOCK) | (n)))

typedef float VecAnywhere __attribute__((vector_size(16), aligned(4), may_alias));

#include "kernel.h"
