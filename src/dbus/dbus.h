/*
 * dbus — calls to services on a D-Bus, as a client.
 *
 * systemd makes cgroups when it is asked over D-Bus, and nothing else of Caisson speaks it.
 * So this room is small: method calls with their replies, and the signals that the caller
 * said it waits for. It is linked into static programs, which libsystemd and libdbus
 * cannot be.
 *
 *	CLEANUP(dbus_freep) struct dbus *bus = NULL;
 *	CLEANUP(dbus_writer_done) struct dbus_writer body = DBUS_WRITER_INIT;
 *	CLEANUP(dbus_message_done) struct dbus_message reply = DBUS_MESSAGE_INIT;
 *
 *	dbus_open("unix:path=/run/systemd/private", DBUS_PEER, deadline, &bus, err);
 *	dbus_put_string(&body, "app.scope");
 *	dbus_put_string(&body, "fail");
 *	dbus_call(bus, &stop_unit, "ss", &body, deadline, &reply, err);
 *	r = dbus_reader_init(&reader, &reply);
 *	job = dbus_get_string(&reader);
 *	if (dbus_reader_failed(&reader)) ...
 *
 * Two layers. Marshalling (write.c, read.c) does no I/O: bytes in, values out. A connection
 * (connect.c, call.c) is a blocking socket with a deadline on everything.
 *
 * Context: any process, one thread for one connection. Not after clone. A connection is not
 * to be used by two processes: the child of a fork leaves it alone (descriptors are
 * close-on-exec).
 *
 * Errors: UNAVAILABLE when nobody listens or the peer went away, TIMEOUT after the
 * deadline, DENIED when the peer does not take us, CORRUPT when it breaks the protocol. A
 * call that the service refused is an error of a kind that its D-Bus name suggests, with
 * the service's text; dbus_error_name says the name.
 *
 * Hostile: the peer, as far as memory is concerned: every length is checked, nesting and
 * sizes are bounded (fuzz-message.c), signals that nobody waits for are dropped.
 *
 * Source: the D-Bus specification 0.43, sections Type System, Marshaling, Message Protocol
 * and Authentication Protocol.
 */
#pragma once

#include "base/base.h"

enum {
	DBUS_MESSAGE_BYTES_MAX = 16 << 20, /* the protocol allows 128 MiB; nothing here needs that */
	DBUS_DEPTH_MAX = 64,               /* of arrays, structs and variants together, as specified */
	DBUS_SIGNALS_MAX = 1024,           /* kept for a caller; the oldest goes first */
};

/* ---- writing values ---------------------------------------------------------------------- */

/*
 * A body that grows, in the machine's byte order. The caller keeps to the signature that it
 * names in dbus_call. What does not fit is remembered: dbus_writer_failed, and dbus_call
 * refuses to send it.
 */
struct dbus_writer {
	struct buf out;
	bool failed;
};

#define DBUS_WRITER_INIT { BUF_INIT(DBUS_MESSAGE_BYTES_MAX), false }

void dbus_writer_done(struct dbus_writer *w);
bool dbus_writer_failed(const struct dbus_writer *w);

void dbus_put_byte(struct dbus_writer *w, uint8_t v);
void dbus_put_bool(struct dbus_writer *w, bool v);
void dbus_put_i32(struct dbus_writer *w, int32_t v);
void dbus_put_u32(struct dbus_writer *w, uint32_t v);
void dbus_put_i64(struct dbus_writer *w, int64_t v);
void dbus_put_u64(struct dbus_writer *w, uint64_t v);
void dbus_put_double(struct dbus_writer *w, double v);
/* Also for object paths; NULL is "". */
void dbus_put_string(struct dbus_writer *w, const char *v);
void dbus_put_signature(struct dbus_writer *w, const char *v);
void dbus_put_bytes(struct dbus_writer *w, const uint8_t *v, size_t n); /* "ay" */

/* An array of elements whose type begins with `type` ('(' and '{' are structs, 't' …): what
 * begin returns is given to end. */
