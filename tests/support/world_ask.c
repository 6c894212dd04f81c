/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test asks a hub for, and what the hub shows of its children.
 *
 * Requests go the way of the command (supervisor/baton/ask.h) without its words, so that a test can have several under way at once and stop at any event
 * between. The node segment is mapped once for each hub and then read without asking, as `baton status` would.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "tests/support/wait.h"
#include "tests/support/world_internal.h"

/* ---- requests ---- */

struct bt_ask world_ask(const struct world *w, uint32_t op, const char *target, const char *path, uint32_t strategy)
{
        struct bt_ctl_request request = {.magic = BT_CTL_MAGIC, .version = BT_CTL_VERSION, .op = op, .strategy = strategy};
        struct bt_ask ask = BT_ASK_NULL;
        char runtime[128];
        int fd = -1;

        (void)snprintf(runtime, sizeof(runtime), "%s/run", w->dir);
        (void)snprintf(request.target, sizeof(request.target), "%s", target);
        if (path) {
                (void)snprintf(request.path, sizeof(request.path), "%s", path);
                fd = open(path, O_PATH | O_CLOEXEC);
                assert_true(fd >= 0);
        }
        assert_int_equal(bt_ask_open(&ask, runtime, w->hub, WORLD_WAIT_MS * BT_NS_PER_MS), 0);
        assert_int_equal(bt_ask_send(&ask, &request, fd), 0);
        (void)bt_close(fd);
        return ask;
}

int world_reply(const struct bt_ask *ask, struct bt_ctl_reply *ret_reply, int *ret_fd)
{
        struct bt_ask patient = *ask; /* borrowed */

        patient.deadline_ns = wait_until(WORLD_WAIT_MS);
        return bt_ask_reply(&patient, ret_reply, ret_fd);
}

static void next_reply(const struct bt_ask *ask, struct bt_ctl_reply *reply)
{
        int fd = -1;
        int r = world_reply(ask, reply, &fd);

        (void)bt_close(fd);
        if (r)
                fail_msg("no reply from the hub: %s",
                         r == BT_ASK_E_TIMED_OUT ? "too late" : r == BT_ASK_E_CLOSED ? "it hung up" : "nonsense");
}

void world_hang_up(struct bt_ask *ask)
{
        struct bt_ctl_reply reply;
        int fd = -1;

        assert_int_equal(world_reply(ask, &reply, &fd), BT_ASK_E_CLOSED);
        bt_ask_close(ask);
        *ask = (struct bt_ask)BT_ASK_NULL;
}

void world_follow(struct bt_ask *ask, struct world_outcome *ret_outcome)
{
        struct bt_ctl_reply reply;

        *ret_outcome = (struct world_outcome){0};
        for (next_reply(ask, &reply); reply.kind != BT_CTL_DONE; next_reply(ask, &reply)) {
                size_t used = strlen(ret_outcome->phases);

                (void)snprintf(ret_outcome->phases + used, sizeof(ret_outcome->phases) - used, "%s%s", used ? " " : "", reply.phase);
                if (!strcmp(reply.phase, "committed")) {
                        ret_outcome->pause_ns = reply.value[0];
                        ret_outcome->total_ns = reply.value[1];
                }
        }
        ret_outcome->outcome = reply.outcome;
        (void)snprintf(ret_outcome->text, sizeof(ret_outcome->text), "%s", reply.text);
        world_hang_up(ask);
}

void world_follow_to(const struct bt_ask *ask, const char *phase)
{
        struct bt_ctl_reply reply;

        for (next_reply(ask, &reply); strcmp(reply.phase, phase) != 0; next_reply(ask, &reply)) {
                if (reply.kind == BT_CTL_DONE)
                        fail_msg("it was over before '%s': %u %s", phase, reply.outcome, reply.text);
        }
}

void world_migrate(const struct world *w, const char *target, const char *path, uint32_t strategy, struct world_outcome *ret_outcome)
{
        struct bt_ask ask = world_ask(w, path ? BT_CTL_UPGRADE : BT_CTL_SWAP, target, path, strategy);

        world_follow(&ask, ret_outcome);
}

