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

static int plan_unit(struct runtime_plan *plan, const struct runtime_create *what, struct err *err)
{
	const struct oci_config *c = plan->config;
	struct cgroup_property *properties;
	char *path;
	int r;

	r = cgroup_unit_parse(c->linux_->cgroups_path, plan->id, false, plan->arena, &plan->unit, err);
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
	return r < 0 ? err_wrap(err, r, "linux.resources") : 0;
}
