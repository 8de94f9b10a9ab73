/* Giving up memory for a while. */
#include "base/base.h"
#include "sys/sys.h"

#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Constants that nothing uses: the code that runs is taken again at once, and its neighbours with it. */
enum { BALLAST = 4 << 20 };
static const unsigned char ballast[BALLAST] = { 7, [BALLAST - 1] = 9 };
static unsigned char seen; /* what is read must not be left out by the compiler */

static int touch(struct dl_phdr_info *object, size_t size, void *user)
{
	for (size_t i = 0; i < object->dlpi_phnum && object->dlpi_name[0] == '/'; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		const volatile unsigned char *at = (const void *)(object->dlpi_addr + p->p_vaddr);

		for (size_t n = 0; p->p_type == PT_LOAD && !(p->p_flags & PF_W) && n < p->p_filesz; n += 4096)
			seen ^= at[n];
	}
	return 0;
}

static void touch_all(void)
{
	const volatile unsigned char *at = ballast;

	seen = 0;
	dl_iterate_phdr(touch, NULL);
	for (size_t i = 0; i < BALLAST; i += 4096)
		seen ^= at[i];
	seen ^= at[BALLAST - 1];
}

/* Resident kilobytes of files that are mapped without the right to write. */
static unsigned long resident(void)
{
	autofree char *line = NULL;
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long sum = 0, kb;
	size_t room = 0;
	bool counted = false;
	char perms[8], name[256];

	assert_non_null(f);
	while (getline(&line, &room, f) > 0) {
		if (sscanf(line, "%*x-%*x %7s %*s %*s %*s %255s", perms, name) == 2)
			counted = perms[1] != 'w' && name[0] == '/';
		else if (sscanf(line, "%*x-%*x %7s", perms) == 1)
			counted = false;
		else if (counted && sscanf(line, "Rss: %lu kB", &kb) == 1)
			sum += kb;
	}
	fclose(f);
	return sum;
}

static void code_is_given_up_and_taken_again(void **state)
{
	unsigned char before;
	unsigned long full;

	touch_all();
	before = seen;
	full = resident();
	assert_true(sys_rest() >= BALLAST);
	assert_true(resident() + (BALLAST >> 10) * 3 / 4 < full);
	/* and says the same as before */
	touch_all();
	assert_int_equal(seen, before);
	assert_true(resident() + (BALLAST >> 10) / 4 > full);
}

static void *work(void *user)
{
	char text[64];

	for (unsigned i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "%u %g", i, (double)i / 3);
		*(unsigned long *)user += (unsigned long)strlen(text);
	}
	return NULL;
}

static void others_run_on_meanwhile(void **state)
{
	unsigned long alone = 0, beside[2] = { 0, 0 };
	pthread_t threads[2];

	work(&alone);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &beside[i]), 0);
	for (int i = 0; i < 100; i++)
		sys_rest();
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(beside[i], alone);
	}
}

static void what_was_written_stays(void **state)
{
	static const char *table[] = { "a", "relocated", "table" };
	static int data = 41;

	data++;
	table[0] = "b";
	sys_rest();
	assert_int_equal(data, 42);
	assert_string_equal(table[0], "b");
	assert_string_equal(table[1], "relocated");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_is_given_up_and_taken_again),
		cmocka_unit_test(others_run_on_meanwhile),
		cmocka_unit_test(what_was_written_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
