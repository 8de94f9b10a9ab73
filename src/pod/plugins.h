/*
 * Pods and containers as NRI plugins see them: each call tells one event in a turn of its own, and what
 * plugins were told is marked there, so that each hears of each event once. Without plugins nothing is
 * done. Worker threads, under no lock; they block for as long as plugins may take.
 */
#pragma once

#include "pod/manager.h"

int pod_plugins_start(struct pod_manager *m, const struct nri_settings *settings, struct err *err);

/* It is ready but for being listed. An error refuses it. */
int pod_plugins_run(struct pod_sandbox *p, struct err *err);
/* UpdatePodSandbox: may be refused. */
int pod_plugins_update_pod(struct pod_sandbox *p, const struct pod_resources *overhead,
			   const struct pod_resources *resources, struct err *err);
/* Its containers have stopped; it is about to be forgotten. What was not told of is not told now. */
void pod_plugins_stopped_pod(struct pod_sandbox *p);
void pod_plugins_removed_pod(struct pod_sandbox *p);

/* config is adjusted, from the arena. *ret_cdi: further CDI devices to be injected. */
int pod_plugins_create(struct pod_container *c, struct oci_config *config, struct arena *a, char ***ret_cdi,
		       size_t *ret_n_cdi, struct err *err);
/* UpdateContainer: *change and *extra are what will be set. */
int pod_plugins_update(struct pod_container *c, struct pod_resources *change, struct oci_resources *extra,
		       struct arena *a, struct err *err);
int pod_plugins_starting(struct pod_container *c, struct err *err);
/* Post…: it has happened. */
void pod_plugins_after(enum nri_event event, struct pod_container *c);
void pod_plugins_after_pod(enum nri_event event, struct pod_sandbox *p);
/* Once, when it has exited. */
void pod_plugins_stopped(struct pod_container *c);
void pod_plugins_removed(struct pod_container *c);

/* ---- wishes.c: what plugins want of containers, for plugins.c ---- */

/* The host's functions of nri.h. An update is all or nothing; an eviction kills, and the status says why. */
int pod_wish_update(const struct nri_update *u, void *user, struct err *err);
int pod_wish_evict(const struct nri_eviction *e, void *user, struct err *err);
/* After the turn, what came with an answer: the first failure that matters. */
int pod_wishes(struct pod_manager *m, const struct nri_result *result, struct err *err);
/* The part that CRI knows is put over *cri; the rest stays in *extra. */
void pod_wish_split(const struct oci_resources *from, struct arena *a, struct pod_resources *cri,
		    struct oci_resources *extra);
/* What plugins made of a new container's limits is what the status says, and what an update goes on from.
 * score: the OOM score before they saw it. */
int pod_wish_limits(struct pod_container *c, const struct oci_config *config, int32_t score, struct err *err);
/* A line for the log. */
void pod_plugins_say(struct pod_manager *m, const char *what, const char *id, const struct err *err);
