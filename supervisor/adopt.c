/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a hub that was killed: finding its processes, which serve on, and adopting them. Nothing is restarted, no connection is closed, and never is
 * a second copy started beside one that still runs (R23, I8).
 *
 * A process is found by the registry, proved by the random epoch of its link page, and reached through its own descriptors: its link names them
 * all, also those that it keeps open only for this occasion. The holder word says how far a migration was; it is the truth, and the dead hub's
 * memory is not missed:
 *
 *      HELD(n)       n serves (a dead n: as VACANT). Others with a lower number are told to retire, with a higher one were parked successors: killed
 *      OFFERED(n,m)  withdrawn; then the same
 *      PASSED(m,n)   m is restoring: the migration goes on from there, forward when m confirms, back when it cannot
 *      PASSED(m,0)   m is starting
 *      VACANT(n)     n, if alive, has laid the baton down and would have been told to end: killed, then restarted with its state.
 *                    Another one that is alive is starting: granted
 *
 * What cannot be adopted (a plain program, a process whose descriptors we may not have, a child that the configuration does not know any more) is
 * ended before anything is started.
 */
#include "supervisor/alter.h"
#include "supervisor/carry.h"
#include "supervisor/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/events.h"
#include "supervisor/mailbox.h"

#define KILL_WAIT_NS (10 * BT_NS_PER_S)

static void found_deinit(struct bt_found *found)
{
        bt_seg_detach(&found->link_seg);
        found->link = NULL;
        found->pidfd = bt_close(found->pidfd);
        for (int i = 0; i < _BT_LINK_FD_N; i++)
                found->fds[i] = bt_close(found->fds[i]);
}

/* ---- finding ---- */

/* The process still has the link page that the record speaks of. 0 or -errno. */
static int found_link(struct bt_found *found)
{
        BT_CLEANUP(bt_closep) int fd = bt_proc_getfd(found->pidfd, found->entry->link_fd);
        int r;

        if (fd < 0)
                return fd;
        r = bt_seg_attach(&found->link_seg, fd, BT_MAGIC_LINK, BT_PAGE_BYTES, 1);
        if (r)
                return r < 0 ? r : -EPROTO;
        found->link = found->link_seg.at;
        if (found->link->head.epoch != found->entry->link_epoch || found->link->incarnation != found->entry->incarnation)
                return -ESRCH;
        if (!bt_link_valid(found->link))
                return -EPROTO;
        for (int i = 0; i < _BT_LINK_FD_N; i++) {
                if (i == BT_LINK_FD_NODE || i == BT_LINK_FD_HANDOFF || i == BT_LINK_FD_HUB_BELL || found->link->fds[i] < 0)
                        continue;
                found->fds[i] = bt_proc_getfd(found->pidfd, found->link->fds[i]);
                if (found->fds[i] < 0)
                        return found->fds[i];
        }
        return 0;
}

static bool held(const struct bt_link *link)
{
        uint32_t hold = atomic_load(&link->hold);

        return hold == BT_HOLD_ASKED || hold == BT_HOLD_HELD;
}

/* Ends it, and waits for that: what is started next must not run beside it. */
static void found_end(struct bt_hub *hub, struct bt_found *found, const char *why)
{
        int r = bt_proc_kill_wait(found->pidfd, KILL_WAIT_NS);
        struct bt_proc_exit ignored;

        if (!r)
                (void)bt_proc_reap(found->pidfd, &ignored); /* ours, when the hub before was we (docs/upgrade.md) */
        bt_hub_say(hub, "%s: process %d of the hub before this one %s: %s", found->entry->id, found->pid, r ? "CANNOT BE ENDED" : "was ended", why);
        if (!r)
                bt_registry_remove(&hub->registry, found->entry);
        found->entry = NULL;
}

static void found_init(struct bt_found *found, struct bt_registry_entry *entry)
{
        *found = (struct bt_found){.entry = entry, .pid = entry->pid, .pidfd = -1};
        for (int i = 0; i < _BT_LINK_FD_N; i++)
                found->fds[i] = -1;
        entry->id[sizeof(entry->id) - 1] = '\0';
}

