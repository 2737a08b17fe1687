/*
 * context.c
 *		Messages and callbacks of a PmContext.
 */
#include "pm_context.h"

#include <stdarg.h>
#include <stdio.h>

PmStatus
pm_fail(PmContext *ctx, PmStatus status, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	vsnprintf(ctx->message, sizeof(ctx->message), format, args);
	va_end(args);
	return status;
}

bool
pm_interrupted(PmContext *ctx)
{
	return ctx->interrupted != NULL && ctx->interrupted(ctx->host);
}

void
pm_progress(PmContext *ctx, const char *phase, double fraction)
{
	if (ctx->progress != NULL)
		ctx->progress(ctx->host, phase, fraction);
}

void
pm_log(PmContext *ctx, const char *format,...)
{
	char		line[PM_MESSAGE_SIZE];
	va_list		args;

	if (ctx->log == NULL)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	ctx->log(ctx->host, line);
}
