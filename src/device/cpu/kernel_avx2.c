/*
 * kernel_avx2.c
 *		kernel.h for AVX2 with FMA.
 */
#include "cpu.h"

#include <immintrin.h>

#define KERNEL_TABLE pm_cpu_kernels_avx2
#define KERNEL_NAME "avx2"
#define LANES 8
#define VECTORS 3
#define WIDTH 4
#define PAIR 1

typedef __m256 Vec;

#define V_SET(f) _mm256_set1_ps(f)
#define V_LOAD(p) _mm256_loadu_ps((const float *) (p))
#define V_STORE(p, v) _mm256_storeu_ps((p), (v))
#define V_MAX(a, b) _mm256_max_ps((a), (b))
#define V_MIN(a, b) _mm256_min_ps((a), (b))
#define V_MUL_ADD(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define V_WORD(w) _mm256_castsi256_ps(_mm256_set1_epi32((int) (w)))
#define V_TAG(v, n) \
	_mm256_or_ps(_mm256_and_ps((v), _mm256_castsi256_ps(_mm256_set1_epi32(-PM_CPU_BLOCK))), \
				 _mm256_castsi256_ps(_mm256_set1_epi32(n)))

#include "kernel.h"
