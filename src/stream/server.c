/*
 * Listening, tokens, and what is agreed on with a client. Loop thread.
 *
 * Invariant: a token is in the map and in the list, oldest first, until it is redeemed, too old or
 * pushed out. All live equally long (stream_server_limit comes before the first), so one timer for
 * the oldest is enough.
 */
#include "stream/server.h"

#include "stream/ws.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define TOKEN_TIME (60 * NSEC_PER_SEC)
#define BREATH (100 * NSEC_PER_MSEC)

struct token {
	struct list link;
	char text[ID_LEN + 1];
	int64_t until;
	struct arena arena;
	struct stream_request *req;
};

struct stream_server {
	struct event_loop *loop;
	const struct stream_owner *owner;
	void *user;
	char *host; /* as in a URL */
	uint16_t port;
	int fd;
	struct event_fd *src;
	struct event_timer *timer, *breath;
	struct map tokens;
	struct list order;
	size_t n_tokens;
	struct list peers;
	size_t n_peers;
	int64_t url_time, idle_time;
};

static const char *const kinds[] = { "exec", "attach", "portforward" };

/* In the order in which k8s.io/apimachinery knows them; the client's order decides. */
static const char *const spdy_remote[] = {
	"v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io",
};
static const char *const spdy_forward[] = { "portforward.k8s.io" };
static const char *const ws_remote[] = { "v5.channel.k8s.io", "v4.channel.k8s.io" };
static const char *const ws_forward[] = { "SPDY/3.1+portforward.k8s.io" };

struct event_loop *server_loop(const struct stream_server *s)
{
	return s->loop;
}

const struct stream_owner *server_owner(const struct stream_server *s, void **ret_user)
{
	*ret_user = s->user;
	return s->owner;
}

uint16_t stream_server_port(const struct stream_server *s)
{
	return s->port;
}

void stream_server_limit(struct stream_server *s, int64_t url, int64_t idle)
{
	s->url_time = url;
	s->idle_time = idle ? idle : INT64_MAX;
}

int64_t server_idle_time(const struct stream_server *s)
{
	return s->idle_time;
}

/* ---- tokens ---- */

static void token_free(struct stream_server *s, struct token *t)
{
	map_remove(&s->tokens, t->text);
	list_remove(&t->link);
	s->n_tokens--;
	arena_done(&t->arena);
	free(t);
}

static void arm(struct stream_server *s)
{
	struct token *oldest = list_first(&s->order, struct token, link);

	event_timer_set(s->timer, oldest ? oldest->until : INT64_MAX);
}

static void on_expiry(void *user)
{
	struct stream_server *s = user;
	struct token *t;

	while ((t = list_first(&s->order, struct token, link)) && t->until <= time_now_mono())
		token_free(s, t);
	arm(s);
}

static struct stream_request *copy(const struct stream_request *from, struct arena *a)
{
	struct stream_request *to = arena_new(a, 1, sizeof(*to));
	char **cmd = arena_new(a, from->n_cmd + 1, sizeof(*cmd));

	*to = *from;
	to->id = arena_strdup(a, from->id);
	for (size_t i = 0; i < from->n_cmd; i++)
		cmd[i] = arena_strdup(a, from->cmd[i]);
	to->cmd = cmd;
	return to;
}

int stream_server_url(struct stream_server *s, const struct stream_request *req, struct arena *a, char **ret,
		      struct err *err)
{
	struct token *t;

	if (req->kind != STREAM_FORWARD && !req->in && !req->out && !req->err)
		return err_set(err, ERR_INVALID, "one of stdin, stdout and stderr must be set");
	if (req->kind != STREAM_FORWARD && req->tty && req->err)
		return err_set(err, ERR_INVALID, "tty and stderr cannot both be set");
	if (s->n_tokens == STREAM_TOKENS_MAX)
		token_free(s, list_first(&s->order, struct token, link));
	t = mem_new(1, sizeof(*t));
	id_random(t->text);
	t->until = time_now_mono() + s->url_time;
	t->req = copy(req, &t->arena);
	map_put(&s->tokens, t->text, t);
	list_append(&s->order, &t->link);
	s->n_tokens++;
	arm(s);
	*ret = arena_printf(a, "http://%s:%u/%s/%s", s->host, s->port, kinds[req->kind], t->text);
	return 0;
}

