/* The services of the shim's socket: containerd.task.v2.Task, .v3.Task, caisson.shim.v1.Shim. */
#pragma once

#include "rpc/rpc.h"
#include "shim/server.h"

/* user of each service is the struct shim. */
extern const struct ttrpc_method service_task_methods[];
extern const size_t service_n_task_methods;
extern const struct ttrpc_method service_shim_methods[];
extern const size_t service_n_shim_methods;
