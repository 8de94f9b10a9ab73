/*
 * Claims by container, field and key.
 */
#include "nri/owners.h"

struct owner {
	const char *id, *key, *plugin;
	int field;
};

void nri_owners_done(struct nri_owners *o)
{
	map_done(&o->map);
	arena_done(&o->arena);
}

static char *name_of(struct nri_owners *o, const char *id, int field, const char *key)
{
	return arena_printf(&o->arena, "%s/%d/%s", id, field, key ? key : "");
}

static const char *field_name(int field)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(NRI_TYPE(field), field);

	return v ? v->name : "?";
}

static void put(struct nri_owners *o, const char *name, const char *id, int field, const char *key,
		const char *plugin)
{
	struct owner *owner = arena_new(&o->arena, 1, sizeof(*owner));

	*owner = (struct owner){
		.id = arena_strdup(&o->arena, id), .key = arena_strdup(&o->arena, key), .plugin = plugin,
		.field = field,
	};
	map_put(&o->map, name, owner);
}

int nri_claim(struct nri_owners *o, const char *id, int field, const char *key, const char *plugin,
	      struct err *err)
{
	const char *name;
	const struct owner *other;

	if (!o)
		return 0;
	name = name_of(o, id, field, key);
	other = map_get(&o->map, name);
	if (!other) {
		put(o, name, id, field, key, plugin);
		return 0;
	}
	if (other->plugin == plugin)
		return 0;
	return err_set(err, ERR_INVALID, "NRI plugins %s and %s both set %s%s%s", other->plugin, plugin,
		       field_name(field), key ? " " : "", key ? key : "");
}

void nri_unclaim(struct nri_owners *o, const char *id, int field, const char *key)
{
	if (o)
		map_remove(&o->map, name_of(o, id, field, key));
}

void nri_claim_also(struct nri_owners *o, const char *id, int field, const char *plugin)
{
	const char *name = name_of(o, id, field, NULL);
	struct owner *other = map_get(&o->map, name);

	if (other)
		other->plugin = arena_printf(&o->arena, "%s,%s", other->plugin, plugin);
	else
		put(o, name, id, field, NULL, plugin);
}

/* ---- as a message ---- */

/* The entry of that container, made when it is not there. */
static NRI(FieldOwners) *fields_of(NRI(OwningPlugins) *all, const char *id, size_t room, struct arena *a)
{
	NRI(OwningPlugins__OwnersEntry) *e;

	for (size_t i = 0; i < all->n_owners; i++)
		if (str_eq(all->owners[i]->key, id))
			return all->owners[i]->value;
	e = nri_pb_new(a, NRI_TYPE(owning_plugins__owners_entry));
	e->key = arena_strdup(a, id);
	e->value = nri_pb_new(a, NRI_TYPE(field_owners));
	e->value->simple = arena_new(a, room, sizeof(*e->value->simple));
	e->value->compound = arena_new(a, room, sizeof(*e->value->compound));
	all->owners[all->n_owners++] = e;
	return e->value;
}

static NRI(CompoundFieldOwners) *compound_of(NRI(FieldOwners) *f, int field, size_t room, struct arena *a)
{
	NRI(FieldOwners__CompoundEntry) *e;

	for (size_t i = 0; i < f->n_compound; i++)
		if (f->compound[i]->key == field)
			return f->compound[i]->value;
	e = nri_pb_new(a, NRI_TYPE(field_owners__compound_entry));
	e->key = field;
	e->value = nri_pb_new(a, NRI_TYPE(compound_field_owners));
	e->value->owners = arena_new(a, room, sizeof(*e->value->owners));
	f->compound[f->n_compound++] = e;
	return e->value;
}

NRI(OwningPlugins) *nri_owners_write(struct nri_owners *o, struct arena *a)
{
	NRI(OwningPlugins) *all = nri_pb_new(a, NRI_TYPE(owning_plugins));
	size_t pos = 0, room = o->map.n + 1;
	const struct owner *owner;

	all->owners = arena_new(a, room, sizeof(*all->owners));
	while ((owner = map_next(&o->map, &pos))) {
		NRI(FieldOwners) *f = fields_of(all, owner->id, room, a);

		if (owner->key) {
			NRI(CompoundFieldOwners) *c = compound_of(f, owner->field, room, a);
			NRI(CompoundFieldOwners__OwnersEntry) *e =
				nri_pb_new(a, NRI_TYPE(compound_field_owners__owners_entry));

			e->key = (char *)owner->key;
			e->value = (char *)owner->plugin;
			c->owners[c->n_owners++] = e;
		} else {
			NRI(FieldOwners__SimpleEntry) *e = nri_pb_new(a,
								      NRI_TYPE(field_owners__simple_entry));

			e->key = owner->field;
			e->value = (char *)owner->plugin;
			f->simple[f->n_simple++] = e;
		}
	}
	return all;
}
