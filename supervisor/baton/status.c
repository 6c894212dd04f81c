/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `baton status`: the hub hands out its node segments and is done; everything shown is read from that memory. So a status costs the hub one
 * message a node, however many children there are, and what a slot says is whole (a slot that was being written all the time is said to be busy).
 *
 * The segment is the hub's, but the strings in it come from elsewhere (notes quote programs), so they pass the filter of text.h.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "shm/node.h"
#include "supervisor/baton/hubs.h"
#include "supervisor/baton/rollout.h"
#include "supervisor/baton/table.h"
#include "supervisor/baton/text.h"
#include "supervisor/plan.h"

/* ---- the segment ---- */

/* All nodes of a hub. */
struct nodes {
        struct bt_node_view views[BT_PLAN_NODES_MAX];
        uint32_t count;
        const char *config;   /* path of the hub's configuration */
        const char *rollouts; /* those under way, a line each */
        const struct bt_ctl_group *groups;
        size_t group_count;
};

static void nodes_close(struct nodes *nodes)
{
        for (uint32_t i = 0; i < nodes->count; i++)
                bt_node_detach(&nodes->views[i]);
}

/* Takes @fd. Returns enum bt_exit. */
static int node_attach(struct nodes *nodes, const struct bt_hub_place *place, int fd)
{
        int r = nodes->count < BT_PLAN_NODES_MAX ? bt_node_attach(&nodes->views[nodes->count], fd) : BT_SEG_E_LAYOUT;

        (void)bt_close(fd);
        if (!r) {
                nodes->count++;
                return BT_EXIT_OK;
        }
        bt_complain("the segment of the hub '%s' cannot be read: %s", place->name,
                    r > 0 ? "its layout is not ours: baton and batond must be of the same "
                            "release"
                          : strerrordesc_np(-r));
        return BT_EXIT_FAILED;
}

/* Takes @fd. Returns enum bt_exit. */
static int groups_read(struct nodes *nodes, struct bt_command *command, uint64_t count, int fd)
{
        BT_CLEANUP(bt_closep) int taken = fd;
        struct bt_ctl_group *rows;
        size_t bytes;

        if (count > BT_PLAN_GROUPS_MAX) {
                bt_complain("the hub says that it has more groups than there can be");
                return BT_EXIT_FAILED;
        }
        rows = bt_mem_array(&command->mem, count + 1, sizeof(*rows));
        bytes = count * sizeof(*rows);
        if (pread(taken, rows, bytes, 0) != (ssize_t)bytes) {
                bt_complain("the hub's list of groups is shorter than it says");
                return BT_EXIT_FAILED;
        }
        for (size_t i = 0; i < count; i++)
                rows[i].name[sizeof(rows[i].name) - 1] = rows[i].around[sizeof(rows[i].around) - 1] = rows[i].note[sizeof(rows[i].note) - 1] = '\0';
        nodes->groups = rows;
        nodes->group_count = count;
        return BT_EXIT_OK;
}

/* Returns enum bt_exit. */
static int nodes_open(struct nodes *nodes, struct bt_command *command, const struct bt_hub_place *place)
{
        struct bt_ctl_request request = bt_hubs_request(BT_CTL_STATUS);
        struct bt_ctl_reply reply = {0};
        struct bt_ask ask = BT_ASK_NULL;
        int status = bt_hubs_ask(&ask, place, &request, -1, command->timeout_ns);

        if (status)
                return status;
        while (!status && reply.kind != BT_CTL_DONE) {
                int fd = -1;
                int r = bt_ask_reply(&ask, &reply, &fd);

                if (r)
                        status = bt_hubs_lost(place, r);
                else if (reply.kind == BT_CTL_NODE && fd >= 0)
                        status = node_attach(nodes, place, BT_STEAL_FD(fd));
                else if (reply.kind == BT_CTL_GROUPS && fd >= 0)
                        status = groups_read(nodes, command, reply.value[0], BT_STEAL_FD(fd));
                if (!nodes->config && reply.kind == BT_CTL_NODE)
                        nodes->config = bt_mem_copy(&command->mem, reply.text, strlen(reply.text));
                (void)bt_close(fd);
        }
        bt_ask_close(&ask);
        if (!status && (!nodes->count || reply.outcome)) {
                bt_complain("the hub '%s' does not show its children: %s", place->name,
                            *reply.text ? reply.text : "no segment came with its answer");
                status = BT_EXIT_FAILED;
        }
        nodes->rollouts = bt_mem_copy(&command->mem, reply.text, strlen(reply.text));
        return status;
}

