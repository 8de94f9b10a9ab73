/*
 * Deletion that nobody waits for. What is removed is renamed into trash/, which is one
 * system call whatever its size, and a thread deletes it. The thread lives only while there
 * is work, so an idle store has none. What is left when the program ends is deleted after
 * the next start.
 *
 * Invariant: nothing in trash/ is named by meta.db or used by anyone.
 */
#include "store/inner.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

enum { TRASH_STACK = 128 * 1024 };

/* Deletes what is there now; what cannot be (a mount on it) stays for the next start. */
static void empty_once(struct store *s)
{
	int fd = openat(s->trash_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) && !s->closing)
		if (e->d_name[0] != '.')
			sys_remove_tree(s->trash_fd, e->d_name);
	closedir(dir);
}

static void *trash_thread(void *user)
{
	struct store *s = user;

	pthread_mutex_lock(&s->mutex);
	while (s->trash_wanted && !s->closing) {
		s->trash_wanted = false;
		pthread_mutex_unlock(&s->mutex);
		empty_once(s);
		reserve_take(s);
		pthread_mutex_lock(&s->mutex);
	}
	s->trash_running = false;
	pthread_cond_broadcast(&s->trash_cond);
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

static void start_locked(struct store *s)
{
	pthread_attr_t attr;
	pthread_t thread;

	s->trash_wanted = true;
	if (s->trash_running || s->closing)
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, TRASH_STACK);
	/* without a thread it waits for the next removal or start */
	s->trash_running = pthread_create(&thread, &attr, trash_thread, s) == 0;
	pthread_attr_destroy(&attr);
}

void trash_start(struct store *s)
{
	WITH_LOCK(s);
	start_locked(s);
}

void trash_stop(struct store *s)
{
	WITH_LOCK(s);
	s->closing = true;
	while (s->trash_running)
		pthread_cond_wait(&s->trash_cond, &s->mutex);
}

void store_settle(struct store *s)
{
	WITH_LOCK(s);
	while (s->trash_running)
		pthread_cond_wait(&s->trash_cond, &s->mutex);
}

int trash_put_locked(struct store *s, int dirfd, const char *name)
{
	for (;;) {
		char away[32];

		snprintf(away, sizeof(away), "%" PRIu64, s->trash_counter++);
		if (renameat2(dirfd, name, s->trash_fd, away, RENAME_NOREPLACE) == 0)
			break;
		if (errno == ENOENT)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
	start_locked(s);
	return 0;
}

int trash_put(struct store *s, int dirfd, const char *name)
{
	WITH_LOCK(s);
	return trash_put_locked(s, dirfd, name);
}

int trash_layer(struct store *s, int64_t id)
{
	char name[LAYER_NAME_MAX];

	unlinkat(s->sums_fd, layer_name(id, name), 0);
	return trash_put(s, s->layers_fd, name);
}
