/*
 * Calls and signals over a connection. Blocks up to the deadline. Any process.
 *
 * Replies come in the order that the peer likes, with signals between them. There is one
 * call at a time here, so a reply to anything else is a broken peer's; signals of the watched
 * name are kept in their order, all others dropped.
 */
#include "dbus/internal.h"

#include <stdio.h>

/* What the names of the field mean for a caller here. */
static const struct {
	const char *suffix;
	enum err_kind kind;
} kinds[] = {
	{ ".NoSuchUnit", ERR_NOT_FOUND },       { ".UnitExists", ERR_EXISTS },
	{ ".FileNotFound", ERR_NOT_FOUND },     { ".UnknownObject", ERR_NOT_FOUND },
	{ ".AccessDenied", ERR_DENIED },        { ".InteractiveAuthorizationRequired", ERR_DENIED },
	{ ".InvalidArgs", ERR_INVALID },        { ".PropertyReadOnly", ERR_UNSUPPORTED },
	{ ".UnknownMethod", ERR_UNSUPPORTED },  { ".UnknownProperty", ERR_UNSUPPORTED },
	{ ".NotSupported", ERR_UNSUPPORTED },   { ".LimitsExceeded", ERR_LIMIT },
	{ ".ServiceUnknown", ERR_UNAVAILABLE }, { ".NoReply", ERR_TIMEOUT },
	{ ".Timeout", ERR_TIMEOUT },            { ".Disconnected", ERR_UNAVAILABLE },
	{ ".UnitMasked", ERR_STATE },           { ".TransactionIsDestructive", ERR_STATE },
};

static enum err_kind kind_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_has_suffix(name, kinds[i].suffix))
			return kinds[i].kind;
	return ERR_INTERNAL;
}

static void put_field(struct dbus_writer *w, uint8_t code, const char *signature, const char *value)
{
	if (!*value)
		return;
	dbus_struct_begin(w);
	dbus_put_byte(w, code);
	dbus_variant_begin(w, signature);
	if (*signature == 'g')
		dbus_put_signature(w, value);
	else
		dbus_put_string(w, value);
}