void world_swap(const struct world *w, const char *target, const char *program, uint32_t strategy)
{
        struct world_outcome outcome;
        char path[640];

        if (program)
                world_program(w, path, program);
        world_migrate(w, target, program ? path : NULL, strategy, &outcome);
        if (outcome.outcome != BT_CTL_OK)
                fail_msg("the swap of %s failed (%u) after '%s': %s", target, outcome.outcome, outcome.phases, outcome.text);
}

/* ---- the node ---- */

static void map_node(struct world *w)
{
        struct bt_ask ask = world_ask(w, BT_CTL_STATUS, "", NULL, WORLD_SPEC);
        struct bt_ctl_reply reply;
        int fd = -1;

        assert_int_equal(world_reply(&ask, &reply, &fd), 0);
        assert_int_equal(reply.kind, BT_CTL_NODE);
        assert_true(fd >= 0);
        assert_int_equal(bt_node_attach(&w->node, fd), 0);
        (void)close(fd);
        do
                next_reply(&ask, &reply);
        while (reply.kind == BT_CTL_GROUPS);
        assert_int_equal(reply.kind, BT_CTL_DONE);
        world_hang_up(&ask);
        w->node_mapped = true;
}

static bool find_slot(const struct world *w, const char *id, struct bt_slot *ret_slot)
{
        for (uint32_t i = 0; i < bt_node_slots(&w->node); i++) {
                if (bt_node_read(&w->node, i, ret_slot) && !strcmp(ret_slot->id, id))
                        return true;
        }
        return false;
}

/* A slot whose writer was preempted in the middle cannot be read for that long, which is for ever to a reader that does not wait. */
void world_slot(struct world *w, const char *id, struct bt_slot *ret_slot)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);

        if (!w->node_mapped)
                map_node(w);
        while (!find_slot(w, id, ret_slot)) {
                if (!wait_again(deadline))
                        fail_msg("the node shows no child '%s'", id);
        }
}

pid_t world_pid(struct world *w, const char *id)
{
        struct bt_slot slot;

        world_slot(w, id, &slot);
        assert_int_equal(slot.phase, BT_PHASE_RUNNING);
        return slot.pid;
}

uint64_t world_incarnation(struct world *w, const char *id)
{
        struct bt_slot slot;

        world_slot(w, id, &slot);
        return slot.incarnation;
}

void world_until(struct world *w, const char *id, enum bt_phase phase, uint64_t above, struct bt_slot *ret_slot)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);

        for (world_slot(w, id, ret_slot); ret_slot->phase != phase || (above && ret_slot->incarnation <= above);
             world_slot(w, id, ret_slot)) {
                if (!wait_again(deadline))
                        fail_msg("%s is not %s (above %llu) but %s, incarnation %llu: %s", id, bt_phase_name(phase),
                                 (unsigned long long)above, bt_phase_name(ret_slot->phase),
                                 (unsigned long long)ret_slot->incarnation, ret_slot->note);
        }
}

void world_until_drained(struct world *w, const char *id)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);
        struct bt_slot slot;

        for (world_slot(w, id, &slot); slot.draining; world_slot(w, id, &slot)) {
                if (!wait_again(deadline))
                        fail_msg("%u predecessors of %s are left", slot.draining, id);
        }
}

int world_fd_count(pid_t pid)
{
        char path[64];
        int count = -2; /* "." and ".." */
        DIR *dir;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        dir = opendir(path);
        assert_non_null(dir);
        while (readdir(dir))
                count++;
        (void)closedir(dir);
        return count;
}

void world_until_fds(const struct world *w, int most)
{
        uint64_t deadline = wait_until(WORLD_WAIT_MS);

        while (world_fd_count(w->pid) > most) {
                if (!wait_again(deadline))
                        fail_msg("the hub has %d descriptors, not at most %d", world_fd_count(w->pid), most);
        }
}
