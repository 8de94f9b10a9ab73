/*
 * What earlier stats leave for later ones: the CPU sample that a rate is computed from, and
 * the size of a writable layer, which is dear to find out. Keyed by container or pod id.
 * Guarded by a lock of its own; any thread; nothing is held while something blocks.
 */
#pragma once

#include "base/base.h"

struct cgroup_stats;
struct cri_samples;

struct cri_samples *cri_samples_new(void);
void cri_samples_free(struct cri_samples *s);

/* Notes the usage at a time and says how many nanoseconds of CPU a second were used since
 * the sample before: true when there was one, at least SAMPLE_AGE_MIN old. */
bool cri_samples_rate(struct cri_samples *s, const char *id, int64_t now, uint64_t usage_nsec, uint64_t *ret_rate);

/* Forgets all of that id at once: it has ended. */
void cri_samples_forget(struct cri_samples *s, const char *id);

/* The wanted ones of the cgroup's figures (cgroup_meter_read), from files that stay open between calls; have
 * 0: it is gone. Blocks a little. */
void cri_samples_cgroup(struct cri_samples *s, const char *id, const char *path, unsigned want,
			struct cgroup_stats *ret);

struct cri_layer_size {
	int64_t at; /* real ns when it was measured */
	uint64_t bytes, inodes;
};

/* true: it was measured before. When that is LAYER_AGE_MAX ago it is due: *ret_due is true for who
 * shall see to it that somebody takes the due ones. */
bool cri_samples_layer(struct cri_samples *s, const char *id, int64_t now, struct cri_layer_size *ret,
		       bool *ret_due);
/* The next one that is due, by free(); NULL: none, and the next one will be told again. */
char *cri_samples_take_due(struct cri_samples *s);
void cri_samples_set_layer(struct cri_samples *s, const char *id, const struct cri_layer_size *size);
