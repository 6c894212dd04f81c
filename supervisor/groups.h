/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Supervision groups of a hub: docs/groups.md says what they mean, supervisor/group/group.h has the machine of one.
 *
 *      bt_hub_groups ── bt_hub_group (one a plan record) ── machine
 *                            └── bt_hub_member: a child, or a group                     group_pause.c: how a child is stopped for others
 *
 * What happens to a child is fed into the machine of its group at once; what the machine wants is done by a turn of the group, from a timer of the loop,
 * with nobody up the stack who could still use the child. A group in a group is fed by its own turn, so there is no recursion, however deep they are.
 *
 * What could not be begun (a request is at work on the child, a state is being imported) is tried again a moment later: the machine waits for as long.
 */

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/group/group.h"
#include "supervisor/hub.h"

struct bt_hub_member {
        struct bt_child *child;     /* NULL: a group, or removed */
        struct bt_hub_group *inner; /* NULL: a child */
        bool begun;                 /* what the machine wants of it is under way */
};

struct bt_hub_group {
        struct bt_hub *hub;
        const struct bt_plan_group *spec;
        const char *name;
        struct bt_hub_group *around; /* NULL: outermost */
        uint32_t around_idx;
        struct bt_group machine;
        struct bt_group_member *states; /* the machine's */
        struct bt_hub_member *members;
        struct bt_loop_timer turn;
        uint64_t restarts;
        uint64_t up_since_ns;    /* 0: not up; for the back-off of a group in a group */
        uint64_t backoff_ns;
        char note[128];
};

/* Children of the trees, as they are to be ended when the hub stops: from the end. */
struct bt_hub_group_end {
        struct bt_child *child; /* NULL: removed */
        uint32_t tree, rank;
        bool told;
};

struct bt_hub_groups {
        struct bt_hub_group *groups;
        uint32_t count;
        bool begun;
        struct bt_hub_group_end *ends;
        uint32_t end_count;
};

/* ---- their life ---- */

int bt_groups_open(struct bt_hub *hub);   /* when the children are there; none of theirs is started by anybody else from here on. 0 or -errno */
void bt_groups_begin(struct bt_hub *hub); /* what a killed hub left is adopted */
void bt_groups_close(struct bt_hub *hub);
struct bt_hub_group *bt_groups_find(const struct bt_hub *hub, const char *name); /* NULL: there is none */

/* ---- what happens to a child; harmless for one that is in no group ---- */

/* Nobody serves. True: its group decides what follows. */
bool bt_groups_down(struct bt_child *child, bool well);
bool bt_groups_restarts_alone(const struct bt_child *child); /* were it to fail now: nobody is stopped for it, or started before it */
void bt_groups_running(struct bt_child *child);
void bt_groups_changed(struct bt_child *child); /* a process of it, its migration or a request about it is over */
void bt_groups_hold(struct bt_child *child);    /* somebody stops or removes it */
bool bt_groups_release(struct bt_child *child); /* somebody wants it again. True: its group starts it, in its turn */
void bt_groups_removed(struct bt_child *child);

/* ---- what others may do ---- */

const char *bt_groups_refusal(const struct bt_child *child); /* why it cannot be swapped now; NULL: it can */
bool bt_groups_busy(const struct bt_child *child);           /* its group is at work on it: try again */

void bt_groups_release_group(struct bt_hub_group *group);
/* Somebody wants all of @group up, or down. */
void bt_groups_start(struct bt_hub_group *group);
void bt_groups_stop(struct bt_hub_group *group);
bool bt_group_is_off(const struct bt_hub_group *group); /* down, failed, or shut */

/* What is directly in it, but for what was removed. */
struct bt_group_count {
        uint32_t specs;       /* children and groups */
        uint32_t active;      /* children with a process, groups that are not off */
        uint32_t supervisors; /* groups */
        uint32_t workers;     /* children */
};
struct bt_group_count bt_group_count(const struct bt_hub_group *group);

/* ---- at the end of the hub ---- */

void bt_groups_stop_all(struct bt_hub *hub); /* nothing is restarted any more, and nobody stopped for others */
/* Tells the next of each tree to end, those that are last first. Called again when a process has ended. */
void bt_groups_end(struct bt_hub *hub);

/* ---- group_pause.c: a child that did not fail is stopped because another one did ---- */

/* False: something else is at work on it. Else ends in bt_groups_paused(), perhaps at once. */
bool bt_pause_begin(struct bt_child *child);
void bt_pause_changed(struct bt_child *child);
void bt_pause_captured(struct bt_child *child, bool whole);
void bt_pause_stop(struct bt_child *child); /* the hub stops, and has the child from here on */
void bt_groups_paused(struct bt_child *child);

/* groups.c, for the other file */
void bt_groups_soon(struct bt_hub_group *group);
