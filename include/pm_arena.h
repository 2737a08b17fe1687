/*
 * pm_arena.h
 *		Memory of one run: counted, limited, freed as a whole.
 *
 * An arena hands out large zeroable blocks and keeps count of them.  Its
 * limit is precmkt.max_memory: a request that would pass it is refused
 * before anything is allocated.  Inside a backend the blocks come from a
 * MemoryContext, so an ERROR frees them; elsewhere from malloc.
 */
#ifndef PM_ARENA_H
#define PM_ARENA_H

#include "pm_context.h"

typedef struct PmArena PmArena;

/* Where an arena's memory comes from.  resize keeps the contents. */
typedef struct PmAllocator
{
	void	   *(*allocate) (void *source, size_t bytes);
	void	   *(*resize) (void *source, void *block, size_t bytes);
	void		(*release) (void *source, void *block);
	void	   *source;
} PmAllocator;

extern const PmAllocator pm_malloc_allocator;

/* limit = 0: none */
extern PmArena *pm_arena_create(const PmAllocator *allocator, size_t limit);
extern void pm_arena_destroy(PmArena *arena);

/*
 * All return PM_NO_MEMORY, PM_MEMORY_LIMIT or PM_TOO_LARGE with a message
 * that names `what` and the bytes wanted; *out is NULL then.  Arrays are
 * aligned to 64 bytes and count * size is checked for overflow.  A count of
 * 0 gives a valid pointer.
 */
extern PmStatus pm_alloc(PmContext *ctx, const char *what, size_t count,
						 size_t size, void *out);
extern PmStatus pm_alloc_zero(PmContext *ctx, const char *what, size_t count,
							  size_t size, void *out);

/*
 * Make room for `count` elements in *array, which holds *capacity of them;
 * grows geometrically, but never past the limit for slack alone.
 */
extern PmStatus pm_reserve(PmContext *ctx, const char *what, size_t count,
						   size_t size, void *array, size_t *capacity);

/* Give one block back early.  NULL is allowed. */
extern void pm_release(PmContext *ctx, void *block);

extern size_t pm_arena_used(const PmArena *arena);
extern size_t pm_arena_peak(const PmArena *arena);
extern size_t pm_arena_limit(const PmArena *arena);

/* True, and *product set, when a * b fits. */
static inline bool
pm_multiply(size_t a, size_t b, size_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

#endif							/* PM_ARENA_H */
