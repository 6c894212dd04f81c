/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A configuration, understood: every name resolved, every default filled in, every number in the unit of the plan. docs/config.md lists the
 * keys. compile.h makes a plan of it.
 *
 *      struct bt_config config = BT_CONFIG_NULL;
 *      bt_diag_init(&diag, path);
 *      r = bt_config_load(&config, &diag, path, environ);
 *      bt_diag_print(&diag, stderr);           errors and warnings
 *      ... use @config when r is 0 ...
 *      bt_config_free(&config);
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/baton/diag.h"
#include "supervisor/baton/mem.h"
#include "supervisor/plan.h"

/* What a configuration is resolved against. An argument, so that a test or a fuzzer can bring its own. */
struct bt_config_world {
        const char *dir;      /* absolute folder of the file: where relative paths begin */
        char *const *environ; /* what children inherit, and the PATH that is searched */
        bool fragment;        /* children for a hub that runs: no hub, no sockets of its own; see live.c */
        bool offline;         /* ask neither the file system nor the resolver: paths are taken as they are, hosts must be numbers */
};

struct bt_config_list {
        const char **items;
        uint32_t count;
};

/* A command for an event. */
struct bt_config_hook {
        uint32_t event;              /* enum bt_event_kind */
        const char *exec;            /* absolute */
        struct bt_config_list argv;
};

struct bt_config_hooks {
        struct bt_config_hook *items; /* one for each event at most */
        uint32_t count;
};

struct bt_config_socket {
        const char *name;
        const char *text;            /* the address as written */
        struct bt_mark name_mark;
        struct bt_mark mark;         /* of the address */
        bool used;
        struct bt_plan_socket spec;  /* all but its strings */
};

struct bt_config_child {
        const char *name;
        struct bt_mark mark;
        struct bt_config_list argv;
        struct bt_mark argv_mark;
        const char *exec;            /* absolute */
        const char *cwd;             /* absolute, or "" */
        struct bt_config_list env;   /* complete */
        struct bt_config_list own_env; /* of the file: KEY=VALUE, later ones win */
        bool env_clear;
        uint32_t instances;          /* 0: not given, the child's id is its name */
        struct bt_mark state_mark;
        struct bt_mark redundancy_mark; /* where its redundancy was said, perhaps in `defaults` */
        bool grouped;                /* it is in a group */
        bool undo_given;             /* of its mailbox; without it the default depends on the state */
        struct bt_config_list tags;
        struct bt_config_list meta;  /* KEY=TEXT */
        struct bt_config_hooks hooks;
        const char *alter;           /* absolute; NULL: none */
        struct bt_config_list alter_argv;
        const struct bt_yaml *node;  /* the child's own map: to tell what was written from what was defaulted */
        struct bt_plan_child spec;   /* all but its strings; sockets and socket_count are filled */
};

/* On its node the children of @pool run @exec. */
struct bt_config_override {
        const char *pool;
        const char *exec; /* absolute */
        struct bt_mark mark;
};

struct bt_config_node {
        const char *name;
        struct bt_mark mark;
        struct bt_config_list env;
        struct bt_config_override *overrides;
        uint32_t override_count;
        const struct bt_yaml *defaults; /* a map; NULL: none */
        struct bt_plan_node spec; /* all but its strings */
};

struct bt_config_wish {
        const char *key; /* a child's id or a pool's name */
        const char *node;
        struct bt_mark key_mark;
        struct bt_mark node_mark;
};

struct bt_config_member {
        const char *name;
        struct bt_mark mark;
        bool group;     /* @idx is of a group, and not of a child */
        uint32_t idx;
        uint32_t first; /* of a child: of its instances in the plan */
};

struct bt_config_group {
        const char *name;
        struct bt_mark mark;
        struct bt_mark ends_mark;
        struct bt_config_member *members;
        uint32_t member_count;
        const struct bt_config_group *around; /* NULL: it is in no other */
        uint32_t place;                       /* in the plan: behind the one it is in */
        struct bt_plan_group spec;            /* all but its strings and members */
};

struct bt_config {
        struct bt_mem mem;
        char *text; /* the file */
        size_t text_bytes;
        const char *path; /* absolute */
        bool fragment;
        const char *hub;
        struct bt_config_socket *sockets;
        uint32_t socket_count;
        struct bt_config_hooks hooks; /* of the hub */
        uint64_t hook_timeout_ns;
        uint64_t shutdown_timeout_ns; /* 0: none */
        uint32_t max_parallel;        /* 0: the default */
        uint64_t move_retry_min_ns;
        uint64_t move_retry_max_ns;
        struct bt_config_node *nodes;
        uint32_t node_count;
        struct bt_config_wish *wishes;
        uint32_t wish_count;
        struct bt_config_group *groups;
        uint32_t group_count;
        uint32_t distribution;        /* enum bt_distribution */
        struct bt_mark distribution_mark;
        struct bt_config_child *children; /* not expanded: one for each name */
        uint32_t child_count;
        uint32_t expanded_count;          /* with instances */
};

#define BT_CONFIG_NULL {.mem = BT_MEM_NULL}

/**
 * bt_config_parse() - understand @text
 * @ret_config: to be freed with bt_config_free(), also after an error
 *
 * Borrows @text and @world's strings until then. Returns 0, or 1 when @diag has errors. Resolving a host name takes as long as the
 * system's resolver is configured to wait.
 */
int bt_config_parse(struct bt_config *ret_config, struct bt_diag *diag, const char *text,
                    size_t bytes, const struct bt_config_world *world);

/* Reads the file at @path, then the same. Points @diag to the text. */
int bt_config_load(struct bt_config *ret_config, struct bt_diag *diag, const char *path,
                   char *const *variables);

/* The same for children that a running hub is to be given: `children`, `defaults` and keys that begin with x- alone. */
int bt_config_load_fragment(struct bt_config *ret_config, struct bt_diag *diag, const char *path,
                            char *const *variables);

void bt_config_free(struct bt_config *config);
