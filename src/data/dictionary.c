/*
 * dictionary.c
 *		Strings and their codes.
 */
#include "pm_schema.h"

#include <limits.h>
#include <string.h>

#include "pm_hash.h"
#include "pm_sort.h"

#define FIRST_SLOTS 64
#define CHECK_INTERVAL 256

static uint32_t
slot_of(const PmDictionary *dictionary, const char *string, size_t length)
{
	return (uint32_t) pm_hash64(0, string, length) &
		(dictionary->slot_count - 1);
}

PmStatus
pm_dictionary_init(PmContext *ctx, PmDictionary *dictionary)
{
	memset(dictionary, 0, sizeof(*dictionary));
	PM_TRY(pm_reserve(ctx, "dictionary", 1, sizeof(uint64_t),
					  &dictionary->offsets, &dictionary->offsets_capacity));
	dictionary->offsets[0] = 0;
	PM_TRY(pm_reserve(ctx, "dictionary", 1, 1, &dictionary->bytes,
					  &dictionary->bytes_capacity));
	PM_TRY(pm_alloc(ctx, "dictionary", FIRST_SLOTS, sizeof(int32_t),
					&dictionary->slots));
	dictionary->slot_count = FIRST_SLOTS;
	memset(dictionary->slots, 0xff, FIRST_SLOTS * sizeof(int32_t));
	return PM_OK;
}

/* From a slot on, the one that holds the string, or the free one for it. */
static uint32_t
probe_from(const PmDictionary *dictionary, uint32_t slot, const char *string,
		   size_t length)
{
	for (;;)
	{
		int32_t		code = dictionary->slots[slot];
		size_t		held_length;
		const char *held;

		if (code < 0)
			return slot;
		held = pm_dictionary_string(dictionary, code, &held_length);
		if (held_length == length && memcmp(held, string, length) == 0)
			return slot;
		slot = (slot + 1) & (dictionary->slot_count - 1);
	}
}

/* The slot that holds the string, or the free one where it would go. */
static uint32_t
probe(const PmDictionary *dictionary, const char *string, size_t length)
{
	return probe_from(dictionary, slot_of(dictionary, string, length), string, length);
}

int32_t
pm_dictionary_find(const PmDictionary *dictionary, const char *string,
				   size_t length)
{
	int32_t		code = dictionary->slots[probe(dictionary, string, length)];

	return code < 0 ? PM_CODE_UNSEEN : code;
}

void
pm_dictionary_find_all(PmLookup *lookups, int count)
{
	for (int i = 0; i < count; i++)
	{
		PmLookup   *one = &lookups[i];

		one->slot = slot_of(one->dictionary, one->string, one->length);
		__builtin_prefetch(&one->dictionary->slots[one->slot]);
	}
	for (int i = 0; i < count; i++)
	{
		PmLookup   *one = &lookups[i];

		one->first = one->dictionary->slots[one->slot];
		if (one->first >= 0)
			__builtin_prefetch(&one->dictionary->offsets[one->first]);
	}
	for (int i = 0; i < count; i++)
	{
		PmLookup   *one = &lookups[i];

		if (one->first >= 0)
			__builtin_prefetch(one->dictionary->bytes + one->dictionary->offsets[one->first]);
	}
	for (int i = 0; i < count; i++)
	{
		PmLookup   *one = &lookups[i];
		uint32_t	slot = probe_from(one->dictionary, one->slot, one->string, one->length);
		int32_t		code = one->dictionary->slots[slot];

		*one->code = code < 0 ? PM_CODE_UNSEEN : code;
	}
}

/*
 * Put every code into the slots anew.  Strings made up to share their slots
 * take long, so the caller can stop it.
 */
static PmStatus
fill_slots(PmContext *ctx, PmDictionary *dictionary)
{
	memset(dictionary->slots, 0xff,
		   (size_t) dictionary->slot_count * sizeof(int32_t));
	for (int32_t code = 0; code < dictionary->count; code++)
	{
		size_t		length;
		const char *string = pm_dictionary_string(dictionary, code, &length);

		if (code % CHECK_INTERVAL == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "a dictionary was cancelled");
		dictionary->slots[probe(dictionary, string, length)] = code;
	}
	return PM_OK;
}

