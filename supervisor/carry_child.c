/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children and their processes, in the next program of their hub: found by their records in the registry as those of a hub that was killed (adopt.c), but with
 * the descriptors that were carried, and with what the hub knew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/callers.h"
#include "supervisor/carry.h"
#include "supervisor/mailbox.h"
#include "supervisor/notify.h"
#include "supervisor/replicas.h"

/* ---- processes ---- */

static const struct bt_carry_process *process_of(const struct bt_found *found)
{
        return bt_carry_at(*found->carried);
}

bool bt_carry_current(const struct bt_found *found)
{
        return process_of(found)->flags & BT_CARRY_PROCESS_CURRENT;
}

static int find_link(struct bt_carry *carry, const struct bt_carry_process *process,
                     struct bt_found *found)
{
        int fd = bt_carry_take(carry, process->link);
        int r = bt_seg_attach(&found->link_seg, fd, BT_MAGIC_LINK, BT_PAGE_BYTES, 1);

        (void)bt_close(fd);
        if (r)
                return r < 0 ? r : -EPROTO;
        found->link = found->link_seg.at;
        if (found->link->head.epoch != found->entry->link_epoch ||
            found->link->incarnation != process->number || !bt_link_valid(found->link))
                return -EPROTO;
        found->fds[BT_LINK_FD_BATON] = bt_carry_dup(carry, process->holding);
        found->fds[BT_LINK_FD_BELL] = bt_carry_take(carry, process->bell);
        found->fds[BT_LINK_FD_HUB_CHANNEL] = bt_carry_take(carry, process->channel);
        return found->fds[BT_LINK_FD_BATON] < 0 ? -errno : 0;
}

int bt_carry_find(struct bt_hub *hub, uint32_t entry, struct bt_found *found)
{
        struct bt_carry *carry = hub->carry;
        const struct bt_carry_item *const *item =
                carry && entry < carry->process_room ? carry->processes[entry] : NULL;
        const struct bt_carry_process *process = item ? bt_carry_at(*item) : NULL;

        if (!process || process->pid != found->entry->pid)
                return 1;
        found->carried = item;
        found->pid = process->pid;
        found->pidfd = bt_carry_take(carry, process->pidfd);
        found->fds[BT_LINK_FD_OUT] = bt_carry_take(carry, process->out);
        found->fds[BT_LINK_FD_ERR] = bt_carry_take(carry, process->err);
        return process->link == BT_CARRY_NONE ? 0 : find_link(carry, process, found);
}

/* What it printed last, and the beginning of a line. */
static void take_log(struct bt_log *log, const struct bt_carry_log *item)
{
        const char *text = (const char *)(item + 1);

        log->dropped = item->dropped;
        log->line = item->line_bytes ? malloc(item->line_bytes) : NULL;
        if (log->line) {
                memcpy(log->line, text, item->line_bytes);
                log->bytes = item->line_bytes;
        }
        log->tail = item->tail_bytes ? malloc(BT_LOG_TAIL_BYTES) : NULL;
        if (log->tail) {
                memcpy(log->tail, text + item->line_bytes, item->tail_bytes);
                log->tail_bytes = item->tail_bytes;
                log->tail_room = BT_LOG_TAIL_BYTES;
        }
}

int bt_carry_process(struct bt_inc *inc, const struct bt_found *found)
{
        const struct bt_carry_process *says = process_of(found);
        const struct bt_carry_item *const *item = found->carried;
        int r = 0;

        inc->reason = (enum baton_reason)says->reason;
        inc->version = says->version;
        inc->heir = says->heir;
        inc->retention_ns = says->retention_ns;
        inc->ready = says->flags & BT_CARRY_PROCESS_READY;
        inc->told_to_end = says->flags & BT_CARRY_PROCESS_TOLD_TO_END;
        inc->retires = says->flags & BT_CARRY_PROCESS_RETIRES;
        inc->drains_nothing = says->flags & BT_CARRY_PROCESS_DRAINS_NOTHING;
        inc->killed = says->flags & BT_CARRY_PROCESS_KILLED;
        inc->consents = says->flags & BT_CARRY_PROCESS_CONSENTS;
        inc->poisoned = says->flags & BT_CARRY_PROCESS_POISONED;
        while (!r && *++item && bt_carry_of_process(*item)) {
                const struct bt_carry_log *log = bt_carry_at(*item);

                if ((*item)->kind == BT_CARRY_LOG)
                        take_log(log->which == 1 ? &inc->out : &inc->err, log);
                else
                        r = bt_notify_carried(inc, inc->child->hub->carry, bt_carry_at(*item));
        }
        if (says->deadline_ns != BT_NS_NEVER)
                bt_inc_ends_until(inc, says->deadline_ns);
        return r;
}

