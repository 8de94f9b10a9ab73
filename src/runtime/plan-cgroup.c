/*
 * Spec → plan: which cgroup, made by whom, with which limits. Runs in the caller; asks what
 * this host is, and systemd where its units begin.
 */
#include "runtime/plan.h"

static const char curve_key[] = "org.caisson.cpu-weight-curve";
static const char property_prefix[] = "org.systemd.property.";

int plan_weight_curve(const struct json_kv *annotations, size_t n, struct cgroup_limits *ret,
		      struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(annotations[i].key, curve_key) &&
		    cgroup_weight_curve_find(annotations[i].value, &ret->weight_curve) < 0)
			return err_set(err, ERR_INVALID,
				       "annotations: %s: \"%.100s\" is neither linear nor quadratic",
				       curve_key, annotations[i].value);
	return 0;
}

static bool is_rootless(const struct runtime_plan *plan, const struct runtime_create *what)
{
	if (what->rootless == RUNTIME_ROOTLESS_AUTO)
		return plan->in_user_ns;
	return what->rootless == RUNTIME_ROOTLESS_TRUE;
}

/* Nobody gave the user a part of the tree: without limits no cgroup is needed either. */
static int do_without(struct runtime_plan *plan, struct err *err)
{
	if (cgroup_is_writable(plan->cgroup_host, plan->cgroup_path))
		return 0;
	if (plan->cgroup.n_writes)
		return err_set(err, ERR_DENIED, "linux.resources: %s cannot be set: the cgroup %s is not "
			       "delegated to this user (--systemd-cgroup asks the user's systemd for one)",
			       plan->cgroup.writes[0].file, plan->cgroup_path);
	plan->cgroup_host = NULL;
	plan->cgroup_path = NULL;
	return 0;
}

static int plan_unit(struct runtime_plan *plan, const struct runtime_create *what, struct err *err)
{
	const struct oci_config *c = plan->config;
	struct cgroup_property *properties;
	char *path;
	int r;

	r = cgroup_unit_parse(c->linux_->cgroups_path, plan->id, is_rootless(plan, what), plan->arena,
			      &plan->unit, err);
	if (r < 0)
		return err_wrap(err, r, "linux.cgroupsPath");
	properties = arena_new(plan->arena, c->n_annotations + 1, sizeof(*properties));
	for (size_t i = 0; i < c->n_annotations; i++) {
		const char *name = str_skip_prefix(c->annotations[i].key, property_prefix);

		if (!name)
			continue;
		r = cgroup_property_parse(name, c->annotations[i].value, plan->arena,
					  &properties[plan->unit.n_properties++], err);
		if (r < 0)
			return err_wrap(err, r, "annotations");
	}
	plan->unit.properties = properties;
	r = cgroup_unit_path(&plan->unit, plan->arena, &path, err);
	plan->cgroup_path = r < 0 ? NULL : path;
	plan->is_systemd = true;
	return r;
}

int plan_cgroup(struct runtime_plan *plan, const struct runtime_create *what, struct err *err)
{
	const struct oci_config *c = plan->config;
	const struct oci_linux *l = c->linux_;
	int r;

	if (what->force_cgroup_less)
		return 0;
	r = cgroup_host_get(&plan->cgroup_host, err);
	if (r == 0)
		r = plan_limits(l->resources, true, plan->arena, &plan->limits, err);
	/* in a user namespace nobody attaches device programs; there devices cannot be made either */
	if (r == 0 && is_rootless(plan, what))
		plan->limits.n_devices = 0;
	if (r == 0)
		r = plan_weight_curve(c->annotations, c->n_annotations, &plan->limits, err);
	if (r < 0)
		return r;
	if (what->systemd_cgroup) {
		r = plan_unit(plan, what, err);
	} else {
		plan->cgroup_path = str_empty(l->cgroups_path) ? plan->id : l->cgroups_path;
		r = cgroup_path_check(plan->cgroup_path, err);
		if (r < 0)
			return err_wrap(err, r, "linux.cgroupsPath");
	}
	if (r < 0)
		return r;
	r = cgroup_plan(plan->cgroup_host, &plan->limits, plan->arena, &plan->cgroup, err);
	if (r == 0 && plan->is_systemd)
		r = cgroup_unit_limits(plan->cgroup_host, &plan->limits, plan->arena, &plan->cgroup, err);
	if (r < 0)
		return err_wrap(err, r, "linux.resources");
	return is_rootless(plan, what) && !plan->is_systemd ? do_without(plan, err) : 0;
}
