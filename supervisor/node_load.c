/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node_load.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/hub.h"

#define ROUND_NS  (5 * BT_NS_PER_S)
#define SLICE_NS  (20 * BT_NS_PER_MS)
#define SLICE     64
#define MEMORY_NS (30 * BT_NS_PER_S)

static void on_timer(struct bt_loop_timer *timer);

static bool by_load(const struct bt_child *child)
{
        uint32_t own = child->spec->distribution;

        return (own ? own : child->hub->plan.plan->distribution) == BT_DISTRIBUTION_LEAST_LOADED;
}

static bool wanted(const struct bt_hub *hub)
{
        bt_hub_foreach_child(child, hub)
        {
                if (by_load(child))
                        return true;
        }
        return false;
}

static void arm(struct bt_hub *hub, uint64_t in_ns)
{
        (void)bt_loop_timer_arm(hub->loop, &hub->load_timer, bt_ns_add(bt_now_ns(), in_ns),
                                on_timer);
}

void bt_node_load_start(struct bt_hub *hub)
{
        if (!hub->load_timer.heap_idx && wanted(hub))
                arm(hub, 0);
}

void bt_node_load_stop(struct bt_hub *hub)
{
        bt_loop_timer_disarm(&hub->load_timer);
}

/* ---- one process ---- */

static bool proc_read(pid_t pid, const char *name, char *text, size_t bytes)
{
        char path[64];
        BT_CLEANUP(bt_closep) int fd = -1;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, bytes - 1);
        if (n <= 0)
                return false;
        text[n] = '\0';
        return true;
}

/* Clock ticks that it has used so far. The name may hold anything, also parentheses: fields are counted from the last one. */
static uint64_t ticks_of(pid_t pid)
{
        uint64_t user = 0, system = 0;
        char text[1024], *at;

        if (!proc_read(pid, "stat", text, sizeof(text)))
                return 0;
        at = strrchr(text, ')');
        for (int field = 2; at && field < 13; field++)
                at = strchr(at + 1, ' ');
        if (!at)
                return 0;
        user = strtoull(at, &at, 10);
        system = strtoull(at, NULL, 10);
        return user + system;
}

static uint64_t resident_bytes(pid_t pid)
{
        char text[256], *at;

        if (!proc_read(pid, "statm", text, sizeof(text)))
                return 0;
        at = strchr(text, ' ');
        return at ? strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* A process that came since counts from its beginning: what it used it used within this round. */
static void sample_child(struct bt_child *child)
{
        struct bt_hub_node *node = child->seat.node;
        uint64_t ticks;

        if (!child->current)
                return;
        ticks = ticks_of(child->current->pid);
        if (child->load_pid != child->current->pid)
                child->load_ticks = 0;
        if (ticks > child->load_ticks)
                node->round_ticks += ticks - child->load_ticks;
        node->round_bytes += resident_bytes(child->current->pid);
        child->load_pid = child->current->pid;
        child->load_ticks = ticks;
}

/* ---- a round ---- */

static uint32_t cpus_of(const struct bt_hub_node *node)
{
        uint32_t count = 0;

        for (size_t i = 0; i < BT_ARRAY_LEN(node->spec->cpus); i++)
                count += (uint32_t)__builtin_popcountll(node->spec->cpus[i]);
        return count ? count : (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
}

static uint64_t memory_of(const struct bt_hub_node *node)
{
        if (node->spec->memory_max)
                return node->spec->memory_max;
        return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void round_end(struct bt_hub *hub)
{
        double waiting[1] = {0};
        uint64_t now = bt_now_ns();
        uint64_t elapsed = hub->load_round_ns ? now - hub->load_round_ns : BT_NS_NEVER;
        double seconds = elapsed == BT_NS_NEVER ? 0 : (double)elapsed / (double)BT_NS_PER_S;

        (void)getloadavg(waiting, 1);
        bt_list_foreach (it, &hub->nodes) {
                struct bt_hub_node *node = bt_list_entry(it, struct bt_hub_node, order);
                struct bt_load sample = {
                        .memory = (double)node->round_bytes / (double)memory_of(node),
                        .run_queue = waiting[0] / (double)sysconf(_SC_NPROCESSORS_ONLN)};

                if (seconds > 0)
                        sample.cpu = (double)node->round_ticks / (double)sysconf(_SC_CLK_TCK) /
                                     seconds / cpus_of(node);
                bt_load_add(&node->load, &sample, node->loaded ? elapsed : BT_NS_NEVER, MEMORY_NS);
                node->loaded = elapsed != BT_NS_NEVER; /* the first round knows no interval */
                node->round_ticks = node->round_bytes = 0;
        }
        hub->load_round_ns = now;
}

/* A child that is removed during a round takes the place in it along: hub->load_next is moved by bt_hub_child_remove(). */
static void on_timer(struct bt_loop_timer *timer)
{
        struct bt_hub *hub = bt_container_of(timer, struct bt_hub, load_timer);

        if (!hub->load_next)
                hub->load_next = bt_hub_child_after(hub, NULL);
        for (uint32_t i = 0; i < SLICE && hub->load_next; i++) {
                sample_child(hub->load_next);
                hub->load_next = bt_hub_child_after(hub, hub->load_next);
        }
        if (hub->load_next) {
                arm(hub, SLICE_NS);
                return;
        }
        round_end(hub);
        if (!hub->stopping && wanted(hub))
                arm(hub, ROUND_NS);
}