/* ---- children ---- */

int bt_carry_mail(struct bt_child *child)
{
        struct bt_carry *carry = child->hub->carry;
        const struct bt_carry_item *const *item = bt_carry_child(carry, child->id);
        const struct bt_carry_child *says = item ? bt_carry_at(*item) : NULL;
        int fds[_BT_LINK_MAIL_N];

        if (!says || says->mail[BT_LINK_MAIL_BOX] == BT_CARRY_NONE)
                return 0;
        for (int i = 0; i < _BT_LINK_MAIL_N; i++)
                fds[i] = bt_carry_take(carry, says->mail[i]);
        return bt_mail_take_up(child, fds);
}

static void take_binary(struct bt_binary **binary, struct bt_hub *hub, uint32_t idx)
{
        struct bt_binary *carried = bt_carry_binary(hub, idx);

        if (!carried)
                return;
        (void)bt_binary_unref(*binary);
        *binary = carried;
}

static void take_history(struct bt_child *child, const struct bt_carry_child *says)
{
        if (says->restart_count && !child->restarted_ns)
                child->restarted_ns = calloc(BT_RESTART_HISTORY, sizeof(*child->restarted_ns));
        if (says->restart_count && child->restarted_ns) {
                memcpy(child->restarted_ns, says->restarted_ns, sizeof(says->restarted_ns));
                child->restart_count = says->restart_count;
        }
        child->backoff_ns = says->backoff_ns;
        child->running_since_ns = says->running_since_ns;
        child->restore_failures = says->restore_failures;
        child->spare_backoff_ns = says->spare_backoff_ns;
        child->restarts = says->restarts;
        child->swaps = says->swaps;
        child->rollbacks = says->rollbacks;
        child->pause_ns = says->pause_ns;
        child->total_ns = says->total_ns;
        child->state_bytes = says->state_bytes;
        child->limits_hit = says->limits_hit;
        child->served_pid = says->served_pid;
        child->last_exit =
                (struct bt_proc_exit){.code = says->exit_code, .status = says->exit_status};
        if (says->number_next > child->number_next)
                child->number_next = says->number_next;
        memcpy(child->note, says->note, sizeof(child->note));
}

static void take_kept(struct bt_child *child, struct bt_carry *carry,
                      const struct bt_carry_kept *says)
{
        int fd = bt_carry_take(carry, says->fd);

        if (fd >= 0)
                bt_child_keep(child, says->name, fd, true);
}

static void take_parcel(struct bt_child *child, struct bt_carry *carry,
                        const struct bt_carry_parcel *says)
{
        int fds[BT_HANDOFF_FDS_MAX];

        for (uint32_t i = 0; i < says->message.count; i++)
                fds[i] = bt_carry_take(carry, says->fds[i]);
        if (!bt_parcel_add(&child->parcel, &says->message, fds, says->message.count))
                return;
        for (uint32_t i = 0; i < says->message.count; i++)
                (void)bt_close(fds[i]);
}

static void take_belongings(struct bt_child *child, const struct bt_carry_item *const *item)
{
        while (*++item && bt_carry_of_child(*item)) {
                if ((*item)->kind == BT_CARRY_KEPT)
                        take_kept(child, child->hub->carry, bt_carry_at(*item));
                else if ((*item)->kind == BT_CARRY_PARCEL)
                        take_parcel(child, child->hub->carry, bt_carry_at(*item));
        }
}

/* ---- one that is down ---- */

static int take_holding(struct bt_child *child, const struct bt_carry_child *says)
{
        struct bt_holding *holding = NULL;
        int fd = bt_carry_dup(child->hub->carry, says->holding);
        int r = fd < 0 ? -EBADF : bt_holding_adopt(&holding, fd);

        if (!r && (holding->baton->form != child->spec->state_form ||
                   strncmp(holding->baton->id, child->id, sizeof(holding->baton->id)) != 0)) {
                (void)bt_holding_unref(holding);
                r = -EPROTO;
        }
        if (r)
                return r;
        (void)bt_holding_unref(child->holding);
        child->holding = holding;
        return 0;
}

