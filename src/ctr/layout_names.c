/*
 * layout_names.c
 *		What the parts of a layout and their indexes are called.
 */
#include "layout.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "pm_hash.h"

static const char *const weekdays[PM_WEEKDAYS] = {
	"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
	"Sunday"
};

/* Text that grows into a buffer like snprintf's. */
typedef struct Text
{
	char	   *buffer;
	size_t		size;
	size_t		length;
} Text;

static void
append(Text *text, const char *string, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text->length + i + 1 < text->size)
			text->buffer[text->length + i] = string[i];
	text->length += length;
	if (text->size > 0)
		text->buffer[text->length < text->size ? text->length : text->size - 1] = '\0';
}

static void
append_string(Text *text, const char *string)
{
	append(text, string, strlen(string));
}

/* The shortest of the usual forms that reads back as the same float. */
static void
append_number(Text *text, float value)
{
	char		digits[32];

	for (int precision = 6; precision <= 9; precision++)
	{
		float		back;

		snprintf(digits, sizeof(digits), "%.*g", precision, value);
		if (sscanf(digits, "%f", &back) == 1 && back == value)
			break;
	}
	append_string(text, digits);
}

static void
append_part(Text *text, const PmSchema *schema, const CtrLayout *layout,
			const CtrPart *part)
{
	if (part->kind != CTR_CROSS)
		append_string(text, schema->columns[part->column].name);
	switch (part->kind)
	{
		case CTR_MISSING:
			append_string(text, ".missing");
			break;
		case CTR_WEEKDAY:
			append_string(text, ".weekday");
			break;
		case CTR_HOUR:
			append_string(text, ".hour");
			break;
		case CTR_NUMBER:
			if (schema->columns[part->column].class == PM_COLUMN_TIME ||
				schema->columns[part->column].class == PM_COLUMN_DATE)
				append_string(text, ".days");
			break;
		case CTR_CROSS:
			for (int j = 0; j < part->member_count; j++)
			{
				if (j > 0)
					append_string(text, ":");
				append_part(text, schema, layout, &layout->parts[part->members[j]]);
			}
			break;
		case CTR_BINS:
		case CTR_CATEGORY:
		case CTR_SET:
			break;
	}
}

size_t
pm_ctr_part_name(const PmSchema *schema, const CtrLayout *layout,
				 const CtrPart *part, char *buffer, size_t size)
{
	Text		text = {buffer, size, 0};

	append_part(&text, schema, layout, part);
	return text.length;
}

/* The category of an index. */
static void
append_category(Text *text, const PmSchema *schema, const CtrPart *part,
				int32_t index)
{
	const PmDictionary *dictionary = &schema->columns[part->column].dictionary;
	size_t		length;
	const char *string;

	if (part->code_of == NULL || part->code_of[index] < 0)
		return;
	string = pm_dictionary_string(dictionary, part->code_of[index], &length);
	append(text, string, length);
}

static void
append_bin(Text *text, const CtrPart *part, int32_t index)
{
	if (part->transform == CTR_VALUES)
	{
		append_number(text, part->bounds[index]);
		return;
	}
	append_string(text, index == 0 ? "(" : "[");
	if (index == 0)
		append_string(text, "-infinity");
	else
		append_number(text, part->bounds[index - 1]);
	append_string(text, ", ");
	if (index == part->bound_count)
		append_string(text, "infinity");
	else
		append_number(text, part->bounds[index]);
	append_string(text, ")");
}

static void
append_index(Text *text, const PmSchema *schema, const CtrLayout *layout,
			 const CtrPart *part, int32_t index)
{
	char		digits[16];

	if (index < 0)
		append_string(text, "(other)");
	else if (index == part->rare)
		append_string(text, "(rare)");
	else if (index == part->null)
		append_string(text, "(null)");
	else
		switch (part->kind)
		{
			case CTR_NUMBER:
				if (schema->columns[part->column].class != PM_COLUMN_VECTOR)
					break;
				snprintf(digits, sizeof(digits), "%d", index + 1);
				append_string(text, digits);
				break;
			case CTR_MISSING:
				break;
			case CTR_BINS:
				append_bin(text, part, index);
				break;
			case CTR_WEEKDAY:
				append_string(text, weekdays[index]);
				break;
			case CTR_HOUR:
				snprintf(digits, sizeof(digits), "%d", index);
				append_string(text, digits);
				break;
			case CTR_CATEGORY:
			case CTR_SET:
				append_category(text, schema, part, index);
				break;
			case CTR_CROSS:
				{
					uint64_t	key = part->keys[index];
					int32_t		indexes[CTR_MAX_MEMBERS];

					for (int j = part->member_count - 1; j >= 0; j--)
					{
						uint64_t	radix = (uint64_t) layout->parts[part->members[j]].size + 1;

						indexes[j] = (int32_t) (key % radix) - 1;
						key /= radix;
					}
					for (int j = 0; j < part->member_count; j++)
					{
						if (j > 0)
							append_string(text, ":");
						append_index(text, schema, layout,
									 &layout->parts[part->members[j]], indexes[j]);
					}
					break;
				}
		}
}

size_t
pm_ctr_index_name(const PmSchema *schema, const CtrLayout *layout,
				  const CtrPart *part, int32_t index, char *buffer, size_t size)
{
	Text		text = {buffer, size, 0};

	if (size > 0)
		buffer[0] = '\0';
	append_index(&text, schema, layout, part, index);
	return text.length;
}