/* It was carried over (carry.h). What of that cannot be used is found as that of a killed hub. */
static bool find_carried(struct bt_hub *hub, uint32_t idx, struct bt_found *found)
{
        int r = bt_carry_find(hub, idx, found);

        if (r < 0) {
                bt_hub_say(hub, "%s: what was carried over of process %d cannot be used: %s", found->entry->id, found->pid, strerrordesc_np(-r));
                found_deinit(found);
        }
        return r == 0;
}

/* True when there is a process to adopt. */
static bool find_one(struct bt_hub *hub, uint32_t idx, struct bt_found *found)
{
        struct bt_registry_entry *entry = &hub->registry.entries[idx];
        int r;

        found_init(found, entry);
        if (find_carried(hub, idx, found))
                return true;
        found_init(found, entry);
        found->pidfd = entry->pid > 0 ? bt_proc_open(entry->pid) : -ESRCH;
        if (found->pidfd < 0) {
                found->pidfd = -1;
                bt_registry_remove(&hub->registry, entry);
                return false;
        }
        if (!entry->link_epoch) {
                if (entry->started_ticks && bt_proc_started(entry->pid) == entry->started_ticks)
                        found_end(hub, found, "it does not use libbaton, so nothing of it can be taken over");
                else
                        bt_registry_remove(&hub->registry, entry); /* another process by now */
                found_deinit(found);
                return false;
        }
        r = found_link(found);
        if (!r && held(found->link)) {
                found_end(hub, found, "it was held before its first line, and dies with its hub");
                found_deinit(found);
                return false;
        }
        if (!r)
                return true;
        if (r == -EPERM)
                /* Ours or not, we may not look: killing on a guess would be worse than saying so. */
                bt_hub_say(hub, "%s: process %d may be left from the hub before this one, and its descriptors may not be taken (kernel.yama.ptrace_scope?)",
                           entry->id, entry->pid);
        bt_registry_remove(&hub->registry, entry);
        found_deinit(found);
        return false;
}

int bt_hub_find(struct bt_hub *hub)
{
        uint32_t used = bt_registry_used(&hub->registry);

        hub->found = calloc(used ? used : 1, sizeof(*hub->found));
        if (!hub->found)
                return -ENOMEM;
        for (uint32_t i = 0; i < used; i++) {
                if (bt_registry_live(&hub->registry, i) && find_one(hub, i, &hub->found[hub->found_count]))
                        hub->found_count++;
        }
        return 0;
}

void bt_hub_found_free(struct bt_hub *hub)
{
        for (uint32_t i = 0; i < hub->found_count; i++)
                found_deinit(&hub->found[i]);
        free(hub->found);
        hub->found = NULL;
        hub->found_count = 0;
}

/* ---- listening sockets ---- */

static bool socket_is(int fd, const struct bt_plan_socket *spec)
{
        struct sockaddr_storage addr;
        socklen_t bytes = sizeof(addr);
        socklen_t type_bytes = sizeof(int);
        int type = 0;

        memset(&addr, 0, sizeof(addr));
        return getsockname(fd, (struct sockaddr *)&addr, &bytes) == 0 && bytes == spec->addr_bytes && !memcmp(&addr, spec->addr, bytes) &&
               getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_bytes) == 0 && type == (int)spec->type;
}

int bt_hub_found_socket(struct bt_hub *hub, const struct bt_plan_socket *spec)
{
        for (uint32_t i = 0; i < hub->found_count; i++) {
                const struct bt_found *found = &hub->found[i];

                for (uint32_t k = 0; k < found->entry->socket_count && k < BT_CHILD_SOCKETS_MAX; k++) {
                        int fd = bt_proc_getfd(found->pidfd, 3 + (int)k);

                        if (fd >= 0 && socket_is(fd, spec))
                                return fd;
                        (void)bt_close(fd);
                }
        }
        return -1;
}

/* ---- adopting ---- */

/* What runs is what was committed, whatever the configuration says by now. */
static struct bt_binary *binary_of(const struct bt_found *found, struct bt_child *child)
{
        struct bt_binary *binary = found->carried ? bt_carry_binary(child->hub, ((const struct bt_carry_process *)bt_carry_at(*found->carried))->binary) : NULL;
        /* A function has the file of the program it is in, which is not what a restart would run. */
        int fd = child->binary->function || found->entry->script ? -1 : bt_proc_exe(found->pid);
        const char *path = bt_registry_text(&child->hub->registry, found->entry->path);