static void take_down(struct bt_child *child, const struct bt_carry_child *says)
{
        struct bt_hub_node *node = bt_hub_node_find(child->hub, says->node);

        bt_list_unlink(&child->to_load);
        if (node && node != child->seat.node)
                (void)bt_child_reseat(child, node);
        if (says->holding != BT_CARRY_NONE && take_holding(child, says))
                bt_child_note(child, "what it left when it ended cannot be used any more");
        if (child->mail && !bt_carry_mail(child))
                bt_callers_child_taken_up(child);
        child->stored_sequence = says->stored_sequence;
        child->in_transit = says->flags & BT_CARRY_CHILD_IN_TRANSIT;
        child->with_keeper = says->flags & BT_CARRY_CHILD_WITH_KEEPER;
        child->reload = says->flags & BT_CARRY_CHILD_RELOAD;
        child->kept_record = says->flags & BT_CARRY_CHILD_KEPT_RECORD;
        child->paused = says->flags & BT_CARRY_CHILD_PAUSED;
        child->captured = says->flags & BT_CARRY_CHILD_CAPTURED;
        child->phase = (enum bt_phase)says->phase;
        if (child->phase == BT_PHASE_BACKOFF && says->restart_due_ns != BT_NS_NEVER)
                bt_child_restart_at(child, says->restart_due_ns);
}

static void show_start(struct bt_child *child, uint64_t started_wall_ns)
{
        struct bt_slot *slot;

        if (!child->current)
                return;
        slot = bt_node_begin(&child->seat.node->dir, child->seat.slot_idx);
        slot->started_wall_ns = started_wall_ns;
        bt_node_end(slot);
}

static void take_child(struct bt_child *child, const struct bt_carry_item *const *item)
{
        const struct bt_carry_child *says = bt_carry_at(*item);
        struct bt_loop_timer *every = &child->checkpoints.every;

        if (!child->current)
                take_down(child, says);
        else if (every->heap_idx && says->checkpoint_due_ns != BT_NS_NEVER)
                (void)bt_loop_timer_arm(child->hub->loop, every, says->checkpoint_due_ns,
                                        every->fn);
        child->capture_sequence = says->capture_sequence;
        child->misplaced = says->flags & BT_CARRY_CHILD_MISPLACED;
        child->ideal = bt_hub_node_find(child->hub, says->ideal);
        take_binary(&child->own, child->hub, says->own);
        take_binary(&child->binary, child->hub, says->binary);
        take_binary(&child->previous, child->hub, says->previous);
        take_history(child, says);
        take_belongings(child, item);
        bt_child_publish(child);
        show_start(child, says->started_wall_ns);
}

void bt_carry_lost(struct bt_hub *hub)
{
        if (!hub->carry)
                return;
        bt_hub_foreach_child(child, hub)
        {
                if (!child->current && !child->migration && child->phase == BT_PHASE_RUNNING)
                        bt_child_down(child, NULL);
        }
}

/* As they came before: what is shown, and whoever is asked first, is in that order. */
static void take_order(struct bt_hub *hub)
{
        for (size_t i = 0; hub->carry->items[i]; i++) {
                const struct bt_carry_child *says = bt_carry_at(hub->carry->items[i]);
                bool is = hub->carry->items[i]->kind == BT_CARRY_CHILD;
                struct bt_child *child = is ? bt_hub_child_find(hub, says->id) : NULL;

                if (!child)
                        continue;
                bt_list_unlink(&child->order);
                bt_list_push(&hub->children.order, &child->order);
                if (!child->replicas)
                        continue;
                bt_list_unlink(&child->instance);
                bt_list_push(&child->replicas->instances, &child->instance);
        }
}

void bt_carry_children(struct bt_hub *hub)
{
        struct bt_child *next;

        if (!hub->carry)
                return;
        for (struct bt_child *child = bt_hub_child_after(hub, NULL); child; child = next) {
                const struct bt_carry_item *const *item = bt_carry_child(hub->carry, child->id);

                next = bt_hub_child_after(hub, child);
                if (item)
                        take_child(child, item);
                else
                        (void)bt_hub_child_remove(
                                child); /* it was removed while the hub ran; the configuration still has it */
        }
        take_order(hub);
}
