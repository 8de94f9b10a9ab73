/*
 * The protocol of exec and attach above the channels, as far as it is pure: what a size says, what the
 * error channel says at the end. Inside stream.
 */
#pragma once

#include "base/base.h"

/* Also WebSocket's channel numbers. */
enum remote_role { REMOTE_IN, REMOTE_OUT, REMOTE_ERR, REMOTE_STATUS, REMOTE_RESIZE, REMOTE_ROLES };

/* Of the header "streamtype": negative when it is none. */
int remote_role_of(const char *streamtype);

/*
 * Sizes come as JSON objects one after the other, cut anywhere. Appends data to `partial` and takes
 * whole objects off: 1 when there was one (the last is returned), 0 when not, -EBADMSG.
 */
int remote_size_read(struct buf *partial, const uint8_t *data, size_t len, uint16_t *ret_width,
		     uint16_t *ret_height);

/* What goes to the error channel: with v4 and v5 (as_json) a metav1.Status, before that a text, and
 * nothing for success. err not NULL: the command did not run. */
void remote_status_put(struct buf *out, bool as_json, int code, const struct err *err);