/* Twice the slots. */
static PmStatus
grow_slots(PmContext *ctx, PmDictionary *dictionary)
{
	int32_t    *slots;

	PM_TRY(pm_alloc(ctx, "dictionary", (size_t) dictionary->slot_count * 2,
					sizeof(int32_t), &slots));
	pm_release(ctx, dictionary->slots);
	dictionary->slots = slots;
	dictionary->slot_count *= 2;
	return fill_slots(ctx, dictionary);
}

PmStatus
pm_dictionary_add(PmContext *ctx, PmDictionary *dictionary,
				  const char *string, size_t length, int32_t *code)
{
	uint32_t	slot = probe(dictionary, string, length);

	*code = dictionary->slots[slot];
	if (*code >= 0)
		return PM_OK;
	if (dictionary->count >= INT32_MAX / 2)
		return pm_fail(ctx, PM_TOO_LARGE, "a dictionary holds at most %d strings",
					   INT32_MAX / 2);
	PM_TRY(pm_reserve(ctx, "dictionary", dictionary->bytes_used + length, 1,
					  &dictionary->bytes, &dictionary->bytes_capacity));
	PM_TRY(pm_reserve(ctx, "dictionary", (size_t) dictionary->count + 2,
					  sizeof(uint64_t), &dictionary->offsets,
					  &dictionary->offsets_capacity));
	memcpy(dictionary->bytes + dictionary->bytes_used, string, length);
	dictionary->bytes_used += length;
	*code = dictionary->count++;
	dictionary->offsets[*code + 1] = dictionary->bytes_used;
	dictionary->slots[slot] = *code;
	if ((uint32_t) dictionary->count > dictionary->slot_count / 2)
		PM_TRY(grow_slots(ctx, dictionary));
	return PM_OK;
}

typedef struct SortItem
{
	const char *string;
	size_t		length;
	int32_t		code;
} SortItem;

/* Bytes as unsigned, a prefix before what it begins. */
static int
compare_items(const void *left, const void *right)
{
	const SortItem *a = left;
	const SortItem *b = right;
	int			order = memcmp(a->string, b->string,
							   a->length < b->length ? a->length : b->length);

	if (order != 0)
		return order;
	return (a->length > b->length) - (a->length < b->length);
}

PmStatus
pm_dictionary_sort(PmContext *ctx, PmDictionary *dictionary, int32_t first,
				   int32_t **new_codes)
{
	SortItem   *items;
	char	   *bytes;
	uint64_t	used = 0;

	PM_TRY(pm_alloc(ctx, "dictionary order", dictionary->count,
					sizeof(int32_t), new_codes));
	PM_TRY(pm_alloc(ctx, "dictionary order", dictionary->count,
					sizeof(SortItem), &items));
	PM_TRY(pm_alloc(ctx, "dictionary order", dictionary->bytes_used, 1,
					&bytes));
	for (int32_t code = 0; code < dictionary->count; code++)
	{
		items[code].string = pm_dictionary_string(dictionary, code,
												  &items[code].length);
		items[code].code = code;
	}
	PM_TRY(pm_sort(ctx, items + first, dictionary->count - first, sizeof(SortItem), compare_items));
	for (int32_t code = 0; code < dictionary->count; code++)
	{
		memcpy(bytes + used, items[code].string, items[code].length);
		(*new_codes)[items[code].code] = code;
		dictionary->offsets[code] = used;
		used += items[code].length;
	}
	dictionary->offsets[dictionary->count] = used;
	pm_release(ctx, items);
	pm_release(ctx, dictionary->bytes);
	dictionary->bytes = bytes;
	dictionary->bytes_capacity = used;
	return fill_slots(ctx, dictionary);
}