        if (binary) {
                (void)bt_close(fd);
                return binary;
        }
        if (fd >= 0 && !bt_binary_adopt(&binary, path, fd))
                return bt_binary_share(child->hub, binary);
        if (found->entry->script && !child->binary->function && !bt_binary_open(&binary, path))
                return bt_binary_share(child->hub, binary);
        return bt_binary_ref(child->binary);
}

/* Processes of one child share a baton, or, without hand-over, have one each. */
static int holding_of(struct bt_found *found, const struct bt_child *child, struct bt_holding **ret_holding)
{
        struct bt_holding *holding = NULL;
        int r = bt_holding_adopt(&holding, BT_STEAL_FD(found->fds[BT_LINK_FD_BATON]));

        if (r)
                return r;
        bt_list_foreach (it, &child->incs) {
                struct bt_inc *other = bt_list_entry(it, struct bt_inc, node);

                if (other->holding->baton->head.epoch == holding->baton->head.epoch) {
                        (void)bt_holding_unref(holding);
                        *ret_holding = bt_holding_ref(other->holding);
                        return 0;
                }
        }
        *ret_holding = holding;
        return 0;
}

static int child_mail(struct bt_child *child, const struct bt_found *found)
{
        return child->adopted || !found->link ? 0 : found->carried ? bt_carry_mail(child) : bt_mail_adopt(child, found);
}

static void adopt_process(struct bt_child *child, struct bt_found *found)
{
        struct bt_binary *binary = binary_of(found, child);
        struct bt_holding *holding = found->link ? NULL : bt_holding_ref(child->holding);
        bool current = found->carried && bt_carry_current(found);
        struct bt_inc *inc = NULL;
        int r = found->link ? holding_of(found, child, &holding) : 0;

        if (!r && (holding->baton->form != child->spec->state_form || strncmp(holding->baton->id, child->id, sizeof(holding->baton->id)) != 0))
                r = -EPROTO;
        if (!r)
                r = child_mail(child, found);
        if (!r)
                r = bt_inc_adopt(&inc, child, found, binary, holding);
        (void)bt_binary_unref(binary);
        (void)bt_holding_unref(holding);
        if (r) {
                if (found->entry)
                        found_end(child->hub, found, "it could not be adopted");
                return;
        }
        if (inc->number >= child->number_next)
                child->number_next = inc->number + 1;
        child->adopted = true;
        child->carried = found->carried != NULL;
        if (current)
                child->current = inc;
        bt_event(child->hub, BT_EVENT_CHILD_ADOPTED, child, inc->number, "pid %d", (int)inc->pid);
}

/* Which of them the word names; NULL: that one is not alive. */
static struct bt_inc *named(const struct bt_child *child, uint64_t number)
{
        bt_list_foreach (it, &child->incs) {
                struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                if (inc->number == number)
                        return inc;
        }
        return NULL;
}

/* Where @inc runs; NULL: there is no such node any more, or the register was full. */
static struct bt_hub_node *node_of(const struct bt_inc *inc)
{
        return inc->entry ? bt_hub_node_find(inc->child->hub, bt_registry_text(&inc->child->hub->registry, inc->entry->node)) : NULL;
}

/* The child is where @inc runs, wherever it would be placed by now. */
static void adopt_seat(struct bt_child *child, const struct bt_inc *inc)
{
        struct bt_hub_node *node = node_of(inc);
        struct bt_seat seat;

        if (!node || node == child->seat.node || bt_seat_take(&seat, node))
                return;
        bt_seat_give_back(&child->seat);
        child->seat = seat;
        bt_child_seated(child);
}

