/* SPDX-License-Identifier: Apache-2.0 */
#include "shm/node.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "shm/futex.h"

#define SLOT_WORDS (sizeof(struct bt_slot) / sizeof(uint64_t))
#define READ_TRIES_MAX 10000

int bt_node_create(struct bt_node_owner *ret_owner, const char *hub, const char *name, uint32_t slot_count)
{
        uint64_t bytes = sizeof(struct bt_node) + (uint64_t)slot_count * sizeof(struct bt_slot);
        struct bt_node_owner owner = BT_NODE_OWNER_NULL;
        int r;

        bytes = (bytes + BT_PAGE_BYTES - 1) & ~(uint64_t)(BT_PAGE_BYTES - 1);
        r = bt_seg_create_own(&owner.seg, &owner.fd, "baton-node", BT_MAGIC_NODE, bytes);
        if (r)
                return bt_fold(r);
        owner.node = owner.seg.at;
        (void)snprintf(owner.node->hub, sizeof(owner.node->hub), "%s", hub);
        (void)snprintf(owner.node->name, sizeof(owner.node->name), "%s", name);
        owner.node->hub_pid = getpid();
        owner.node->slot_count = slot_count;
        owner.node->started_wall_ns = bt_wall_ns();
        *ret_owner = owner;
        return 0;
}

void bt_node_destroy(struct bt_node_owner *owner)
{
        bt_seg_detach(&owner->seg);
        owner->fd = bt_close(owner->fd);
        owner->node = NULL;
}

struct bt_slot *bt_node_begin(struct bt_node_owner *owner, uint32_t slot_idx)
{
        struct bt_slot *slot;
        uint32_t seq;

        bt_assert(slot_idx < owner->node->slot_count);
        slot = &owner->node->slots[slot_idx];
        if (slot_idx >= atomic_load_explicit(&owner->node->slots_used, memory_order_relaxed))
                atomic_store_explicit(&owner->node->slots_used, slot_idx + 1, memory_order_release);
        seq = atomic_load_explicit(&slot->seq, memory_order_relaxed);
        bt_assert(!(seq & 1));
        atomic_store_explicit(&slot->seq, seq + 1, memory_order_relaxed);
        /* The odd number must be visible before any of the new bytes. */
        atomic_thread_fence(memory_order_release);
        return slot;
}

void bt_node_end(struct bt_slot *slot)
{
        uint32_t seq = atomic_load_explicit(&slot->seq, memory_order_relaxed);

        bt_assert(seq & 1);
        atomic_store_explicit(&slot->seq, seq + 1, memory_order_release);
}

int bt_node_attach(struct bt_node_view *ret_view, int fd)
{
        struct bt_node_view view = {0};
        int r = bt_seg_attach(&view.seg, fd, BT_MAGIC_NODE, 0, 0);

        if (r)
                return r;
        view.node = view.seg.at;
        view.slot_count = view.node->slot_count;
        if (view.seg.bytes < sizeof(struct bt_node) ||
            (view.seg.bytes - sizeof(struct bt_node)) / sizeof(struct bt_slot) < view.slot_count) {
                bt_seg_detach(&view.seg);
                return BT_SEG_E_LAYOUT;
        }
        *ret_view = view;
        return 0;
}

void bt_node_detach(struct bt_node_view *view)
{
        bt_seg_detach(&view->seg);
        view->node = NULL;
        view->slot_count = 0;
}

/* One try: the copy is good when the number before it is even and still the same after it. */
static bool slot_copy(const struct bt_slot *slot, struct bt_slot *ret_slot)
{
        const _Atomic uint64_t *src = (const _Atomic uint64_t *)(const void *)slot;
        uint64_t words[SLOT_WORDS];
        uint32_t before = atomic_load_explicit(&slot->seq, memory_order_acquire);

        if (before & 1)
                return false;
        for (size_t i = 0; i < SLOT_WORDS; i++)
                words[i] = atomic_load_explicit(&src[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&slot->seq, memory_order_relaxed) != before)
                return false;
        memcpy((void *)ret_slot, words, sizeof(words));
        return true;
}

uint32_t bt_node_slots(const struct bt_node_view *view)
{
        uint32_t used = atomic_load_explicit(&view->node->slots_used, memory_order_acquire);

        return used < view->slot_count ? used : view->slot_count;
}

bool bt_node_read(const struct bt_node_view *view, uint32_t slot_idx, struct bt_slot *ret_slot)
{
        if (slot_idx >= view->slot_count)
                return false;
        for (int i = 0; i < READ_TRIES_MAX; i++) {
                if (slot_copy(&view->node->slots[slot_idx], ret_slot)) {
                        ret_slot->id[sizeof(ret_slot->id) - 1] = '\0';
                        ret_slot->exec[sizeof(ret_slot->exec) - 1] = '\0';
                        ret_slot->note[sizeof(ret_slot->note) - 1] = '\0';
                        return ret_slot->id[0] != '\0';
                }
                bt_cpu_relax();
        }
        return false;
}

const char *bt_phase_name(uint32_t phase)
{
        static const char *const names[_BT_PHASE_N] = {
                [BT_PHASE_STOPPED] = "stopped",     [BT_PHASE_STARTING] = "starting",
                [BT_PHASE_RUNNING] = "running",     [BT_PHASE_BACKOFF] = "backoff",
                [BT_PHASE_MIGRATING] = "migrating", [BT_PHASE_STOPPING] = "stopping",
                [BT_PHASE_FAILED] = "failed",
        };

        return phase < _BT_PHASE_N ? names[phase] : "?";
}
