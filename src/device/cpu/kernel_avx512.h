/*
 * kernel_avx512.h
 *		The vector operations of kernel.h in AVX-512 (F, BW, DQ, VL): for both
 *		of the kernels that have it.
 */
#ifndef PM_CPU_KERNEL_AVX512_H
#define PM_CPU_KERNEL_AVX512_H

#include <immintrin.h>

#define LANES 16
#define VECTORS 3
#define WIDTH 8

typedef __m512 Vec;

#define V_SET(f) _mm512_set1_ps(f)
#define V_STORE(p, v) _mm512_storeu_ps((p), (v))
#define V_MAX(a, b) _mm512_max_ps((a), (b))
#define V_MIN(a, b) _mm512_min_ps((a), (b))

/* truth table 0xba: (v and not mask) or n */
#define V_TAG(v, n) \
	_mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(v), \
												  _mm512_set1_epi32(PM_CPU_BLOCK - 1), \
												  _mm512_set1_epi32(n), 0xba))

#endif							/* PM_CPU_KERNEL_AVX512_H */
