/*
 * Bytes → values. No I/O. Any process.
 *
 * Everything here may be hostile: each length is checked against what is left before it is
 * used, texts have to end where they say and hold no NUL, padding is passed over, and the
 * walk over values that nobody wants is bounded in depth and needs no recursion of the
 * input's choosing beyond that.
 */
#include "dbus/dbus.h"

enum { HEADER = 16, ARRAY_MAX = 64 << 20 };

void dbus_message_done(struct dbus_message *m)
{
	buf_done(&m->bytes);
}

static uint32_t u32_at(const uint8_t *p, bool swap)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return swap ? __builtin_bswap32(v) : v;
}

static bool is_swapped(uint8_t order)
{
	return order != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B');
}

ssize_t dbus_message_length(const uint8_t *data, size_t len)
{
	uint64_t total;
	bool swap;

	if (len < HEADER)
		return 0;
	if ((data[0] != 'l' && data[0] != 'B') || data[3] != 1)
		return -EBADMSG;
	swap = is_swapped(data[0]);
	/* the header's fields are an array, and the body begins at a multiple of eight */
	total = HEADER + (uint64_t)u32_at(data + 12, swap);
	total = (total + 7) & ~UINT64_C(7);
	total += u32_at(data + 4, swap);
	return total > DBUS_MESSAGE_BYTES_MAX ? -EMSGSIZE : (ssize_t)total;
}

/* ---- values ------------------------------------------------------------------------------- */

void dbus_reader_init(struct dbus_reader *r, const struct dbus_message *m)
{
	*r = (struct dbus_reader){ .message = m, .signature = m->signature, .at = m->body,
				   .end = m->body + m->body_len };
}

bool dbus_reader_failed(const struct dbus_reader *r)
{
	return r->failed;
}

static bool fail(struct dbus_reader *r)
{
	r->failed = true;
	return false;
}

static bool align(struct dbus_reader *r, size_t to)
{
	size_t at = (r->at + to - 1) / to * to;

	if (r->failed || at > r->end)
		return fail(r);
	r->at = at;
	return true;
}

/* n bytes at an alignment, or NULL. */
static const uint8_t *take(struct dbus_reader *r, size_t n, size_t alignment)
{
	const uint8_t *p;

	if (!align(r, alignment) || n > r->end - r->at) {
		fail(r);
		return NULL;
	}
	p = r->message->bytes.data + r->at;
	r->at += n;
	return p;
}

static uint32_t take_u32(struct dbus_reader *r)
{
	const uint8_t *p = take(r, 4, 4);

	return p ? u32_at(p, r->message->swap) : 0;
}

static uint64_t take_u64(struct dbus_reader *r)
{
	const uint8_t *p = take(r, 8, 8);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return r->message->swap ? __builtin_bswap64(v) : v;
}

static const char *take_text(struct dbus_reader *r, size_t len)
{
	const uint8_t *p = len < r->end ? take(r, len + 1, 1) : NULL;

	if (!p || p[len] || memchr(p, 0, len)) {
		fail(r);
		return "";
	}
	return (const char *)p;
}

static const char *take_string(struct dbus_reader *r)
{
	uint32_t len = take_u32(r);

	return r->failed ? "" : take_text(r, len);
}

static const char *take_signature(struct dbus_reader *r)
{
	const uint8_t *len = take(r, 1, 1);

	return len ? take_text(r, *len) : "";
}

static bool expect(struct dbus_reader *r, char type)
{
	if (r->failed || *r->signature != type)
		return fail(r);
	r->signature++;
	return true;
}

uint8_t dbus_get_byte(struct dbus_reader *r)
{
	const uint8_t *p = expect(r, 'y') ? take(r, 1, 1) : NULL;

	return p ? *p : 0;
}

bool dbus_get_bool(struct dbus_reader *r)
{
	uint32_t v = expect(r, 'b') ? take_u32(r) : 0;

	return v > 1 ? fail(r) : v;
}

int32_t dbus_get_i32(struct dbus_reader *r)
{
	return expect(r, 'i') ? (int32_t)take_u32(r) : 0;
}

uint32_t dbus_get_u32(struct dbus_reader *r)
{
	return expect(r, 'u') ? take_u32(r) : 0;
}

int64_t dbus_get_i64(struct dbus_reader *r)
{
	return expect(r, 'x') ? (int64_t)take_u64(r) : 0;
}

uint64_t dbus_get_u64(struct dbus_reader *r)
{
	return expect(r, 't') ? take_u64(r) : 0;
}

const char *dbus_get_string(struct dbus_reader *r)
{
	if (r->failed || (*r->signature != 's' && *r->signature != 'o')) {
		fail(r);
		return "";
	}
	r->signature++;
	return take_string(r);
}

bool dbus_get_variant(struct dbus_reader *r, const char *signature)
{
	const char *inside = expect(r, 'v') ? take_signature(r) : "";

	if (r->failed || !str_eq(inside, signature))
		return fail(r);
	/* what follows the variant in the outer signature is not read by anybody here */
	r->signature = inside;
	return true;
}

/* ---- passing over ------------------------------------------------------------------------- */