/* ---- one child ---- */

static const char *clean(struct bt_mem *mem, const char *text)
{
        char room[512];

        bt_text_clean(room, sizeof(room), text, strlen(text), false);
        return bt_mem_copy(mem, room, strlen(room));
}

static const char *form_name(uint32_t form)
{
        static const char *const names[_BATON_STATE_N] = {"none", "blob", "arena"};

        return form < _BATON_STATE_N ? names[form] : "?";
}

/* Of an instance of a replicated child; else "". */
static const char *mode_name(uint32_t mode)
{
        return mode == BATON_MODE_ACTIVE ? "active" : mode == BATON_MODE_PASSIVE ? "passive" : "";
}

static const char *strategy_name(uint32_t strategy)
{
        return strategy == BT_STRATEGY_HOT ? "hot" : "cold";
}

/* How the last process ended: "exit 3", "signal 9", "". */
static const char *exit_text(struct bt_mem *mem, const struct bt_slot *slot)
{
        if (!slot->exit_kind)
                return "";
        return bt_mem_printf(mem, "%s %d", slot->exit_kind == CLD_EXITED ? "exit" : "signal",
                             (int)slot->exit_code);
}

/* Wall-clock times can lie in the future when the clock was set back. */
static uint64_t since(uint64_t wall_ns)
{
        uint64_t now = bt_wall_ns();

        return wall_ns && now > wall_ns ? now - wall_ns : 0;
}

/* ---- JSON ---- */

static json_t *mailbox_json(const struct bt_slot *slot)
{
        if (!slot->mail_slots)
                return json_null();
        return json_pack("{s:I, s:I, s:I, s:I}", "slots", (json_int_t)slot->mail_slots, "depth",
                         (json_int_t)slot->mail_depth, "full", (json_int_t)slot->mail_full, "set_aside",
                         (json_int_t)slot->mail_set_aside);
}

static json_t *slot_json(struct bt_mem *mem, const struct bt_node *node, const struct bt_slot *slot)
{
        json_t *object = json_pack(
                "{s:o, s:o, s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I}", "child",
                bt_json_text(slot->id), "node", bt_json_text(clean(mem, node->name)), "phase", bt_phase_name(slot->phase), "pid",
                (json_int_t)slot->pid, "incarnation", (json_int_t)slot->incarnation, "strategy",
                strategy_name(slot->strategy), "restarts", (json_int_t)slot->restarts, "swaps",
                (json_int_t)slot->swaps, "rollbacks", (json_int_t)slot->rollbacks, "swap_pause_ns",
                (json_int_t)slot->swap_pause_ns, "swap_total_ns", (json_int_t)slot->swap_total_ns);
        json_t *more = json_pack(
                "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o, s:o}", "mode", mode_name(slot->mode), "state_form",
                form_name(slot->state_form), "state_bytes", (json_int_t)slot->state_bytes,
                "draining", (json_int_t)slot->draining, "spare", (json_int_t)slot->spare_pid, "limits_hit", (json_int_t)slot->limits_hit,
                "started_wall_ns", (json_int_t)slot->started_wall_ns, "uptime_ns",
                (json_int_t)(slot->pid ? since(slot->started_wall_ns) : 0), "last_exit",
                exit_text(mem, slot), "exec", bt_json_text(slot->exec), "note",
                bt_json_text(slot->note));

        if (!object || !more || json_object_update(object, more) ||
            json_object_set_new(object, "mailbox", mailbox_json(slot)))
                bt_mem_exhausted();
        json_decref(more);
        return object;
}

