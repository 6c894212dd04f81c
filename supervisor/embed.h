/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The hub inside a program (<baton/hub.h>): what the hub asks the program for, and the handle, for embed.c and embed_plan.c. */

#include <baton/hub.h>

#include "supervisor/function.h"
#include "supervisor/hub.h"
#include "supervisor/live.h"
#include "supervisor/rolling.h"

/* What differs from batond. */
struct bt_embed {
        bool signals;
        bool polled;     /* it has a loop of its own */
        bool alters;     /* it is asked before starts: alter.h */
        baton_hub_place_fn place; /* its own strategy; NULL: one of ours */
        void *place_ctx;
        struct bt_placement_ops place_ops; /* what placement is given in its place: embed_place.c */
        char *state_dir; /* resolved, from the start on; NULL: states are kept in memory */
        const struct bt_function **functions; /* by child; NULL: a program */
        void (*say)(void *ctx, const char *sentence); /* NULL: to stderr */
        void *ctx;
        char error[1024]; /* the last sentence */
};

/* ---- a plan that grows ---- */

#define BT_PLANNER_OUTERMOST UINT32_MAX

struct bt_planner {
        char *strings;
        size_t strings_bytes, strings_room;
        struct bt_plan_socket *sockets;
        uint32_t socket_count;
        struct bt_plan_child *children;
        uint32_t child_count, child_room;
        struct bt_plan_hook *hooks;
        uint32_t hook_count;
        uint32_t hub_hook_count; /* the first of them: added before any child */
        uint32_t distribution;   /* enum bt_distribution */
        struct bt_plan_group *groups; /* as they were added: those in a group before it */
        uint32_t *around;             /* of each: the group it is in; BT_PLANNER_OUTERMOST */
        uint32_t group_count;
        struct bt_plan_member *members; /* .first of a group: its index in @groups */
        uint32_t member_count;
        bool failed; /* no memory, or too large: said by seal */
};

/* One request of the program. */
struct bt_embed_call {
        struct bt_list node; /* in baton_hub.calls, then in .ended */
        struct baton_hub *hub;
        baton_hub_done_fn done;
        void *ctx;
        char target[64];
        struct bt_request *request;  /* NULL: none, or it is over */
        struct bt_live_waiter live;  /* of a child that is added or removed */
        struct bt_rolling_watcher rolling;
        struct baton_hub_outcome outcome;
        char text[2048];
};

struct baton_hub {
        struct bt_hub hub;
        struct bt_embed embed;
        struct bt_planner planner;
        struct baton_hub_options options; /* its strings are ours */
        char *runtime_dir;                /* with the hub's name */
        char *state_dir;
        struct bt_list functions;
        struct bt_list calls; /* under way */
        struct bt_list ended; /* to be told */
        uint64_t event_next;  /* number of the first event that was not told */
        int epoll; /* -1: the loop is baton_hub_run() */
        int timer;
        bool started;
        bool failed;
        char error[1024];
};

/* ---- embed.c, for embed_live.c and embed_roll.c ---- */

int bt_embed_add_result(struct baton_hub *hub, int r, const char *what, const char *name); /* @r, said when there is one already, or too many */
int bt_embed_settle(struct baton_hub *hub); /* what was armed is given to the kernel */
struct bt_embed_call *bt_embed_call_new(struct baton_hub *hub, const char *target, baton_hub_done_fn done, void *ctx); /* NULL: no memory */
void bt_embed_call_free(struct bt_embed_call *call);
void bt_embed_call_over(struct bt_embed_call *call, int result, uint32_t ok, uint32_t failed, const char *text); /* it is told after the turn */

/* Another program, or another function: a reference. 0 or -errno, said in @hub->error. */
int bt_embed_open_binary(struct bt_binary **ret_binary, struct baton_hub *hub, const char *exec);
int bt_embed_open_function(struct bt_binary **ret_binary, struct baton_hub *hub, const char *target, const struct baton_child_ops *ops,
                           int (*main)(struct baton_child *child, void *ctx), void *ctx);

/* The binary of child @idx when it is a function: 0 or -errno; 1: it is a program. */
int bt_embed_binary(struct bt_binary **ret_binary, const struct bt_hub *hub, uint32_t idx);
void bt_embed_say(struct bt_embed *embed, const char *sentence);

/* ---- planning: embed_plan.c ---- */

/* 0; -EINVAL with a sentence in @error; -EEXIST, -ENOSPC, -ENOMEM. */
int bt_planner_add_socket(struct bt_planner *planner, const struct baton_hub_socket *socket, char *error, size_t error_bytes);
int bt_planner_add_hub_hooks(struct bt_planner *planner, const struct baton_hub_command *on, size_t count, char *error, size_t error_bytes);
int bt_planner_add_child(struct bt_planner *planner, const struct baton_hub_child *child, char *error, size_t error_bytes);
/* A string of the plan: its offset. Without memory seal says so. */
uint32_t bt_planner_put(struct bt_planner *planner, const char *text);
/* embed_group.c */
int bt_planner_add_group(struct bt_planner *planner, const struct baton_hub_group *group, char *error, size_t error_bytes);
bool bt_planner_has_group(const struct bt_planner *planner, const char *name);
/* For seal: both to @fd, in the order of a plan. 0 or -errno. */
int bt_planner_write_groups(const struct bt_planner *planner, int fd);
/* Only the name of a socket that the hub has: for a fragment. */
int bt_planner_name_socket(struct bt_planner *planner, const char *name);
/* A sealed memfd for bt_plan_open(), which checks it. @options NULL: a fragment, and no folders. */
int bt_planner_seal(struct bt_planner *planner, const struct baton_hub_options *options, const char *runtime_dir, const char *state_dir,
                    int *ret_fd);
void bt_planner_deinit(struct bt_planner *planner);
