/*
 * A plugin's connection on the loop: its socket on one side, a socket pair for each lane on the
 * other, so that what speaks ttrpc need not know of frames. Loop thread only.
 */
#pragma once

#include "event/event.h"

struct nri_link;

/*
 * Takes fd, on failure too. The lanes' ends (blocking is the caller's affair: both are
 * non-blocking) belong to the caller; when the connection ends they read end-of-file, and on_end(user)
 * is called once. A caller that shuts an end down ends the connection.
 */
int nri_link_new(struct event_loop *loop, int fd, event_fn on_end, void *user, int *ret_plugin_fd,
		 int *ret_runtime_fd, struct nri_link **ret);
void nri_link_free(struct nri_link *l);
