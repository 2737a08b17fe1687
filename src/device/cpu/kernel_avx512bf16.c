/*
 * kernel_avx512bf16.c
 *		kernel.h for AVX-512 with bfloat16 products: a word is two coordinates
 *		and a multiply-add counts for two, so the filter runs at twice the
 *		rate.
 */
#include "cpu.h"

#include "kernel_avx512.h"

#define KERNEL_TABLE pm_cpu_kernels_avx512bf16
#define KERNEL_NAME "avx512bf16"
#define PAIR 2
#define V_LOAD(p) _mm512_castsi512_ps(_mm512_loadu_si512(p))
#define V_WORD(w) _mm512_castsi512_ps(_mm512_set1_epi32((int) (w)))
#define V_MUL_ADD(a, b, c) \
	_mm512_dpbf16_ps((c), (__m512bh) _mm512_castps_si512(a), \
					 (__m512bh) _mm512_castps_si512(b))

#include "kernel.h"
