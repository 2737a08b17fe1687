/*
 * arena.c
 *		Counted, limited memory of one run.
 *
 * Every block carries a header in front of its 64-byte aligned data, linked
 * into the arena's list so that pm_arena_destroy() frees what is left.
 */
#include "pm_arena.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

typedef struct Block
{
	struct Block *previous;
	struct Block *next;
	size_t		bytes;			/* of data */
	void	   *allocation;		/* what the allocator gave */
} Block;

struct PmArena
{
	PmAllocator allocator;
	size_t		limit;
	size_t		used;
	size_t		peak;
	Block		blocks;			/* head of a ring */
};

/* Room for the header and for moving the data up to its alignment. */
#define OVERHEAD (sizeof(Block) + ALIGNMENT)

static void *
malloc_allocate(void *source, size_t bytes)
{
	(void) source;
	return malloc(bytes);
}

static void *
malloc_resize(void *source, void *block, size_t bytes)
{
	(void) source;
	return realloc(block, bytes);
}

static void
malloc_release(void *source, void *block)
{
	(void) source;
	free(block);
}

const PmAllocator pm_malloc_allocator = {
	malloc_allocate, malloc_resize, malloc_release, NULL
};

PmArena *
pm_arena_create(const PmAllocator *allocator, size_t limit)
{
	PmArena    *arena = allocator->allocate(allocator->source, sizeof(PmArena));

	if (arena == NULL)
		return NULL;
	memset(arena, 0, sizeof(*arena));
	arena->allocator = *allocator;
	arena->limit = limit;
	arena->blocks.previous = arena->blocks.next = &arena->blocks;
	return arena;
}

void
pm_arena_destroy(PmArena *arena)
{
	PmAllocator allocator = arena->allocator;

	while (arena->blocks.next != &arena->blocks)
	{
		Block	   *block = arena->blocks.next;

		arena->blocks.next = block->next;
		allocator.release(allocator.source, block->allocation);
	}
	allocator.release(allocator.source, arena);
}

static void *
data_of(Block *block)
{
	return (char *) block + sizeof(Block);
}

static Block *
block_of(void *data)
{
	return (Block *) ((char *) data - sizeof(Block));
}

/* The header's place in an allocation: its end, the data, is aligned. */
static Block *
place_block(void *allocation)
{
	uintptr_t	data = (uintptr_t) allocation + sizeof(Block);

	data = (data + ALIGNMENT - 1) & ~(uintptr_t) (ALIGNMENT - 1);
	return (Block *) (data - sizeof(Block));
}

static void
link_block(PmArena *arena, Block *block)
{
	block->previous = &arena->blocks;
	block->next = arena->blocks.next;
	block->next->previous = block;
	arena->blocks.next = block;
	arena->used += block->bytes;
	if (arena->used > arena->peak)
		arena->peak = arena->used;
}

static void
unlink_block(PmArena *arena, Block *block)
{
	block->previous->next = block->next;
	block->next->previous = block->previous;
	arena->used -= block->bytes;
}

/* Would `more` bytes on top of what is used stay within the limit? */
static bool
within_limit(const PmArena *arena, size_t more)
{
	return arena->limit == 0 ||
		(arena->used <= arena->limit && more <= arena->limit - arena->used);
}

/* Check a request and give its size in bytes. */
static PmStatus
check_request(PmContext *ctx, const char *what, size_t count, size_t size,
			  size_t held, size_t *bytes)
{
	PmArena    *arena = ctx->arena;

	if (!pm_multiply(count, size, bytes) ||
		*bytes > SIZE_MAX / 2 - OVERHEAD)
		return pm_fail(ctx, PM_TOO_LARGE, "%s: %zu elements of %zu bytes do not fit into memory",
					   what, count, size);
	if (*bytes > held && !within_limit(arena, *bytes - held))
		return pm_fail(ctx, PM_MEMORY_LIMIT, "%s needs %zu bytes on top of %zu in use, over the limit of %zu",
					   what, *bytes - held, arena->used, arena->limit);
	return PM_OK;
}

