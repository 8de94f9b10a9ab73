/*
 * Intrusive doubly linked list, circular around its head.
 *
 *	struct item { struct list link; int value; };
 *	struct list head; list_init(&head); list_append(&head, &item->link);
 *	list_for_each(it, &head, struct item, link) use(it->value);
 *
 * list_for_each allows the current entry to be removed and freed in the body. A link that
 * is in no list points to itself, and removing it again is harmless.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_append(struct list *head, struct list *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

#define list_entry(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))
#define list_first(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))

#define list_for_each(it, head, type, member)                                              \
	for (type *it = list_entry((head)->next, type, member),                            \
		  *it##_next = list_entry(it->member.next, type, member);                  \
	     &it->member != (head);                                                        \
	     it = it##_next, it##_next = list_entry(it->member.next, type, member))
