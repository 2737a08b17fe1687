/*
 * kernel_avx512.c
 *		kernel.h for AVX-512 (F, BW, DQ, VL).
 */
#include "cpu.h"

#include "kernel_avx512.h"

#define KERNEL_TABLE pm_cpu_kernels_avx512
#define KERNEL_NAME "avx512"
#define PAIR 1
#define V_LOAD(p) _mm512_loadu_ps(p)
#define V_WORD(w) _mm512_castsi512_ps(_mm512_set1_epi32((int) (w)))
#define V_MUL_ADD(a, b, c) _mm512_fmadd_ps((a), (b), (c))

#include "kernel.h"