/* As supervisor:count_children() has them, for the hub as a whole. */
struct counts {
        uint64_t specs, active, supervisors, workers;
};

static bool group_runs(const struct bt_ctl_group *group)
{
        return group->state != BT_GROUP_S_OFF && group->state != BT_GROUP_S_FAILED && group->state != BT_GROUP_S_SHUT;
}

static struct counts counts_of(const struct nodes *nodes)
{
        struct counts counts = {.supervisors = nodes->group_count};

        for (uint32_t n = 0; n < nodes->count; n++) {
                for (uint32_t i = 0; i < bt_node_slots(&nodes->views[n]); i++) {
                        struct bt_slot slot;

                        if (!bt_node_read(&nodes->views[n], i, &slot))
                                continue;
                        counts.workers++;
                        counts.active += slot.pid > 0;
                }
        }
        for (size_t i = 0; i < nodes->group_count; i++)
                counts.active += group_runs(&nodes->groups[i]);
        counts.specs = counts.workers + counts.supervisors;
        return counts;
}

static json_t *counts_json(const struct counts *counts)
{
        return json_pack("{s:I, s:I, s:I, s:I}", "specs", (json_int_t)counts->specs, "active", (json_int_t)counts->active, "supervisors",
                         (json_int_t)counts->supervisors, "workers", (json_int_t)counts->workers);
}

static const char *group_strategy(uint32_t strategy)
{
        static const char *const names[_BT_GROUP_STRATEGY_N] = {"one_for_one", "one_for_all", "rest_for_one"};

        return strategy < _BT_GROUP_STRATEGY_N ? names[strategy] : "?";
}

static const char *group_state(uint32_t state)
{
        static const char *const names[_BT_GROUP_S_N] = {"stopped", "starting", "running", "stopping", "backoff", "failed", "shut"};

        return state < _BT_GROUP_S_N ? names[state] : "?";
}

static json_t *group_json(struct bt_mem *mem, const struct bt_ctl_group *group)
{
        const struct counts counts = {group->specs, group->active, group->supervisors, group->workers};

        return json_pack("{s:o, s:o, s:s, s:s, s:I, s:o, s:o, s:s}", "group", bt_json_text(group->name), "in",
                         *group->around ? bt_json_text(group->around) : json_null(), "state", group_state(group->state), "strategy",
                         group_strategy(group->strategy), "restarts", (json_int_t)group->restarts, "restarts_left",
                         group->restarts_left == UINT32_MAX ? json_null() : json_integer(group->restarts_left), "counts", counts_json(&counts), "note",
                         clean(mem, group->note));
}

static void print_json(struct bt_mem *mem, const struct nodes *nodes)
{
        const struct counts counts = counts_of(nodes);
        const struct bt_node *first = nodes->views[0].node;
        json_t *names = json_array();

        for (uint32_t i = 0; i < nodes->count; i++)
                (void)json_array_append_new(names, bt_json_text(clean(mem, nodes->views[i].node->name)));
        bt_say_json(json_pack("{s:o, s:o, s:I, s:I, s:o, s:o}", "hub", bt_json_text(clean(mem, first->hub)), "nodes", names, "pid",
                              (json_int_t)first->hub_pid, "uptime_ns", (json_int_t)since(first->started_wall_ns), "config",
                              bt_json_text(nodes->config), "counts", counts_json(&counts)));
        for (size_t i = 0; i < nodes->group_count; i++)
                bt_say_json(group_json(mem, &nodes->groups[i]));
        for (uint32_t n = 0; n < nodes->count; n++) {
                const struct bt_node_view *view = &nodes->views[n];

                for (uint32_t i = 0; i < bt_node_slots(view); i++) {
                        struct bt_slot slot;

                        if (bt_node_read(view, i, &slot))
                                bt_say_json(slot_json(mem, view->node, &slot));
                }
        }
}

