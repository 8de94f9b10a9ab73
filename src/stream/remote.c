/*
 * Exec and attach. Loop thread.
 *
 * Two sides own a session: the peer until remote_gone, the owner from begin until
 * stream_session_ended. Who leaves last frees it.
 *
 * The order of the end: all output, then the ends of the output channels, then the status and the
 * error channel's end; only then the client closes. A client that saw the status before the output
 * would cut the output off; one that saw the connection's end first would report an error.
 */
#include "stream/remote.h"

#include "stream/lane.h"
#include "stream/server.h"

#include <fcntl.h>

struct stream_session {
	struct stream_server *server;
	const struct stream_owner *owner;
	void *user, *owner_data;
	struct arena arena;
	const struct stream_request *req;
	struct peer *peer;              /* NULL: gone */
	bool owned, told;               /* the owner's turn is not over; it knows that nobody listens */
	bool begun, started, ended, finished;
	bool json_status;               /* v4 and later */
	bool has_channels;              /* WebSocket: all from the beginning */
	bool has[REMOTE_ROLES];
	uint32_t ch[REMOTE_ROLES];
	bool has_lane[REMOTE_STATUS];
	struct lane lanes[REMOTE_STATUS];
	struct buf size;                /* resize: an incomplete object */
	int code;
	struct err err;
	bool failed;
};

static bool wants(const struct stream_session *s, int role)
{
	switch (role) {
	case REMOTE_IN:
		return s->req->in;
	case REMOTE_OUT:
		return s->req->out;
	case REMOTE_ERR:
		return s->req->err;
	default:
		return true;
	}
}

static void session_free(struct stream_session *s)
{
	arena_done(&s->arena);
	buf_done(&s->size);
	free(s);
}

static void tell_gone(struct stream_session *s)
{
	if (s->owned && !s->told) {
		s->told = true;
		s->owner->gone(s, s->user);
	}
}

/* ---- the end ---- */

static void finish(struct stream_session *s)
{
	CLEANUP(buf_done) struct buf status = BUF_INIT(16 * 1024);
	struct link *link = peer_link(s->peer);

	if (s->finished)
		return;
	s->finished = true;
	remote_status_put(&status, s->json_status, s->code, s->failed ? &s->err : NULL);
	if (status.len)
		link_send(link, s->ch[REMOTE_STATUS], status.data, status.len);
	link_end(link, s->ch[REMOTE_STATUS]);
	if (s->has_lane[REMOTE_IN])
		lane_discard(&s->lanes[REMOTE_IN]);
	if (s->has[REMOTE_IN])
		link_end(link, s->ch[REMOTE_IN]);
	if (s->has[REMOTE_RESIZE])
		link_end(link, s->ch[REMOTE_RESIZE]);
	peer_finish(s->peer);
	tell_gone(s); /* an attach is over when the outputs are; its owner has to hear of it */
}

static void check_end(struct stream_session *s)
{
	bool outputs = s->req->out || s->req->err;

	if (!s->peer || s->finished)
		return;
	for (int role = REMOTE_OUT; role <= REMOTE_ERR; role++)
		if (s->has_lane[role] && s->started && !s->lanes[role].read_over)
			return;
	if (s->ended)
		finish(s);
	else if (s->req->kind == STREAM_ATTACH && s->started && (outputs || s->lanes[REMOTE_IN].write_over))
		finish(s);
}

static void output_ended(struct stream_session *s, int role)
{
	link_end(peer_link(s->peer), s->ch[role]);
	check_end(s);
}

static void on_out_ended(void *user)
{
	output_ended(user, REMOTE_OUT);
}

static void on_err_ended(void *user)
{
	output_ended(user, REMOTE_ERR);
}

static void on_in_written(void *user)
{
	struct stream_session *s = user;

	if (s->started && !s->finished && s->owned && !s->told)
		s->owner->input_ended(s, s->user);
	check_end(s);
}

static void on_nothing(void *user)
{
}

static const struct lane_events lane_events[REMOTE_STATUS] = {
	[REMOTE_IN] = { on_nothing, on_in_written },
	[REMOTE_OUT] = { on_out_ended, on_nothing },
	[REMOTE_ERR] = { on_err_ended, on_nothing },
};

void remote_gone(void *session)
{
	struct stream_session *s = session;

	for (int role = 0; role < REMOTE_STATUS; role++)
		if (s->has_lane[role])
			lane_done(&s->lanes[role]);
	s->peer = NULL;
	if (!s->owned)
		session_free(s);
	else
		tell_gone(s);
}

/* ---- the beginning ---- */

static void add_channel(struct stream_session *s, int role, uint32_t ch)
{
	s->has[role] = true;
	s->ch[role] = ch;
	if (role < REMOTE_STATUS) {
		s->has_lane[role] = true;
		lane_init(&s->lanes[role], s->peer, ch, &lane_events[role], s);
	}
}

