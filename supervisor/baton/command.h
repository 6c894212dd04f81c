/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The command: one program, a table of verbs (verbs.c), one function each.
 *
 * Output is for people unless --json, one object a line then. What was asked for goes to stdout, what went wrong to stderr as "baton: ...". No
 * colours: there is nothing here that colour would make clearer.
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "supervisor/baton/mem.h"
#include "supervisor/control.h"

enum bt_exit {
        BT_EXIT_OK = 0,
        BT_EXIT_FAILED = 1,    /* it was tried, and did not work */
        BT_EXIT_USAGE = 2,     /* wrong words on the command line, or an invalid configuration */
        BT_EXIT_NO_SUCH = 3,   /* no such child */
        BT_EXIT_NO_HUB = 4,    /* the hub does not run */
        BT_EXIT_TIMED_OUT = 5,
};

struct bt_verb;
struct bt_config;

/* An option that is a key of a node in the configuration; of a map (env, exec): one entry, KEY=TEXT. */
struct bt_setting {
        const char *key;
        const char *text;
};

/* A command line, taken apart. */
struct bt_command {
        const struct bt_verb *verb;
        char *const *environ;
        struct bt_mem mem;
        const char *arg;      /* FILE, CHILD or VERB; NULL: not given */
        const char *args[3];  /* state, node: its word, and what it is about; [0] is @arg */
        bool quarantined;     /* state */
        uint64_t aside_ns;    /* state: of --quarantined=ID; 0: not given */
        bool json;
        const char *hub;      /* NULL: not given */
        const char *exec;
        uint32_t strategy;    /* enum bt_strategy, or BT_CTL_STRATEGY_SPEC */
        uint64_t timeout_ns;
        bool timeout_given;
        struct bt_ctl_rollout rollout; /* upgrade, rollback: rollout.h */
        const char *health;            /* the command that --health names; NULL: none */
        const char **health_args;      /* what came after "--" */
        uint32_t health_arg_count;
        uint64_t since; /* events: BT_CTL_SINCE_OLDEST unless given */
        bool follow;    /* events */
        const char **words;  /* child: all its arguments; [0] is @arg */
        size_t word_count;
        const char *tag;     /* child; NULL: not given */
        const char *meta;
        const char *node;
        uint64_t deadline_ns; /* of each child; hub: for rest; 0: not given */
        const char *key;      /* call, cast; NULL: not given */
        bool no_wait;
        bool rollback;
        bool drop_state;
        struct bt_setting *settings; /* node: what its options say, in their order */
        size_t setting_count;
};

/* The whole program but main(). Returns the exit status; usage errors and --help exit by themselves (argp). */
int bt_command_main(int argc, char **argv, char *const *environ);

/* ---- verbs ---- */

int bt_verb_check(struct bt_command *command);
int bt_verb_run(struct bt_command *command);
int bt_verb_status(struct bt_command *command);
int bt_verb_upgrade(struct bt_command *command);
int bt_verb_swap(struct bt_command *command);
int bt_verb_rollback(struct bt_command *command);
int bt_verb_manual(struct bt_command *command);
int bt_verb_completion(struct bt_command *command);
int bt_verb_events(struct bt_command *command);
int bt_verb_call(struct bt_command *command);
int bt_verb_cast(struct bt_command *command);
int bt_verb_queue(struct bt_command *command);
int bt_verb_stop(struct bt_command *command);
int bt_verb_state(struct bt_command *command);
int bt_verb_child(struct bt_command *command);
int bt_verb_node(struct bt_command *command);
int bt_verb_hub(struct bt_command *command);

/* The configuration, or file of children, at @path. Returns enum bt_exit; what is wrong with it has been said. @ret_config: to be freed in any case. */
int bt_command_config(struct bt_command *command, struct bt_config *ret_config, const char *path, bool fragment);

/* ---- output ---- */

/* "baton: ..." on stderr, control characters made harmless. */
void bt_complain(const char *format, ...) __attribute__((__format__(printf, 1, 2)));

/* One line of JSON on stdout. Takes @object. */
void bt_say_json(json_t *object);

/* @text, which may be anything, as a JSON string. */
json_t *bt_json_text(const char *text);