static int send_call(struct dbus *bus, const struct dbus_method *m, const char *signature,
		     const struct dbus_writer *body, int64_t deadline, struct err *err)
{
	CLEANUP(dbus_writer_done) struct dbus_writer w = DBUS_WRITER_INIT;
	size_t fields;

	if (body && dbus_writer_failed(body))
		return err_set(err, ERR_LIMIT, "the message is too long");
	if (++bus->serial == 0)
		bus->serial = 1;
	dbus_put_byte(&w, __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B');
	dbus_put_byte(&w, DBUS_CALL);
	dbus_put_byte(&w, 0);
	dbus_put_byte(&w, 1);
	dbus_put_u32(&w, body ? (uint32_t)body->out.len : 0);
	dbus_put_u32(&w, bus->serial);
	fields = dbus_array_begin(&w, '(');
	put_field(&w, 1, "o", m->path);
	/* between two peers there is nobody to route it */
	put_field(&w, 6, "s", bus->kind == DBUS_BUS ? m->destination : "");
	put_field(&w, 2, "s", m->interface);
	put_field(&w, 3, "s", m->member);
	put_field(&w, 8, "g", signature);
	dbus_array_end(&w, fields);
	dbus_struct_begin(&w);
	if (body && body->out.len && buf_append(&w.out, body->out.data, body->out.len) < 0)
		w.failed = true;
	if (w.failed)
		return err_set(err, ERR_LIMIT, "the message is too long");
	return dbus_send(bus, w.out.data, w.out.len, deadline, err);
}

/* The next message of any kind. */
static int read_message(struct dbus *bus, int64_t deadline, struct dbus_message *ret, struct err *err)
{
	for (;;) {
		ssize_t total = dbus_message_length(bus->in.data, bus->in.len);
		int r;

		if (total < 0) {
			bus->broken = true;
			return err_set(err, ERR_CORRUPT, "what came is no D-Bus message");
		}
		if (total == 0 || (size_t)total > bus->in.len) {
			r = dbus_receive(bus, deadline, err);
			if (r < 0)
				return r;
			continue;
		}
		dbus_message_done(ret);
		*ret = (struct dbus_message)DBUS_MESSAGE_INIT;
		buf_append(&ret->bytes, bus->in.data, (size_t)total);
		buf_consume(&bus->in, (size_t)total);
		if (dbus_message_parse(ret) < 0) {
			bus->broken = true;
			return err_set(err, ERR_CORRUPT, "a D-Bus message with a broken header");
		}
		return 0;
	}
}

static bool is_watched(const struct dbus *bus, const struct dbus_message *m)
{
	return m->type == DBUS_SIGNAL && *bus->watch_member && str_eq(m->member, bus->watch_member) &&
	       str_eq(m->interface, bus->watch_interface);
}

static void forget_oldest(struct dbus *bus)
{
	dbus_message_done(&bus->signals[0]);
	memmove(bus->signals, bus->signals + 1, --bus->n_signals * sizeof(*bus->signals));
}

/* Takes the message. Its texts point into its bytes, which stay where they are. */
static void keep(struct dbus *bus, struct dbus_message *m)
{
	if (!bus->signals)
		bus->signals = mem_new(DBUS_SIGNALS_MAX, sizeof(*bus->signals));
	if (bus->n_signals == DBUS_SIGNALS_MAX)
		forget_oldest(bus);
	bus->signals[bus->n_signals++] = *m;
	*m = (struct dbus_message)DBUS_MESSAGE_INIT;
}

static int refused(struct dbus *bus, const struct dbus_message *m, struct err *err)
{
	struct dbus_reader r;
	const char *text;

	dbus_reader_init(&r, m);
	text = dbus_get_string(&r);
	strncpy(bus->error_name, m->error_name, sizeof(bus->error_name) - 1);
	return err_set(err, kind_of(m->error_name), "%s", *text ? text : m->error_name);
}

int dbus_call(struct dbus *bus, const struct dbus_method *method, const char *signature,
	      const struct dbus_writer *body, int64_t deadline, struct dbus_message *ret, struct err *err)
{
	CLEANUP(dbus_message_done) struct dbus_message m = DBUS_MESSAGE_INIT;
	int r;

	memset(bus->error_name, 0, sizeof(bus->error_name));
	if (bus->broken)
		return err_set(err, ERR_UNAVAILABLE, "%s: the connection is broken", method->member);
	r = send_call(bus, method, signature, body, deadline, err);
	while (r == 0) {
		r = read_message(bus, deadline, &m, err);
		if (r < 0)
			break;
		if (is_watched(bus, &m))
			keep(bus, &m);
		/* the reply to a call that we gave up on may still come */
		if ((m.type != DBUS_REPLY && m.type != DBUS_ERROR) || m.reply_serial != bus->serial)
			continue;
		if (m.type == DBUS_ERROR)
			return err_wrap(err, refused(bus, &m, err), "%s", method->member);
		dbus_message_done(ret);
		*ret = m;
		m = (struct dbus_message)DBUS_MESSAGE_INIT;
		return 0;
	}
	return err_wrap(err, r, "%s", method->member);
}

const char *dbus_error_name(const struct dbus *bus)
{
	return bus->error_name;
}

int dbus_watch(struct dbus *bus, const char *interface, const char *member, int64_t deadline, struct err *err)
{
	static const struct dbus_method add_match = { "org.freedesktop.DBus", "/org/freedesktop/DBus",
						      "org.freedesktop.DBus", "AddMatch" };
	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;
	CLEANUP(dbus_writer_done) struct dbus_writer body = DBUS_WRITER_INIT;
	char rule[512];

	bus->watch_interface = interface;
	bus->watch_member = member;
	if (bus->kind == DBUS_PEER)
		return 0;
	snprintf(rule, sizeof(rule), "type='signal',interface='%s',member='%s'", interface, member);
	dbus_put_string(&body, rule);
	return dbus_call(bus, &add_match, "s", &body, deadline, &reply, err);
}

int dbus_next_signal(struct dbus *bus, int64_t deadline, struct dbus_message *ret, struct err *err)
{
	CLEANUP(dbus_message_done) struct dbus_message m = DBUS_MESSAGE_INIT;

	if (bus->n_signals) {
		dbus_message_done(ret);
		*ret = bus->signals[0];
		bus->signals[0] = (struct dbus_message)DBUS_MESSAGE_INIT;
		forget_oldest(bus);
		return 0;
	}
	if (bus->broken)
		return err_set(err, ERR_UNAVAILABLE, "wait for %s: the connection is broken",
			       bus->watch_member);
	for (;;) {
		int r = read_message(bus, deadline, &m, err);

		if (r < 0)
			return err_wrap(err, r, "wait for %s", bus->watch_member);
		if (!is_watched(bus, &m))
			continue;
		dbus_message_done(ret);
		*ret = m;
		m = (struct dbus_message)DBUS_MESSAGE_INIT;
		return 0;
	}
}