static void adopt_holder(struct bt_child *child, struct bt_inc *holder)
{
        struct bt_word w = bt_baton_word(holder->holding->baton);

        if (w.phase == BT_WORD_OFFERED)
                (void)bt_baton_withdraw(holder->holding->baton, w.holder, w.heir);
        bt_inc_say(holder, BT_MSG_RESUME, w.heir, 0, 0, 0); /* if it waits for one */
        bt_list_foreach (it, &child->incs) {
                struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                if (inc->number < holder->number)
                        bt_inc_retire(inc, holder->number, child->spec->retention_ns);
                else if (inc != holder)
                        bt_inc_kill(inc);
        }
        (void)bt_binary_unref(child->binary);
        child->binary = bt_binary_ref(holder->binary);
        adopt_seat(child, holder);
        bt_child_running(child, holder);
}

static void on_start_over(struct bt_loop_timer *timer)
{
        struct bt_inc *inc = bt_container_of(timer, struct bt_inc, deadline);

        inc->child->limits_hit++;
        bt_child_note(inc->child, "incarnation %llu, adopted while it was starting, was not ready in time and was killed",
                      (unsigned long long)inc->number);
        bt_inc_kill(inc);
}

/*
 * It was being started, perhaps by a swap: the deadline of that died with the hub that had it, so it gets a new one. The restart policy
 * goes on from its end.
 */
static void adopt_start(struct bt_inc *inc)
{
        uint64_t timeout = inc->child->spec->child_migration_timeout_ns;

        (void)bt_loop_timer_arm(inc->child->hub->loop, &inc->deadline, bt_ns_add(bt_now_ns(), timeout), on_start_over);
}

/* PASSED: somebody restores; perhaps another waits to have it back. */
static void adopt_passage(struct bt_child *child, struct bt_word w)
{
        struct bt_inc *succ = named(child, w.holder);
        struct bt_inc *pred = w.heir ? named(child, w.heir) : NULL;
        struct bt_baton *baton = child->holding->baton;

        if (!succ && w.heir) {
                (void)bt_baton_give_back(baton, w.holder, w.heir);
                if (pred)
                        adopt_holder(child, pred);
                else
                        (void)bt_baton_reclaim(baton, w.heir);
                return;
        }
        if (!succ) {
                (void)bt_baton_reclaim(baton, w.holder);
                return;
        }
        if (pred)
                adopt_seat(child, pred);
        if (w.heir && !bt_migration_resume(child, pred, w.heir, succ, node_of(succ))) {
                child->current = pred;
                return;
        }
        child->current = succ; /* starting: RESTORED or its exit will come */
        adopt_seat(child, succ);
        adopt_start(succ);
}

static void adopt_vacant(struct bt_child *child, struct bt_word w)
{
        struct bt_inc *newest = NULL;

        bt_list_foreach (it, &child->incs) {
                struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                if (!newest || inc->number > newest->number)
                        newest = inc;
        }
        bt_list_foreach (it, &child->incs) {
                struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                if (inc != newest || inc->number <= w.holder)
                        bt_inc_kill(inc);
        }
        child->current = newest; /* its exit, or RESTORED, is dealt with as for any other */
        if (newest)
                adopt_seat(child, newest);
        if (newest && newest->number > w.holder)
                bt_child_recover_and_say(child, newest->reason);
        if (newest && newest->number > w.holder) {
                (void)bt_baton_grant(child->holding->baton, newest->number);
                adopt_start(newest);
        }
}

/* The word may name one that is dead, and of which no process tells: its number is not given again (a stale process would be taken for the new one). */
static void numbers_after(struct bt_child *child, struct bt_word w)
{
        if (w.holder >= child->number_next)
                child->number_next = w.holder + 1;
        if (w.heir >= child->number_next)
                child->number_next = w.heir + 1;
}

