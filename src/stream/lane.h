/*
 * One channel of a link ↔ a descriptor for each direction, with back-pressure. Inside stream, loop
 * thread.
 *
 *	lane_init(&lane, peer, ch, &events, user);
 *	lane_input(&lane, data, len); lane_input_end(&lane);     from the link, also before:
 *	lane_write_to(&lane, fd);  lane_read_from(&lane, fd2);   takes the descriptors
 *	lane_done(&lane);
 *
 * Invariant: a source is in the loop exactly while its descriptor can make progress. A level-triggered
 * source that is ignored would spin, so pausing means freeing it.
 */
#pragma once

#include "stream/peer.h"

struct lane_events {
	void (*read_ended)(void *user);  /* end of what is read, or it failed */
	void (*write_ended)(void *user); /* the client's input is written and closed, or nobody takes it */
};

struct lane {
	struct list link; /* of the peer's lanes */
	struct peer *peer;
	uint32_t ch;
	const struct lane_events *events;
	void *user;
	int rfd, wfd;
	struct event_fd *rsrc, *wsrc;
	size_t left;             /* bytes after which reading ends; SIZE_MAX: at the end of file */
	struct buf pending;      /* input for wfd */
	bool input_ended;        /* nothing follows pending */
	bool discard;            /* input has nowhere to go */
	bool read_over, write_over;
};

void lane_init(struct lane *l, struct peer *peer, uint32_t ch, const struct lane_events *events, void *user);
void lane_done(struct lane *l);
void lane_read_from(struct lane *l, int fd);
void lane_write_to(struct lane *l, int fd);
void lane_input(struct lane *l, const uint8_t *data, size_t len);
void lane_input_end(struct lane *l);
/* From now on input is thrown away. */
void lane_discard(struct lane *l);
/* Reading ends with what is in the pipe now, whoever may write into it later. */
void lane_drain(struct lane *l);

/* For the peer. */
bool lane_is_full(const struct lane *l);
void lane_resume(struct lane *l);
