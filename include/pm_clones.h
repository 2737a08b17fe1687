/*
 * pm_clones.h
 *		Hot loops compiled for several instruction sets.
 *
 * PM_CLONES(name, (parameters), (arguments)); makes of the PM_INLINE function
 * name_body, which returns nothing, a function `name` that runs it as
 * compiled for AVX-512, for AVX2 with fused multiply-add, or for any CPU,
 * whichever is the first that the CPU has.  All that name_body calls must be
 * PM_INLINE too, to become part of the clone.
 *
 * Results may differ in the last bits between CPUs, never between runs on
 * one.  The compiler's own target_clones does not serve: gcc 12 takes
 * "arch=haswell" for Intel's Haswell alone, never chooses "arch=x86-64-v3",
 * and has no name for AVX2 with FMA.  There is one clone where clang compiles:
 * PostgreSQL's bitcode cannot refer to what CPUID said.
 */
#ifndef PM_CLONES_H
#define PM_CLONES_H

#define PM_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define PM_CLONES(name, parameters, arguments) \
	__attribute__((target("avx512f,fma"))) \
	static void name##_avx512 parameters { name##_body arguments; } \
	__attribute__((target("avx2,fma"))) \
	static void name##_avx2 parameters { name##_body arguments; } \
	static void name parameters \
	{ \
		if (__builtin_cpu_supports("avx512f") && \
			__builtin_cpu_supports("fma")) \
			name##_avx512 arguments; \
		else if (__builtin_cpu_supports("avx2") && \
				 __builtin_cpu_supports("fma")) \
			name##_avx2 arguments; \
		else \
			name##_body arguments; \
	} \
	_Static_assert(1, "takes the semicolon")
#else
#define PM_CLONES(name, parameters, arguments) \
	static void name parameters { name##_body arguments; } \
	_Static_assert(1, "takes the semicolon")
#endif

#endif							/* PM_CLONES_H */