size_t dbus_array_begin(struct dbus_writer *w, char type);
void dbus_array_end(struct dbus_writer *w, size_t begin);
void dbus_struct_begin(struct dbus_writer *w); /* structs and dictionary entries end by themselves */
void dbus_variant_begin(struct dbus_writer *w, const char *signature); /* one value follows */

/* ---- reading values ------------------------------------------------------------------------ */

enum dbus_type { DBUS_CALL = 1, DBUS_REPLY = 2, DBUS_ERROR = 3, DBUS_SIGNAL = 4 };

/* A message; the texts point into its own bytes and are "" when the field is not there. */
struct dbus_message {
	struct buf bytes;
	uint8_t type, flags;
	bool swap; /* not our byte order */
	uint32_t serial, reply_serial;
	const char *path, *interface, *member, *error_name, *destination, *sender, *signature;
	size_t body, body_len;
};

#define DBUS_MESSAGE_INIT { .bytes = BUF_INIT(DBUS_MESSAGE_BYTES_MAX) }

void dbus_message_done(struct dbus_message *m);

/* How long the message is whose first bytes these are: its length, 0 when 16 bytes are not
 * there yet, -EBADMSG when this is no message, -EMSGSIZE when it is too long for us. */
ssize_t dbus_message_length(const uint8_t *data, size_t len);
/* Takes the header of a whole message in m->bytes apart: 0, -EBADMSG. The body is checked
 * as it is read. */
int dbus_message_parse(struct dbus_message *m);

/*
 * Values in the order of the message's signature. The first that is not there, of another
 * type or broken sets `failed`; from then on every getter gives 0 or "".
 */
struct dbus_reader {
	const struct dbus_message *message;
	const char *signature;
	size_t at, end;
	bool failed;
};

void dbus_reader_init(struct dbus_reader *r, const struct dbus_message *m);
bool dbus_reader_failed(const struct dbus_reader *r);

uint8_t dbus_get_byte(struct dbus_reader *r);
bool dbus_get_bool(struct dbus_reader *r);
int32_t dbus_get_i32(struct dbus_reader *r);
uint32_t dbus_get_u32(struct dbus_reader *r);
int64_t dbus_get_i64(struct dbus_reader *r);
uint64_t dbus_get_u64(struct dbus_reader *r);
const char *dbus_get_string(struct dbus_reader *r); /* 's', 'o' */
/* Enters a variant: its type is checked to be `signature`. */
bool dbus_get_variant(struct dbus_reader *r, const char *signature);
/* Passes over the next value whatever it is. */
void dbus_skip(struct dbus_reader *r);

/* ---- connections --------------------------------------------------------------------------- */

struct dbus;

enum dbus_kind {
	DBUS_PEER, /* the other end is the service itself */
	DBUS_BUS,  /* a message bus: says Hello; calls carry a destination, signals need a match */
};

/*
 * address as in DBUS_SYSTEM_BUS_ADDRESS: "unix:path=…", "unix:abstract=…"; of several, split
 * by ";", the first that answers. Authenticates as the user that the kernel says we are.
 */
int dbus_open(const char *address, enum dbus_kind kind, int64_t deadline, struct dbus **ret, struct err *err);
void dbus_free(struct dbus *bus);
static inline void dbus_freep(struct dbus **bus)
{
	dbus_free(*bus);
}

struct dbus_method {
	const char *destination, *path, *interface, *member; /* all literals, usually */
};

/* Sends and waits for the reply. body may be NULL with signature "". */
int dbus_call(struct dbus *bus, const struct dbus_method *method, const char *signature,
	      const struct dbus_writer *body, int64_t deadline, struct dbus_message *ret, struct err *err);
/* The D-Bus name of the error that the last dbus_call failed with; "" when it did not come
 * from the service. */
const char *dbus_error_name(const struct dbus *bus);

/* From now on signals of this name are kept for dbus_next_signal. One name a connection; on
 * a bus a match is asked for. Literals. */
int dbus_watch(struct dbus *bus, const char *interface, const char *member, int64_t deadline,
	       struct err *err);
int dbus_next_signal(struct dbus *bus, int64_t deadline, struct dbus_message *ret, struct err *err);