struct stream_session *remote_new(struct stream_server *server, struct peer *p,
				  const struct stream_request *req, struct arena *a, const char *protocol,
				  bool has_channels)
{
	struct stream_session *s = mem_new(1, sizeof(*s));

	s->server = server;
	s->owner = server_owner(server, &s->user);
	s->peer = p;
	s->req = req;
	arena_adopt(&s->arena, a);
	s->size = (struct buf)BUF_INIT(4096);
	s->has_channels = has_channels;
	s->json_status = str_eq(protocol, "v4.channel.k8s.io") || str_eq(protocol, "v5.channel.k8s.io");
	for (int role = 0; has_channels && role < REMOTE_ROLES; role++)
		if (wants(s, role))
			add_channel(s, role, (uint32_t)role);
	return s;
}

void remote_begin(struct stream_session *s)
{
	s->begun = true;
	s->owned = true;
	peer_settled(s->peer);
	if (s->has_channels) {
		/* Kubernetes' own server says so that the connection stands, and some clients wait for it */
		int role = s->req->out ? REMOTE_OUT : s->req->err ? REMOTE_ERR : REMOTE_STATUS;

		link_send(peer_link(s->peer), s->ch[role], NULL, 0);
	}
	s->owner->begin(s, s->req, s->user);
}

static int on_open(uint32_t ch, const struct spdy_header *headers, size_t n, void *user)
{
	struct stream_session *s = user;
	int role = -EINVAL;

	for (size_t i = 0; i < n; i++)
		if (str_eq(headers[i].name, "streamtype"))
			role = remote_role_of(headers[i].value);
	if (role < 0 || s->has[role] || !wants(s, role) || s->finished)
		return SPDY_PROTOCOL_ERROR;
	add_channel(s, role, ch);
	/* sizes may begin later, or never */
	for (role = 0; role < REMOTE_RESIZE; role++)
		if (wants(s, role) && !s->has[role])
			return 0;
	if (!s->begun)
		remote_begin(s);
	return 0;
}

/* ---- from the client ---- */

static int role_of(const struct stream_session *s, uint32_t ch)
{
	for (int role = 0; role < REMOTE_ROLES; role++)
		if (s->has[role] && s->ch[role] == ch)
			return role;
	return -EINVAL;
}

static void on_data(uint32_t ch, const uint8_t *data, size_t len, void *user)
{
	struct stream_session *s = user;
	int role = role_of(s, ch), r;
	uint16_t width, height;

	if (role == REMOTE_IN) {
		lane_input(&s->lanes[REMOTE_IN], data, len);
		return;
	}
	link_consumed(peer_link(s->peer), ch, len);
	if (role != REMOTE_RESIZE)
		return;
	r = remote_size_read(&s->size, data, len, &width, &height);
	if (r < 0)
		peer_cut(s->peer);
	else if (r > 0 && s->owned && !s->told)
		s->owner->resize(s, width, height, s->user);
}

static void on_end(uint32_t ch, void *user)
{
	struct stream_session *s = user;

	if (role_of(s, ch) == REMOTE_IN)
		lane_input_end(&s->lanes[REMOTE_IN]);
}

static void on_reset(uint32_t ch, void *user)
{
	struct stream_session *s = user;
	int role = role_of(s, ch);

	if (role == REMOTE_IN)
		lane_input_end(&s->lanes[REMOTE_IN]);
	else if (role >= 0 && role != REMOTE_RESIZE && !s->finished)
		peer_cut(s->peer); /* who does not want the output does not want the command */
}

const struct link_handler remote_handler = { on_open, on_data, on_end, on_reset };

/* ---- from the owner ---- */

void stream_session_set(struct stream_session *s, void *owner_data)
{
	s->owner_data = owner_data;
}

void *stream_session_get(const struct stream_session *s)
{
	return s->owner_data;
}

static int prepare(int fd, bool wanted)
{
	if (fd >= 0 && (!wanted || fcntl(fd, F_SETFL, O_NONBLOCK | fcntl(fd, F_GETFL)) < 0))
		fd_drop(&fd);
	return fd;
}

void stream_session_started(struct stream_session *s, int in, int out, int err_fd)
{
	in = prepare(in, s->peer && s->has_lane[REMOTE_IN]);
	out = prepare(out, s->peer && s->has_lane[REMOTE_OUT]);
	err_fd = prepare(err_fd, s->peer && s->has_lane[REMOTE_ERR]);
	if (!s->peer)
		return;
	s->started = true;
	if (s->has_lane[REMOTE_OUT])
		lane_read_from(&s->lanes[REMOTE_OUT], out);
	if (s->has_lane[REMOTE_ERR])
		lane_read_from(&s->lanes[REMOTE_ERR], err_fd);
	if (s->has_lane[REMOTE_IN])
		lane_write_to(&s->lanes[REMOTE_IN], in);
	peer_changed(s->peer);
}

void stream_session_ended(struct stream_session *s, int code, const struct err *err)
{
	assert(s->owned);
	s->owned = false;
	if (!s->peer) {
		session_free(s);
		return;
	}
	s->ended = true;
	s->code = code;
	if (err) {
		s->failed = true;
		s->err = *err;
	}
	for (int role = REMOTE_OUT; role <= REMOTE_ERR; role++)
		if (s->has_lane[role])
			lane_drain(&s->lanes[role]);
	check_end(s);
	peer_changed(s->peer);
}