/* "/exec/TOKEN": the token, or NULL. The map compares digests of keys first, and a guess is one
 * of 2^256: there is nothing to learn from how long it takes. */
static struct token *token_of(struct stream_server *s, const char *path)
{
	const char *slash = strchr(path + 1, '/');
	struct token *t = slash ? map_get(&s->tokens, slash + 1) : NULL;
	const char *kind;

	if (!t || t->until <= time_now_mono())
		return NULL;
	kind = kinds[t->req->kind];
	return strlen(kind) == (size_t)(slash - path - 1) && strncmp(path + 1, kind, strlen(kind)) == 0 ? t : NULL;
}

/* ---- agreeing ---- */

struct deal {
	enum link_kind link;
	const char *protocol;
	char accept[WS_ACCEPT_LEN + 1];
};

static int refuse(int *ret_status, const char **ret_text, int status, const char *text)
{
	*ret_status = status;
	*ret_text = text;
	return -EPROTO;
}

static int agree_ws(const struct http_request *req, bool forward, struct deal *d, int *status,
		    const char **text)
{
	d->link = forward ? LINK_TUNNEL : LINK_WS;
	if (!str_eq(req->method, "GET"))
		return refuse(status, text, 405, "WebSocket begins with GET");
	if (!str_eq(http_request_get(req, "sec-websocket-version"), "13") ||
	    ws_accept(http_request_get(req, "sec-websocket-key"), d->accept) < 0)
		return refuse(status, text, 400, "not a WebSocket handshake of version 13");
	d->protocol = forward ? http_request_choose(req, "sec-websocket-protocol", ws_forward, ARRAY_LEN(ws_forward))
			      : http_request_choose(req, "sec-websocket-protocol", ws_remote, ARRAY_LEN(ws_remote));
	if (!d->protocol)
		return refuse(status, text, 403, "no common Sec-WebSocket-Protocol");
	return 0;
}

static int agree_spdy(const struct http_request *req, bool forward, struct deal *d, int *status,
		      const char **text)
{
	static const char name[] = "x-stream-protocol-version";

	d->link = LINK_SPDY;
	if (!str_eq(req->method, "POST") && !str_eq(req->method, "GET"))
		return refuse(status, text, 405, "only GET and POST");
	d->protocol = forward ? http_request_choose(req, name, spdy_forward, ARRAY_LEN(spdy_forward))
			      : http_request_choose(req, name, spdy_remote, ARRAY_LEN(spdy_remote));
	if (!d->protocol && http_request_get(req, name))
		return refuse(status, text, 403, "no common X-Stream-Protocol-Version");
	return 0;
}

int server_accept(struct stream_server *s, struct peer *p, const struct http_request *req, int *status,
		  const char **text)
{
	struct token *t = token_of(s, req->path);
	struct peer_session session;
	struct deal deal = { 0 };
	bool upgrade = http_request_has(req, "connection", "upgrade"), forward, ws;
	int r;

	if (!t)
		return refuse(status, text, 404, "unknown or expired");
	forward = t->req->kind == STREAM_FORWARD;
	ws = http_request_has(req, "upgrade", "websocket");
	if (!upgrade || (!ws && !http_request_has(req, "upgrade", "spdy/3.1")))
		return refuse(status, text, 426, "only SPDY/3.1 and WebSocket are spoken here");
	r = ws ? agree_ws(req, forward, &deal, status, text) : agree_spdy(req, forward, &deal, status, text);
	if (r < 0)
		return r;
	session.handler = forward ? &forward_handler : &remote_handler;
	session.gone = forward ? forward_gone : remote_gone;
	session.user = forward ? (void *)forward_new(s, p, t->req, &t->arena) :
				 (void *)remote_new(s, p, t->req, &t->arena, deal.protocol, ws);
	token_free(s, t);
	arm(s);
	peer_upgrade(p, deal.link, deal.protocol, ws ? deal.accept : NULL, &session);
	if (forward)
		peer_settled(p);
	else if (ws)
		remote_begin(session.user);
	return 0;
}

