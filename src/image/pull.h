/*
 * One pull that runs, as pull.c leads it and progress.c tells of it. Private to image; what is in it changes
 * under the table's mutex.
 */
#pragma once

#include "image/install.h"

struct pull {
	struct list link;          /* t->pulls, as long as others may join */
	struct image_table *table;
	char *key;
	struct reference ref;
	struct image_auth auth;    /* own copies */
	unsigned refs, waiters;    /* under t->mutex, like done and guards */
	unsigned guards;           /* who stay with it though their callers have left */
	bool done;
	atomic_bool stop;
	int r;
	struct err err;
	char id[STORE_DIGEST_MAX];
	int64_t began, since;      /* real ns; mono ns */
	struct install *install;   /* what progress is told from; set once resolved, under t->mutex */
};

/*
 * How far it is; under the mutex. What it points to is the heap's: digests and the manifest that they are of outlive
 * the mutex only as long as the pull is not done, so they are copied.
 */
struct image_progress pull_progress(const struct pull *p);
void pull_progress_done(struct image_progress *g);
/* The stage and its age, and how much has come: "fetching (for 3 s), 1 of 4 layers, …". Under the mutex. */
void pull_describe(const struct pull *p, char *out, size_t size);