static const struct {
	char type;
	uint8_t size; /* and alignment */
} fixed[] = {
	{ 'y', 1 }, { 'n', 2 }, { 'q', 2 }, { 'b', 4 }, { 'i', 4 }, { 'u', 4 }, { 'h', 4 },
	{ 'x', 8 }, { 't', 8 }, { 'd', 8 },
};

static size_t alignment_of(char type)
{
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (fixed[i].type == type)
			return fixed[i].size;
	return type == '(' || type == '{' ? 8 : type == 'a' || type == 's' || type == 'o' ? 4 : 1;
}

/* The end of one complete type, or NULL. */
static const char *type_end(const char *s, int depth)
{
	if (depth > DBUS_DEPTH_MAX)
		return NULL;
	if (*s == 'a')
		return type_end(s + 1, depth + 1);
	if (*s == '(' || *s == '{') {
		char close = *s == '(' ? ')' : '}';

		/* an empty one would be an element without size: an array of them never ends */
		if (*++s == close)
			return NULL;
		while (s && *s && *s != close)
			s = type_end(s, depth + 1);
		return s && *s ? s + 1 : NULL;
	}
	return *s && strchr("ynqbiuhxtdsogv", *s) ? s + 1 : NULL;
}

/* One value of the type that `s` begins with; the end of the type, or NULL with failed set. */
static const char *skip_value(struct dbus_reader *r, const char *s, int depth)
{
	const char *end = type_end(s, depth), *inside;
	size_t until;

	if (!end || r->failed) {
		fail(r);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		if (fixed[i].type == *s) {
			take(r, fixed[i].size, fixed[i].size);
			return r->failed ? NULL : end;
		}
	}
	switch (*s) {
	case 's': case 'o':
		take_string(r);
		break;
	case 'g':
		take_signature(r);
		break;
	case 'v':
		inside = take_signature(r);
		/* a variant holds exactly one complete type */
		inside = r->failed ? NULL : skip_value(r, inside, depth + 1);
		if (!inside || *inside)
			fail(r);
		break;
	case 'a':
		until = take_u32(r);
		if (until > ARRAY_MAX || !align(r, alignment_of(s[1])) || until > r->end - r->at) {
			fail(r);
			break;
		}
		until += r->at;
		/* elements are walked only for their own sake: the length is what counts */
		while (!r->failed && r->at < until)
			skip_value(r, s + 1, depth + 1);
		if (r->at != until)
			fail(r);
		break;
	default: /* a struct or a dictionary entry */
		if (!align(r, 8))
			break;
		for (s++; s && *s != ')' && *s != '}';)
			s = skip_value(r, s, depth + 1);
		break;
	}
	return r->failed ? NULL : end;
}

void dbus_skip(struct dbus_reader *r)
{
	const char *end = skip_value(r, r->signature, 0);

	if (end)
		r->signature = end;
}

/* ---- the header ------------------------------------------------------------------------------ */

static const struct {
	uint8_t code;
	const char *signature;
	size_t offset;
} fields[] = {
	{ 1, "o", offsetof(struct dbus_message, path) },
	{ 2, "s", offsetof(struct dbus_message, interface) },
	{ 3, "s", offsetof(struct dbus_message, member) },
	{ 4, "s", offsetof(struct dbus_message, error_name) },
	{ 6, "s", offsetof(struct dbus_message, destination) },
	{ 7, "s", offsetof(struct dbus_message, sender) },
	{ 8, "g", offsetof(struct dbus_message, signature) },
};

static void parse_field(struct dbus_message *m, struct dbus_reader *r)
{
	const uint8_t *code = take(r, 1, 8);
	const char *signature = take_signature(r), *end;
	uint8_t c = code ? *code : 0;

	if (r->failed)
		return;
	if (c == 5 && str_eq(signature, "u")) {
		m->reply_serial = take_u32(r);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (fields[i].code != c)
			continue;
		if (!str_eq(signature, fields[i].signature)) {
			fail(r);
			return;
		}
		*(const char **)((char *)m + fields[i].offset) =
			*signature == 'g' ? take_signature(r) : take_string(r);
		return;
	}
	/* fields that a later version of the protocol adds are to be ignored */
	end = skip_value(r, signature, 1);
	if (!end || *end)
		fail(r);
}

int dbus_message_parse(struct dbus_message *m)
{
	const uint8_t *data = m->bytes.data;
	struct dbus_reader r = { .message = m, .signature = "", .at = HEADER };
	ssize_t total = dbus_message_length(data, m->bytes.len);

	if (total <= 0 || (size_t)total != m->bytes.len)
		return -EBADMSG;
	m->swap = is_swapped(data[0]);
	m->type = data[1];
	m->flags = data[2];
	m->body_len = u32_at(data + 4, m->swap);
	m->serial = u32_at(data + 8, m->swap);
	m->reply_serial = 0;
	m->body = m->bytes.len - m->body_len;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		*(const char **)((char *)m + fields[i].offset) = "";
	r.end = HEADER + u32_at(data + 12, m->swap);
	while (!r.failed && r.at < r.end)
		parse_field(m, &r);
	if (r.failed || m->type < DBUS_CALL || m->type > DBUS_SIGNAL || !m->serial)
		return -EBADMSG;
	return 0;
}
