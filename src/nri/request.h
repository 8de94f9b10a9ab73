/*
 * What a plugin asks of the daemon without being asked: changes of containers' limits, and evictions.
 * Private to nri.
 */
#pragma once

#include "rpc/ttrpc.h"

/* The handler of Runtime.UpdateContainers; user is the struct nri_plugin. Loop thread. */
void nri_on_update_containers(struct ttrpc_call *call, const void *request, void *user);