static void adopt_child(struct bt_child *child)
{
        struct bt_inc *any = NULL;
        struct bt_word w;

        /* The newest baton is the child's: without hand-over each generation has one. */
        bt_list_foreach (it, &child->incs) {
                struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                if (!any || inc->number > any->number || bt_baton_serves(inc->holding->baton, inc->number))
                        any = inc;
        }
        bt_assert(any); /* it would not be adopted otherwise */
        (void)bt_holding_unref(child->holding);
        child->holding = bt_holding_ref(any->holding);
        child->state_bytes = child->holding->baton->meta.bytes; /* as of the last capture; the next swap tells more */
        bt_list_foreach (it, &child->incs)
                bt_inc_say(bt_list_entry(it, struct bt_inc, node), BT_MSG_ADOPTED, 0, 0, 0, 0);

        w = bt_baton_word(child->holding->baton);
        numbers_after(child, w);
        if ((w.phase == BT_WORD_HELD || w.phase == BT_WORD_OFFERED) && named(child, w.holder))
                adopt_holder(child, named(child, w.holder));
        else if (w.phase == BT_WORD_PASSED)
                adopt_passage(child, w);
        else {
                /* Also a holder that is dead: whoever was waiting behind it has laid the baton down for good. */
                (void)bt_baton_reclaim(child->holding->baton, w.holder);
                adopt_vacant(child, bt_baton_word(child->holding->baton));
        }
        if (!child->current && !child->migration)
                bt_child_down(child, NULL);
        else if (child->migration)
                bt_child_settled(child); /* somebody serves, whichever way that goes */
        bt_child_publish(child);
}

/* Its hub has never been away: whoever served serves, and nobody needs to be told. */
static void adopt_carried(struct bt_child *child)
{
        struct bt_inc *inc = child->current;
        struct bt_word w;

        if (!inc || !inc->link) {
                if (inc)
                        adopt_seat(child, inc);
                if (inc)
                        bt_child_running(child, inc);
                return;
        }
        w = bt_baton_word(inc->holding->baton);
        if (w.phase != BT_WORD_HELD || w.holder != inc->number) {
                child->current = NULL;
                adopt_child(child); /* not as it was said to be: the word counts */
                return;
        }
        (void)bt_holding_unref(child->holding);
        child->holding = bt_holding_ref(inc->holding);
        numbers_after(child, w);
        adopt_seat(child, inc);
        bt_child_running(child, inc);
}

int bt_child_take_up(struct bt_child *child, int fd, bool in_transit)
{
        struct bt_holding *holding = NULL;
        struct bt_word w;
        int r = bt_holding_adopt(&holding, fd);

        if (!r && (holding->baton->form != child->spec->state_form || strncmp(holding->baton->id, child->id, sizeof(holding->baton->id)) != 0)) {
                (void)bt_holding_unref(holding);
                r = -EPROTO;
        }
        if (r)
                return r;
        (void)bt_holding_unref(child->holding);
        child->holding = holding;
        child->state_bytes = holding->baton->meta.bytes;
        child->in_transit = in_transit;
        child->adopted = child->taken_up = true;
        w = bt_baton_word(holding->baton);
        numbers_after(child, w);
        (void)bt_baton_reclaim(holding->baton, w.holder); /* whoever that is has no process */
        return 0;
}

void bt_hub_start_taken_up(struct bt_hub *hub)
{
        uint32_t count = 0;

        bt_hub_foreach_child (child, hub) {
                if (!child->taken_up)
                        continue;
                child->taken_up = false;
                count++;
                bt_child_start(child, child->in_transit ? BATON_REASON_COLD : BATON_REASON_CRASH);
        }
        if (!count)
                return;
        bt_hub_say(hub, "%u %s of the hub before this one had no process, and what was kept of it", count, count == 1 ? "child" : "children");
        bt_hub_drop_stored(hub);
}

void bt_hub_adopt(struct bt_hub *hub)
{
        uint32_t adopted = 0;

        for (uint32_t i = 0; i < hub->found_count; i++) {
                struct bt_found *found = &hub->found[i];
                struct bt_child *child = bt_hub_child_find(hub, found->entry->id);

                if (!child || (child->spec->protocol != BT_PROTOCOL_BATON && !found->carried))
                        found_end(hub, found, "the configuration has no such child any more");
                else
                        adopt_process(child, found);
        }
        bt_hub_foreach_child (child, hub) {
                if (child->carried) {
                        adopt_carried(child);
                        bt_alter_adopted(child);
                } else if (child->adopted) {
                        adopt_child(child);
                        bt_alter_adopted(child);
                        adopted++;
                }
        }
        bt_hub_found_free(hub);
        if (adopted) {
                bt_hub_say(hub, "adopted %u %s of the hub before this one", adopted, adopted == 1 ? "child" : "children");
                bt_hub_drop_stored(hub);
        }
}