/* ---- table ---- */

static const char *duration_cell(struct bt_mem *mem, uint64_t ns)
{
        char room[BT_TEXT_NUMBER_BYTES];

        if (!ns)
                return "-";
        bt_text_duration(room, ns);
        return bt_mem_copy(mem, room, strlen(room));
}

static const char *number_cell(struct bt_mem *mem, uint64_t number)
{
        return number ? bt_mem_printf(mem, "%" PRIu64, number) : "-";
}

static const char *state_cell(struct bt_mem *mem, const struct bt_slot *slot)
{
        char room[BT_TEXT_NUMBER_BYTES];

        if (slot->state_form == BATON_STATE_NONE)
                return "-";
        bt_text_size(room, slot->state_bytes);
        return bt_mem_printf(mem, "%s %s", form_name(slot->state_form), room);
}

static const char *note_add(struct bt_mem *mem, const char *note, uint64_t count, const char *what)
{
        return count ? bt_mem_printf(mem, "%s%s%" PRIu64 " %s", note, *note ? "; " : "", count, what) : note;
}

/* What is out of the ordinary, joined: the note, predecessors still draining, limits reached, what its mailbox could not take or its processes not survive. */
static const char *note_cell(struct bt_mem *mem, const struct bt_slot *slot)
{
        const char *note = clean(mem, slot->note);

        note = note_add(mem, note, slot->draining, "draining");
        if (slot->spare_pid)
                note = bt_mem_printf(mem, "%s%sspare %" PRId32, note, *note ? "; " : "", slot->spare_pid);
        note = note_add(mem, note, slot->limits_hit, "limits hit");
        note = note_add(mem, note, slot->mail_full, "times full");
        return note_add(mem, note, slot->mail_set_aside, "messages set aside");
}

static const char *exec_cell(struct bt_mem *mem, const char *exec)
{
        const char *slash = strrchr(exec, '/');

        return clean(mem, slash ? slash + 1 : exec);
}

static const char *phase_cell(struct bt_mem *mem, const struct bt_slot *slot)
{
        const char *mode = mode_name(slot->mode);

        return *mode ? bt_mem_printf(mem, "%s, %s", bt_phase_name(slot->phase), mode) : bt_phase_name(slot->phase);
}

static void row_add(struct bt_table *table, const struct bt_slot *slot)
{
        struct bt_mem *mem = table->mem;

        bt_table_add(table, clean(mem, slot->id));
        bt_table_add(table, phase_cell(mem, slot));
        bt_table_add(table, number_cell(mem, slot->pid > 0 ? (uint64_t)slot->pid : 0));
        bt_table_add(table, number_cell(mem, slot->incarnation));
        bt_table_add(table, bt_mem_printf(mem, "%" PRIu64, slot->restarts));
        bt_table_add(table, bt_mem_printf(mem, "%" PRIu64, slot->swaps));
        bt_table_add(table, duration_cell(mem, slot->swap_pause_ns));
        bt_table_add(table, state_cell(mem, slot));
        bt_table_add(table, duration_cell(mem, slot->pid > 0 ? since(slot->started_wall_ns) : 0));
        bt_table_add(table, exec_cell(mem, slot->exec));
        bt_table_add(table, note_cell(mem, slot));
}

/* Returns how many slots were being written all the time. */
static uint32_t node_rows(struct bt_table *table, const struct bt_node_view *view, bool named)
{
        uint32_t busy = 0;

        for (uint32_t i = 0; i < bt_node_slots(view); i++) {
                struct bt_slot slot;

                if (bt_node_read(view, i, &slot)) {
                        if (named)
                                bt_table_add(table, clean(table->mem, view->node->name));
                        row_add(table, &slot);
                } else if (view->node->slots[i].id[0]) {
                        busy++;
                }
        }
        return busy;
}

