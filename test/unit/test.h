/*
 * test.h
 *		A small harness: checks, tests, and a last line with their outcome.
 *
 * A test is a function without arguments that makes checks; TEST() runs it.
 * It passes when every check in it held, prints one line for each that did
 * not, and counts as neither when it said SKIP().  main() ends with
 * "return test_report();", which prints "N passed, N failed".
 */
#ifndef TEST_H
#define TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int	test_passed;
static int	test_failed;
static int	test_bad_checks;	/* of the current test */
static bool test_skipped;
static const char *test_name = "";

/* Say which check failed; printf format and arguments follow. */
#define TEST_FAIL(...) \
	do { \
		printf("%s:%d: %s: ", __FILE__, __LINE__, test_name); \
		printf(__VA_ARGS__); \
		printf("\n"); \
		test_bad_checks++; \
	} while (0)

/* A condition holds. */
#define CHECK(condition) \
	do { \
		if (!(condition)) \
			TEST_FAIL("not true: %s", #condition); \
	} while (0)

/* The same, with a printf text that tells the case apart. */
#define CHECK_CASE(condition, ...) \
	do { \
		if (!(condition)) \
		{ \
			printf("%s:%d: %s: not true: %s: ", __FILE__, __LINE__, \
				   test_name, #condition); \
			printf(__VA_ARGS__); \
			printf("\n"); \
			test_bad_checks++; \
		} \
	} while (0)

/* Two integers are equal. */
#define CHECK_INT(actual, expected) \
	do { \
		long long	test_actual = (long long) (actual); \
		long long	test_expected = (long long) (expected); \
		if (test_actual != test_expected) \
			TEST_FAIL("%s is %lld, not %lld", #actual, test_actual, \
					  test_expected); \
	} while (0)

/* Two strings are equal. */
#define CHECK_TEXT(actual, expected) \
	do { \
		const char *test_actual = (actual); \
		const char *test_expected = (expected); \
		if (strcmp(test_actual, test_expected) != 0) \
			TEST_FAIL("%s is \"%s\", not \"%s\"", #actual, test_actual, \
					  test_expected); \
	} while (0)

/* |actual - expected| <= absolute + relative * |expected|; NaN never is. */
static inline bool
test_close(double actual, double expected, double relative, double absolute)
{
	return actual == expected ||
		fabs(actual - expected) <= absolute + relative * fabs(expected);
}

#define CHECK_CLOSE(actual, expected, relative, absolute) \
	do { \
		double		test_actual = (actual); \
		double		test_expected = (expected); \
		if (!test_close(test_actual, test_expected, relative, absolute)) \
			TEST_FAIL("%s is %.17g, not %.17g", #actual, test_actual, \
					  test_expected); \
	} while (0)

/* A call gives this status; its message is shown where it does not. */
#define CHECK_STATUS(ctx, call, expected) \
	do { \
		PmStatus	test_status = (call); \
		if (test_status != (expected)) \
			TEST_FAIL("%s gives status %d, not %s (%d): %s", #call, \
					  (int) test_status, #expected, (int) (expected), \
					  (ctx)->message); \
	} while (0)

/* Leave the test, saying why it cannot run here. */
#define SKIP(...) \
	do { \
		printf("SKIP %s: ", test_name); \
		printf(__VA_ARGS__); \
		printf("\n"); \
		test_skipped = true; \
		return; \
	} while (0)

/* Run one test. */
static inline void
test_run(const char *name, void (*test) (void))
{
	test_name = name;
	test_bad_checks = 0;
	test_skipped = false;
	test();
	if (test_bad_checks > 0)
		test_failed++;
	else if (!test_skipped)
		test_passed++;
	fflush(stdout);
}

#define TEST(function) test_run(#function, function)

/* The last line, and the exit status of main(). */
static inline int
test_report(void)
{
	printf("%d passed, %d failed\n", test_passed, test_failed);
	return test_failed == 0 ? 0 : 1;
}

#endif							/* TEST_H */
