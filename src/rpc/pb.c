/*
 * Unpacking in two steps: a walk over the bytes that checks strings (protobuf-c copies them
 * to C strings and asks nothing), then protobuf-c with an allocator that counts. What the
 * walk finds malformed in other ways is left to protobuf-c to refuse.
 */
#include "rpc/pb.h"

enum { DEPTH_MAX = 64 };

struct cursor {
	const uint8_t *p, *end;
};

static bool get_varint(struct cursor *c, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 70 && c->p < c->end; shift += 7) {
		uint8_t byte = *c->p++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static bool skip(struct cursor *c, uint64_t len)
{
	if (len > (uint64_t)(c->end - c->p))
		return false;
	c->p += len;
	return true;
}

/* Bytes of the character at p, 0 when there is none. RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF; and no NUL. */
static size_t character(const uint8_t *p, const uint8_t *end)
{
	uint32_t c = *p, least;
	size_t more;

	if (c < 0x80)
		return c ? 1 : 0;
	more = (c & 0xe0) == 0xc0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : (c & 0xf8) == 0xf0 ? 3 : 0;
	if (!more || (size_t)(end - p) <= more)
		return 0;
	least = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
	c &= 0x3fu >> more;
	for (size_t i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : more + 1;
}

/* Eight bytes of ASCII, none of them NUL: nearly all text there is. */
static bool is_plain(const uint8_t *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return !(word & highs) && !((word - ones) & ~word & highs);
}

static bool is_text(const uint8_t *p, const uint8_t *end)
{
	size_t n;

	while (p < end) {
		if (end - p >= 8 && is_plain(p)) {
			p += 8;
			continue;
		}
		if (!(n = character(p, end)))
			return false;
		p += n;
	}
	return true;
}

void rpc_pb_clean_text(char *text)
{
	const char *end = text + strlen(text);

	while (text < end) {
		size_t n = character((const uint8_t *)text, (const uint8_t *)end);

		if (!n)
			*text = '?';
		text += n ? n : 1;
	}
}

static int check(const ProtobufCMessageDescriptor *type, struct cursor c, int depth, struct err *err)
{
	const ProtobufCFieldDescriptor *f;
	uint64_t tag, n;

	if (depth > DEPTH_MAX)
		return err_set(err, ERR_INVALID, "%s: nested deeper than %d", type->name, DEPTH_MAX);
	while (c.p < c.end) {
		const uint8_t *start;
		bool ok = get_varint(&c, &tag);
		int r;

		if (ok && (tag & 7) == 0)
			ok = get_varint(&c, &n);
		else if (ok && (tag & 7) == 1)
			ok = skip(&c, 8);
		else if (ok && (tag & 7) == 5)
			ok = skip(&c, 4);
		else if (ok && (tag & 7) == 2) {
			ok = get_varint(&c, &n);
			start = c.p;
			ok = ok && skip(&c, n);
			f = tag >> 3 <= UINT32_MAX ?
				protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3)) : NULL;
			if (ok && f && f->type == PROTOBUF_C_TYPE_STRING && !is_text(start, c.p))
				return err_set(err, ERR_INVALID, "%s.%s is not UTF-8 text", type->name, f->name);
			if (ok && f && f->type == PROTOBUF_C_TYPE_MESSAGE) {
				r = check(f->descriptor, (struct cursor){ start, c.p }, depth + 1, err);
				if (r < 0)
					return r;
			}
		} else {
			ok = false; /* groups are gone from proto3 */
		}
		if (!ok)
			return err_set(err, ERR_INVALID, "%s: malformed message", type->name);
	}
	return 0;
}

/*
 * All of a message is in one arena, with the arena's own struct in front of the root: a list of a thousand
 * containers is some thirty thousand pieces, and taking and giving back each one singly was most of what a
 * client did.
 */
struct root {
	struct arena arena;
	_Alignas(max_align_t) unsigned char message[];
};

struct budget {
	struct arena arena;
	struct root *root; /* protobuf-c asks for the root first */
	size_t left;
	bool exceeded;
};

static void *budget_alloc(void *data, size_t size)
{
	struct budget *b = data;

	/* as if each were an allocation of its own: many small pieces are the attack */
	if (size + 16 < size || size + 16 > b->left) {
		b->exceeded = true;
		return NULL;
	}
	b->left -= size + 16;
	if (b->root)
		return arena_new(&b->arena, 1, size);
	b->root = arena_new(&b->arena, 1, sizeof(*b->root) + size);
	return b->root->message;
}

static void budget_free(void *data, void *p)
{
	/* goes with the arena */
}

int rpc_pb_unpack(const ProtobufCMessageDescriptor *type, const void *data, size_t len,
		  ProtobufCMessage **ret, struct err *err)
{
	struct budget budget = { .arena = ARENA_INIT, .left = RPC_PB_MEMORY_MAX + 2 * len };
	ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
	ProtobufCMessage *message;
	int r = 0;

	if (len)
		r = check(type, (struct cursor){ data, (const uint8_t *)data + len }, 0, err);
	if (r < 0)
		return r;
	message = protobuf_c_message_unpack(type, &allocator, len, len ? data : (const uint8_t *)"");
	if (!message)
		arena_done(&budget.arena);
	if (!message && budget.exceeded)
		return err_set(err, ERR_LIMIT, "%s: a message of %zu bytes needs more than %d MiB of memory",
			       type->name, len, RPC_PB_MEMORY_MAX >> 20);
	if (!message)
		return err_set(err, ERR_INVALID, "%s: malformed message", type->name);
	assert((unsigned char *)message == budget.root->message);
	budget.root->arena = budget.arena;
	*ret = message;
	return 0;
}

void rpc_pb_free(ProtobufCMessage *message)
{
	struct arena arena;

	if (!message)
		return;
	arena = ((struct root *)((char *)message - offsetof(struct root, message)))->arena;
	arena_done(&arena);
}

int rpc_pb_pack(const ProtobufCMessage *message, struct buf *out, struct err *err)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	int r = buf_reserve(out, len);

	if (r < 0)
		return err_set(err, ERR_LIMIT, "%s of %zu bytes is larger than %zu", message->descriptor->name,
			       len, out->max);
	if (len) {
		out->len += protobuf_c_message_pack(message, out->data + out->len);
		out->data[out->len] = '\0';
	}
	return 0;
}