PmStatus
pm_alloc(PmContext *ctx, const char *what, size_t count, size_t size,
		 void *out)
{
	PmArena    *arena = ctx->arena;
	size_t		bytes;
	void	   *allocation;
	Block	   *block;

	*(void **) out = NULL;
	PM_TRY(check_request(ctx, what, count, size, 0, &bytes));
	allocation = arena->allocator.allocate(arena->allocator.source,
										   bytes + OVERHEAD);
	if (allocation == NULL)
		return pm_fail(ctx, PM_NO_MEMORY, "%s needs %zu bytes", what, bytes);
	block = place_block(allocation);
	block->allocation = allocation;
	block->bytes = bytes;
	link_block(arena, block);
	*(void **) out = data_of(block);
	return PM_OK;
}

PmStatus
pm_alloc_zero(PmContext *ctx, const char *what, size_t count, size_t size,
			  void *out)
{
	PM_TRY(pm_alloc(ctx, what, count, size, out));
	memset(*(void **) out, 0, count * size);
	return PM_OK;
}

/*
 * Change a block's size.  The allocator may move it to an address of another
 * alignment; the data is then moved within the allocation.
 */
static PmStatus
resize_block(PmContext *ctx, const char *what, size_t bytes, void *array)
{
	PmArena    *arena = ctx->arena;
	Block	   *block = block_of(*(void **) array);
	Block		header = *block;
	size_t		offset = (char *) block - (char *) block->allocation;
	void	   *allocation;

	allocation = arena->allocator.resize(arena->allocator.source,
										 block->allocation, bytes + OVERHEAD);
	if (allocation == NULL)
		return pm_fail(ctx, PM_NO_MEMORY, "%s needs %zu bytes", what, bytes);
	block = place_block(allocation);
	if ((size_t) ((char *) block - (char *) allocation) != offset)
		memmove(block, (char *) allocation + offset,
				sizeof(Block) + (header.bytes < bytes ? header.bytes : bytes));
	*block = header;
	block->allocation = allocation;
	block->bytes = bytes;
	block->previous->next = block;
	block->next->previous = block;
	arena->used += bytes - header.bytes;
	if (arena->used > arena->peak)
		arena->peak = arena->used;
	*(void **) array = data_of(block);
	return PM_OK;
}

PmStatus
pm_reserve(PmContext *ctx, const char *what, size_t count, size_t size,
		   void *array, size_t *capacity)
{
	size_t		held = *(void **) array == NULL ? 0 : block_of(*(void **) array)->bytes;
	size_t		slack = *capacity / 2 > 64 ? *capacity / 2 : 64;
	size_t		bytes;

	if (count <= *capacity)
		return PM_OK;
	PM_TRY(check_request(ctx, what, count, size, held, &bytes));

	/*
	 * Slack of a half.  Pages of it that are never touched cost nothing, but
	 * it must not be what passes the limit: near that, half of what is left,
	 * so that the steps up to it are few.
	 */
	if (!pm_multiply(count + slack, size, &bytes) ||
		bytes > SIZE_MAX / 2 - OVERHEAD)
		slack = 0;
	else if (!within_limit(ctx->arena, bytes - held))
		slack = ((held + ctx->arena->limit - ctx->arena->used) / size - count) / 2;
	count += slack;
	if (*(void **) array == NULL)
		PM_TRY(pm_alloc(ctx, what, count, size, array));
	else
		PM_TRY(resize_block(ctx, what, count * size, array));
	*capacity = count;
	return PM_OK;
}

void
pm_release(PmContext *ctx, void *block)
{
	PmArena    *arena = ctx->arena;

	if (block == NULL)
		return;
	unlink_block(arena, block_of(block));
	arena->allocator.release(arena->allocator.source,
							 block_of(block)->allocation);
}

size_t
pm_arena_used(const PmArena *arena)
{
	return arena->used;
}

size_t
pm_arena_peak(const PmArena *arena)
{
	return arena->peak;
}

size_t
pm_arena_limit(const PmArena *arena)
{
	return arena->limit;
}
