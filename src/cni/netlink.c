/* rtnetlink(7): requests out, answers walked with every length checked. */
#include "cni/netlink.h"

#include "base/base.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

struct request {
	struct nlmsghdr head;
	struct ifinfomsg info;
	struct nlattr attr;
	char name[IFNAMSIZ];
};

int cni_netlink_open(int *ret_fd)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static struct request request(int type, int flags, int index)
{
	return (struct request){
		.head = {
			.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
			.nlmsg_type = (uint16_t)type,
			.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
			.nlmsg_seq = 1,
		},
		.info = { .ifi_family = AF_UNSPEC, .ifi_index = index },
	};
}

static void read_kind(const struct rtattr *info, struct cni_link *link)
{
	int len = (int)RTA_PAYLOAD(info);

	for (const struct rtattr *a = RTA_DATA(info); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_INFO_KIND)
			snprintf(link->kind, sizeof(link->kind), "%.*s", (int)RTA_PAYLOAD(a), (char *)RTA_DATA(a));
}

static void read_link(const struct nlmsghdr *head, struct cni_link *link)
{
	const struct ifinfomsg *info = NLMSG_DATA(head);
	int len = (int)head->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*info));

	memset(link, 0, sizeof(*link));
	link->index = info->ifi_index;
	link->flags = info->ifi_flags;
	for (const struct rtattr *a = IFLA_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		size_t n = RTA_PAYLOAD(a);

		switch (a->rta_type & NLA_TYPE_MASK) {
		case IFLA_IFNAME:
			snprintf(link->name, sizeof(link->name), "%.*s", (int)n, (char *)RTA_DATA(a));
			break;
		case IFLA_MASTER:
			if (n >= sizeof(int))
				memcpy(&link->master, RTA_DATA(a), sizeof(int));
			break;
		case IFLA_STATS64: /* grows with kernels: what is there is taken */
			memcpy(&link->stats, RTA_DATA(a), n < sizeof(link->stats) ? n : sizeof(link->stats));
			break;
		case IFLA_LINKINFO:
			read_kind(a, link);
			break;
		}
	}
}

/* Sends, then reads answers until the acknowledgement or the end of the dump. */
static int talk(int nl, const struct request *req, void (*fn)(const struct cni_link *, void *), void *user)
{
	/* a dump's part is at most what the reader's buffer takes; the kernel fills up to 32 KiB */
	autofree struct nlmsghdr *answer = mem_new(1, 32768);

	if (send(nl, req, req->head.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(nl, answer, 32768, 0);
		struct nlmsghdr *h = answer;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int left = (int)n; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (h->nlmsg_type == RTM_NEWLINK && fn) {
				struct cni_link link;

				read_link(h, &link);
				fn(&link, user);
			}
		}
	}
}

static void take_link(const struct cni_link *link, void *user)
{
	*(struct cni_link *)user = *link;
}

int cni_link_get(int nl, const char *name, struct cni_link *ret)
{
	struct request req = request(RTM_GETLINK, NLM_F_ACK, 0);
	size_t len = strlen(name) + 1;
	struct cni_link link = { 0 };
	int r;

	if (len > sizeof(req.name))
		return -ENODEV;
	req.attr = (struct nlattr){ (uint16_t)(NLA_HDRLEN + len), IFLA_IFNAME };
	memcpy(req.name, name, len);
	req.head.nlmsg_len += (uint32_t)NLA_ALIGN(NLA_HDRLEN + len);
	r = talk(nl, &req, take_link, &link);
	if (r < 0)
		return r;
	*ret = link;
	return 0;
}

int cni_link_each(int nl, void (*fn)(const struct cni_link *link, void *user), void *user)
{
	struct request req = request(RTM_GETLINK, NLM_F_DUMP, 0);

	return talk(nl, &req, fn, user);
}

int cni_link_up(int nl, int index)
{
	struct request req = request(RTM_NEWLINK, NLM_F_ACK, index);

	req.info.ifi_flags = req.info.ifi_change = IFF_UP;
	return talk(nl, &req, NULL, NULL);
}
