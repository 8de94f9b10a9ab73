/*
 * Elements of lists as bytes: lists.h.
 *
 * Invariant: a kept row is what encoding the object anew would give. What a row shows and may
 * change is its state and, of a container that was created by the id of its image, the image's
 * name; everything else is fixed before the object is listed. A row that is added to a list has
 * to be looked at for that.
 */
#include "cri/lists.h"

#include "image/image.h"

struct kept_row {
	int state;
	uint64_t names; /* version of the image table; 0: it gives the row no name */
	size_t len;
	uint8_t data[];
};

static size_t put_head(uint8_t *to, size_t len)
{
	size_t n = 0;

	to[n++] = 1 << 3 | 2; /* field 1, with a length */
	do {
		to[n++] = (uint8_t)((len & 0x7f) | (len > 0x7f ? 0x80 : 0));
		len >>= 7;
	} while (len);
	return n;
}

enum { HEAD_MAX = 11 };

static int too_large(size_t len, struct err *err)
{
	return err_set(err, ERR_LIMIT, "a list with one more item of %zu bytes is larger than a message may "
		       "be: ask for it as a stream", len);
}

int cri_row_put(struct buf *out, const ProtobufCMessage *item, struct err *err)
{
	size_t len = protobuf_c_message_get_packed_size(item);

	if (buf_reserve(out, len + HEAD_MAX) < 0)
		return too_large(len, err);
	out->len += put_head(out->data + out->len, len);
	out->len += protobuf_c_message_pack(item, out->data + out->len);
	return 0;
}

/* The row that is kept, or a new one in its place. */
static int put_kept(void **kept, int state, uint64_t names, const ProtobufCMessage *fresh, struct buf *out,
		    struct err *err)
{
	struct kept_row *row = *kept;

	if (fresh) {
		size_t len = protobuf_c_message_get_packed_size(fresh);

		free(row);
		*kept = row = mem_new(1, sizeof(*row) + HEAD_MAX + len);
		row->state = state;
		row->names = names;
		row->len = put_head(row->data, len);
		row->len += protobuf_c_message_pack(fresh, row->data + row->len);
	}
	return buf_append(out, row->data, row->len) < 0 ? too_large(row->len, err) : 0;
}

int cri_row_container(struct cri_call *c, struct pod_container *container, struct buf *out, struct err *err)
{
	const struct kept_row *row = container->kept_row;
	const ProtobufCMessage *fresh = NULL;
	uint64_t names = row ? row->names : cri_container_named_by_id(container);

	/* read before the name is: a row that is too new for its version is made once more, no harm */
	if (names)
		names = image_table_version(c->cri->settings.images);
	if (!row || row->state != (int)container->state || row->names != names)
		fresh = &cri_container_item(c, container)->base;
	return put_kept(&container->kept_row, (int)container->state, names, fresh, out, err);
}

int cri_row_pod(struct cri_call *c, struct pod_sandbox *pod, struct buf *out, struct err *err)
{
	const struct kept_row *row = pod->kept_row;
	const ProtobufCMessage *fresh = NULL;

	if (!row || row->state != (int)pod->state)
		fresh = &cri_pod_item(c, pod)->base;
	return put_kept(&pod->kept_row, (int)pod->state, 0, fresh, out, err);
}
