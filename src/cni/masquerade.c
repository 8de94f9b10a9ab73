/*
 * nf_tables over netlink(7): a transaction of a few messages, or one question. Attributes are
 * written into a buffer whose size is known to hold the longest of both families.
 */
#include "cni/masquerade.h"

#include "cni/load.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <sys/socket.h>

enum { PRIORITY_SRCNAT = 100 };

static const char chain[] = "postrouting";

/* What differs between the families. */
struct family {
	int nfproto;
	uint32_t source, destination, len; /* of the addresses in the packet's header */
	uint8_t multicast[16], multicast_mask[16];
};

static const struct family families[] = {
	{ NFPROTO_IPV4, 12, 16, 4, { 224 }, { 240 } },
	{ NFPROTO_IPV6, 8, 24, 16, { 0xff }, { 0xff } },
};

struct network {
	const struct family *family;
	uint8_t address[16], mask[16];
};

struct batch {
	uint32_t seq;
	size_t len, message; /* where the message begins that is being written */
	uint8_t data[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
};

static int read_network(const char *subnet, struct network *ret)
{
	uint32_t bits;
	int version;

	memset(ret, 0, sizeof(*ret));
	version = cni_subnet_read(subnet, ret->address, &bits);
	if (version < 0)
		return version;
	ret->family = &families[version == 6];
	for (uint32_t bit = 0; bit < bits; bit++)
		ret->mask[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	/* 10.88.0.1/16 is the network 10.88.0.0/16 */
	for (size_t k = 0; k < sizeof(ret->mask); k++)
		ret->address[k] &= ret->mask[k];
	return 0;
}

/* ---- writing ---- */

static void put(struct batch *b, const void *data, size_t len)
{
	assert(b->len + NLMSG_ALIGN(len) <= sizeof(b->data));
	memcpy(b->data + b->len, data, len);
	memset(b->data + b->len + len, 0, NLMSG_ALIGN(len) - len);
	b->len += NLMSG_ALIGN(len);
}

static void message(struct batch *b, int type, int flags, int nfproto, uint16_t resource)
{
	struct nlmsghdr head = { 0, (uint16_t)type, (uint16_t)(NLM_F_REQUEST | flags), ++b->seq, 0 };
	struct nfgenmsg nf = { (uint8_t)nfproto, NFNETLINK_V0, htons(resource) };

	b->message = b->len;
	put(b, &head, sizeof(head));
	put(b, &nf, sizeof(nf));
}

static void message_end(struct batch *b)
{
	((struct nlmsghdr *)(b->data + b->message))->nlmsg_len = (uint32_t)(b->len - b->message);
}

static void attr(struct batch *b, int type, const void *data, size_t len)
{
	struct nlattr a = { (uint16_t)(NLA_HDRLEN + len), (uint16_t)type };

	put(b, &a, sizeof(a));
	put(b, data, len);
}

static void attr_text(struct batch *b, int type, const char *text)
{
	attr(b, type, text, strlen(text) + 1);
}

static void attr_u32(struct batch *b, int type, uint32_t value)
{
	value = htobe32(value);
	attr(b, type, &value, sizeof(value));
}

static size_t nest(struct batch *b, int type)
{
	size_t at = b->len;
	struct nlattr a = { 0, (uint16_t)(NLA_F_NESTED | type) };

	put(b, &a, sizeof(a));
	return at;
}

static void nest_end(struct batch *b, size_t at)
{
	((struct nlattr *)(b->data + at))->nla_len = (uint16_t)(b->len - at);
}

static void attr_value(struct batch *b, int type, const void *data, size_t len)
{
	size_t at = nest(b, type);

	attr(b, NFTA_DATA_VALUE, data, len);
	nest_end(b, at);
}

struct expression {
	size_t element, data;
};

static struct expression expression(struct batch *b, const char *name)
{
	struct expression e;

	e.element = nest(b, NFTA_LIST_ELEM);
	attr_text(b, NFTA_EXPR_NAME, name);
	e.data = nest(b, NFTA_EXPR_DATA);
	return e;
}

static void expression_end(struct batch *b, struct expression e)
{
	nest_end(b, e.data);
	nest_end(b, e.element);
}

/* The address at this offset of the header is, or is not, in the network. */
static void match(struct batch *b, uint32_t offset, uint32_t len, uint32_t op, const uint8_t *address,
		  const uint8_t *mask)
{
	static const uint8_t nothing[16];
	struct expression e = expression(b, "payload");

	attr_u32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	attr_u32(b, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	attr_u32(b, NFTA_PAYLOAD_OFFSET, offset);
	attr_u32(b, NFTA_PAYLOAD_LEN, len);
	expression_end(b, e);

	e = expression(b, "bitwise");
	attr_u32(b, NFTA_BITWISE_SREG, NFT_REG_1);
	attr_u32(b, NFTA_BITWISE_DREG, NFT_REG_1);
	attr_u32(b, NFTA_BITWISE_LEN, len);
	attr_value(b, NFTA_BITWISE_MASK, mask, len);
	attr_value(b, NFTA_BITWISE_XOR, nothing, len);
	expression_end(b, e);

	e = expression(b, "cmp");
	attr_u32(b, NFTA_CMP_SREG, NFT_REG_1);
	attr_u32(b, NFTA_CMP_OP, op);
	attr_value(b, NFTA_CMP_DATA, address, len);
	expression_end(b, e);
}

static int nft(int type)
{
	return NFNL_SUBSYS_NFTABLES << 8 | type;
}

static void put_table(struct batch *b, int type, int flags, const struct network *net, const char *table)
{
	message(b, nft(type), flags, net->family->nfproto, 0);
	attr_text(b, NFTA_TABLE_NAME, table);
	message_end(b);
}

static void put_chain(struct batch *b, const struct network *net, const char *table)
{
	size_t hook;

	message(b, nft(NFT_MSG_NEWCHAIN), NLM_F_CREATE, net->family->nfproto, 0);
	attr_text(b, NFTA_CHAIN_TABLE, table);
	attr_text(b, NFTA_CHAIN_NAME, chain);
	hook = nest(b, NFTA_CHAIN_HOOK);
	attr_u32(b, NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
	attr_u32(b, NFTA_HOOK_PRIORITY, PRIORITY_SRCNAT);
	nest_end(b, hook);
	attr_text(b, NFTA_CHAIN_TYPE, "nat");
	message_end(b);
}

static void put_rule(struct batch *b, int flags, const struct network *net, const char *table)
{
	const struct family *f = net->family;
	struct expression e;
	size_t list;

	message(b, nft(NFT_MSG_NEWRULE), NLM_F_CREATE | NLM_F_APPEND | flags, f->nfproto, 0);
	attr_text(b, NFTA_RULE_TABLE, table);
	attr_text(b, NFTA_RULE_CHAIN, chain);
	list = nest(b, NFTA_RULE_EXPRESSIONS);
	match(b, f->source, f->len, NFT_CMP_EQ, net->address, net->mask);
	match(b, f->destination, f->len, NFT_CMP_NEQ, net->address, net->mask);
	match(b, f->destination, f->len, NFT_CMP_NEQ, f->multicast, f->multicast_mask);
	e = expression(b, "masq");
	attr_u32(b, NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY);
	expression_end(b, e);
	nest_end(b, list);
	message_end(b);
}

static void begin(struct batch *b)
{
	message(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	message_end(b);
}

static void end(struct batch *b)
{
	message(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	message_end(b);
}

/* ---- asking ---- */

/*
 * The kernel has answered by the time that send returns: with the first error, with an
 * acknowledgement where one was asked for, or with what was asked for.
 */
static int talk(const struct batch *b)
{
	autofd int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	uint8_t answer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *h = (void *)answer;
	ssize_t n;

	if (nl < 0 || send(nl, b->data, b->len, 0) < 0)
		return -errno;
	do
		n = recv(nl, answer, sizeof(answer), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -EPROTO : -errno;
	if (!NLMSG_OK(h, n))
		return -EPROTO;
	return h->nlmsg_type == NLMSG_ERROR ? ((struct nlmsgerr *)NLMSG_DATA(h))->error : 0;
}

/* What all have in common: the network read, and the name of its table. */
struct target {
	struct network net;
	char table[32];
};

static int target(const char *bridge, const char *subnet, struct target *ret)
{
	snprintf(ret->table, sizeof(ret->table), "caisson-%.15s", bridge);
	return read_network(subnet, &ret->net);
}

int cni_masquerade_look(const char *bridge, const char *subnet)
{
	struct batch b = { 0 };
	struct target t;
	int r = target(bridge, subnet, &t);

	if (r < 0)
		return r;
	put_table(&b, NFT_MSG_GETTABLE, 0, &t.net, t.table);
	return talk(&b);
}

/* The table goes, whatever was in it, and with `make` it is there again: one transaction. */
static int replace(const char *bridge, const char *subnet, bool make)
{
	struct batch b = { 0 };
	struct target t;
	int r = target(bridge, subnet, &t);

	if (r < 0)
		return r;
	begin(&b);
	/* made first, so that there is one to delete: no transaction fails for a table that is not there */
	put_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE, &t.net, t.table);
	put_table(&b, NFT_MSG_DELTABLE, make ? 0 : NLM_F_ACK, &t.net, t.table);
	if (make) {
		put_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE, &t.net, t.table);
		put_chain(&b, &t.net, t.table);
		put_rule(&b, NLM_F_ACK, &t.net, t.table);
	}
	end(&b);
	return talk(&b);
}

int cni_masquerade_make(const char *bridge, const char *subnet)
{
	return replace(bridge, subnet, true);
}

int cni_masquerade_remove(const char *bridge, const char *subnet)
{
	return replace(bridge, subnet, false);
}