static void print_groups(struct bt_mem *mem, const struct nodes *nodes)
{
        static const char *const heads[] = {"GROUP", "IN", "STATE", "STRATEGY", "MEMBERS", "ACTIVE", "RESTARTS", "LEFT", "NOTE"};
        struct bt_table table = {.mem = mem, .right = "llllrrrrl"};

        if (!nodes->group_count)
                return;
        for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
                bt_table_add(&table, heads[i]);
        for (size_t i = 0; i < nodes->group_count; i++) {
                const struct bt_ctl_group *group = &nodes->groups[i];

                bt_table_add(&table, clean(mem, group->name));
                bt_table_add(&table, *group->around ? clean(mem, group->around) : "-");
                bt_table_add(&table, group_state(group->state));
                bt_table_add(&table, group_strategy(group->strategy));
                bt_table_add(&table, bt_mem_printf(mem, "%" PRIu32, group->specs));
                bt_table_add(&table, bt_mem_printf(mem, "%" PRIu32, group->active));
                bt_table_add(&table, bt_mem_printf(mem, "%" PRIu64, group->restarts));
                bt_table_add(&table, group->restarts_left == UINT32_MAX ? "-" : bt_mem_printf(mem, "%" PRIu32, group->restarts_left));
                bt_table_add(&table, clean(mem, group->note));
        }
        bt_table_print(&table, stdout);
}

static void print_counts(const struct nodes *nodes)
{
        const struct counts counts = counts_of(nodes);

        (void)printf("%" PRIu64 " specs, %" PRIu64 " active, %" PRIu64 " supervisors, %" PRIu64 " workers\n", counts.specs, counts.active,
                     counts.supervisors, counts.workers);
}

/* With one node nobody asks which. */
static void print_table(struct bt_mem *mem, const struct nodes *nodes)
{
        static const char *const heads[] = {"NODE",     "CHILD",  "PHASE", "PID",   "INC",
                                            "RESTARTS", "SWAPS",  "PAUSE", "STATE",
                                            "UPTIME",   "BINARY", "NOTE"};
        bool named = nodes->count > 1;
        struct bt_table table = {.mem = mem, .right = named ? "ll.rrrrrlrll" : "l.rrrrrlrll"};
        const struct bt_node *first = nodes->views[0].node;
        uint32_t busy = 0;

        (void)printf("hub %s, pid %d, up %s%s%s\n", clean(mem, first->hub), first->hub_pid,
                     duration_cell(mem, since(first->started_wall_ns)), *nodes->config ? ", " : "",
                     clean(mem, nodes->config));
        for (size_t i = named ? 0 : 1; i < sizeof(heads) / sizeof(heads[0]); i++)
                bt_table_add(&table, heads[i]);
        for (uint32_t i = 0; i < nodes->count; i++)
                busy += node_rows(&table, &nodes->views[i], named);
        bt_table_print(&table, stdout);
        print_groups(mem, nodes);
        print_counts(nodes);
        if (busy)
                (void)printf("%" PRIu32 " children could not be read: the hub is writing about "
                                        "them (is it stopped?)\n",
                             busy);
}

int bt_verb_status(struct bt_command *command)
{
        struct nodes *nodes = bt_mem_alloc(&command->mem, sizeof(*nodes));
        struct bt_hub_place place = {0};
        int status = bt_hubs_choose(&place, command);

        if (!status)
                status = nodes_open(nodes, command, &place);
        if (!status && command->json)
                print_json(&command->mem, nodes);
        else if (!status)
                print_table(&command->mem, nodes);
        if (!status)
                bt_rollout_status(command, nodes->rollouts);
        nodes_close(nodes);
        return status;
}