/* ---- connections ---- */

static void listen_again(struct stream_server *s, bool now)
{
	event_fd_set(s->src, now && s->n_peers < STREAM_PEERS_MAX ? EPOLLIN : 0);
}

void server_peer_left(struct stream_server *s)
{
	s->n_peers--;
	if (s->src && s->n_peers == STREAM_PEERS_MAX - 1)
		listen_again(s, true);
}

static void on_breath(void *user)
{
	listen_again(user, true);
}

static void on_accept(uint32_t events, void *user)
{
	struct stream_server *s = user;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;
	struct peer *p;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* it stays readable: looked at again after a while */
			listen_again(s, false);
			event_timer_set(s->breath, time_now_mono() + BREATH);
		}
		return;
	}
	/* keystrokes are small and must not wait for each other's acknowledgement */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (peer_new(s, fd, &p) < 0)
		return;
	list_append(&s->peers, peer_list_link(p));
	s->n_peers++;
	listen_again(s, true);
}

static int bind_to(const char *address, uint16_t port, int *ret_fd, uint16_t *ret_port, char **ret_host)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { 0 };
	socklen_t len;
	autofd int fd = -EBADF;
	int one = 1;

	if (inet_pton(AF_INET, address, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
		len = sizeof(a.in);
	} else if (inet_pton(AF_INET6, address, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
		len = sizeof(a.in6);
	} else {
		return -EINVAL;
	}
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, &a.any, len) < 0 || listen(fd, 128) < 0 || getsockname(fd, &a.any, &len) < 0)
		return -errno;
	*ret_port = ntohs(a.any.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
	*ret_host = mem_printf(a.any.sa_family == AF_INET ? "%s" : "[%s]", address);
	*ret_fd = take_fd(&fd);
	return 0;
}

int stream_server_new(struct event_loop *loop, const char *address, uint16_t port,
		      const struct stream_owner *owner, void *user, struct stream_server **ret, struct err *err)
{
	struct stream_server *s = mem_new(1, sizeof(*s));
	int r;

	s->loop = loop;
	s->owner = owner;
	s->user = user;
	s->fd = -EBADF;
	s->url_time = TOKEN_TIME;
	s->idle_time = INT64_MAX;
	list_init(&s->order);
	list_init(&s->peers);
	r = bind_to(address, port, &s->fd, &s->port, &s->host);
	if (r == 0)
		r = event_timer_new(loop, INT64_MAX, on_expiry, s, &s->timer);
	if (r == 0)
		r = event_timer_new(loop, INT64_MAX, on_breath, s, &s->breath);
	if (r == 0)
		r = event_fd_new(loop, s->fd, EPOLLIN, on_accept, s, &s->src);
	if (r < 0) {
		stream_server_free(s);
		return err_sys(err, r, "streaming server on %s port %u", address, port);
	}
	*ret = s;
	return 0;
}

void stream_server_free(struct stream_server *s)
{
	struct token *t;

	if (!s)
		return;
	event_fd_free(take_ptr(&s->src));
	while (!list_empty(&s->peers))
		peer_free(peer_of_link(s->peers.next));
	while ((t = list_first(&s->order, struct token, link)))
		token_free(s, t);
	event_timer_free(s->timer);
	event_timer_free(s->breath);
	map_done(&s->tokens);
	fd_drop(&s->fd);
	free(s->host);
	free(s);
}
