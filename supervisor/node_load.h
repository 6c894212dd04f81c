/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the nodes have to do, for children that are placed by `least_loaded`: processor time and memory of their processes, as the kernel counts them.
 *
 *      every 5 s: a round ──► 64 children a turn ──► sums for each node ──► bt_load_add(): an average with a memory of 30 s
 *
 * A round is cut into slices, so that a hub of ten thousand children never reads ten thousand files between two steps of a swap. Nothing is sampled in a
 * hub where no child asks for it, or with one node.
 *
 * Threads that wait for a processor are known for the host as a whole only (the load average); each node is given that figure, in which case it decides
 * nothing between them. Dropped: cpu.stat and memory.current of a cgroup, which not every hub has.
 */

struct bt_hub;

void bt_node_load_start(
        struct bt_hub *
                hub); /* when the children are known, and again when some were added: harmless when it is on already */
void bt_node_load_stop(struct bt_hub *hub);
