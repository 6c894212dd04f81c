/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table makes the command line: what verbs there are, what they take, what `baton help` says about them. argp does the options of
 * each verb, so --help, --usage and abbreviated long options work everywhere alike.
 */
#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/escape.h"
#include "supervisor/baton/command.h"
#include "supervisor/baton/find.h"
#include "supervisor/baton/rollout.h"
#include "supervisor/baton/text.h"
#include "supervisor/baton/value.h"
#include "supervisor/baton/verbs.h"
#include "supervisor/control.h"

enum {
        OPT_JSON = 'j',
        OPT_HUB = 'H',
        OPT_EXEC = 'e',
        OPT_STRATEGY = 's',
        OPT_TIMEOUT = 't',
        OPT_FOLLOW = 'f',
        OPT_SINCE = 'n',
        OPT_QUARANTINED = 'q',
        OPT_TAG = 256, /* no letter: seldom, or worth writing out */
        OPT_META,
        OPT_NODE,
        OPT_DEADLINE,
        OPT_WAIT,
        OPT_NO_WAIT,
        OPT_ON_FAILURE,
        OPT_DROP_STATE,
        OPT_CANARY,
        OPT_MAX_SURGE,
        OPT_MAX_UNAVAILABLE,
        OPT_MIN_READY,
        OPT_HEALTH,
        OPT_HEALTH_TIMEOUT,
        OPT_CPUS,
        OPT_MEMORY,
        OPT_WEIGHT,
        OPT_NICE,
        OPT_NUMA,
        OPT_DEFAULT,
        OPT_KEY,
        OPT_ENV,
        OPT_PROGRAM,
};

#define TIMEOUT_STATUS_NS (5 * BT_NS_PER_S)
#define TIMEOUT_SWAP_NS   (120 * BT_NS_PER_S)
#define TIMEOUT_NODE_NS   (720 * BT_NS_PER_S) /* children may put a move off for ten minutes */
#define TIMEOUT_STOP_NS   (120 * BT_NS_PER_S)

/* clang-format off */
#define ROW_JSON {"json", OPT_JSON, NULL, 0, "Print JSON, one object a line", 0}
#define ROW_HUB {"hub", OPT_HUB, "NAME", 0, "Which hub; default $BATON_HUB, else the only one that runs", 0}
#define ROW_STRATEGY {"strategy", OPT_STRATEGY, "hot|cold", 0, "Instead of the one in the configuration", 0}
#define ROW_TIMEOUT {"timeout", OPT_TIMEOUT, "DURATION", 0, "How long to wait for the hub; default 2m", 0}
#define ROWS_ROLLOUT \
        {"canary", OPT_CANARY, "NUMBER", 0, "Of several children: so many first, alone; default 1 (docs/rollout.md)", 0}, \
        {"max-surge", OPT_MAX_SURGE, "NUMBER", 0, "Hot swaps at the same time; default a quarter of the children", 0}, \
        {"max-unavailable", OPT_MAX_UNAVAILABLE, "NUMBER", 0, "Children that may not serve at the same time; default a quarter", 0}, \
        {"min-ready", OPT_MIN_READY, "DURATION", 0, "How long each must run before the next; default 1s", 0}, \
        {"deadline", OPT_DEADLINE, "DURATION", 0, "When it is over, all go back; default 10m", 0}, \
        {"health", OPT_HEALTH, "CMD", 0, "Run for each child after --min-ready, with the arguments after --; all go back unless its status is 0", 0}, \
        {"health-timeout", OPT_HEALTH_TIMEOUT, "DURATION", 0, "How long that may take; default 10s", 0}, \
        {"wait", OPT_WAIT, NULL, 0, "Wait for the end (the default)", 0}, \
        {"no-wait", OPT_NO_WAIT, NULL, 0, "Do not wait for the end", 0}
#define ROW_END {NULL, 0, NULL, 0, NULL, 0}
/* clang-format on */

static const struct argp_option no_options[] = {ROW_END};
static const struct argp_option check_options[] = {ROW_JSON, ROW_END};
static const struct argp_option status_options[] = {ROW_JSON, ROW_HUB, ROW_END};
static const struct argp_option swap_options[] = {ROW_STRATEGY, ROW_TIMEOUT, ROW_JSON, ROW_HUB,
                                                  ROW_END};
static const struct argp_option stop_options[] = {ROW_TIMEOUT, ROW_JSON, ROW_HUB, ROW_END};
static const struct argp_option upgrade_options[] = {
        {"exec", OPT_EXEC, "PATH", 0, "The new program (a path, not searched in PATH)", 0},
        ROWS_ROLLOUT,
        ROW_STRATEGY,
        ROW_TIMEOUT,
        ROW_JSON,
        ROW_HUB,
        ROW_END,
};
static const struct argp_option rollback_options[] = {ROWS_ROLLOUT, ROW_STRATEGY, ROW_TIMEOUT, ROW_JSON, ROW_HUB, ROW_END};

static const struct argp_option call_options[] = {
        {"deadline", OPT_DEADLINE, "DURATION", 0, "For room in the mailbox and for the answer; default 5s", 0},
        {"key", OPT_KEY, "KEY", 0, "Of a pool: what has the same key goes to the same member; without it, to the one with the fewest unread messages", 0},
        ROW_JSON,
        ROW_HUB,
        ROW_END,
};

static const struct argp_option events_options[] = {
        {"follow", OPT_FOLLOW, NULL, 0, "Go on with what happens, until the hub ends", 0},
        {"since", OPT_SINCE, "NUMBER|now", 0, "Begin with this event; default: the oldest the hub remembers", 0},
        ROW_JSON,
        ROW_HUB,
        ROW_END,
};

static const struct argp_option state_options[] = {
        {"quarantined", OPT_QUARANTINED, "ID", OPTION_ARG_OPTIONAL, "Of the states that were set aside; ID as ls shows it, default the newest", 0},
        ROW_TIMEOUT,
        ROW_JSON,
        ROW_HUB,
        ROW_END,
};

static const struct argp_option child_options[] = {
        {"tag", OPT_TAG, "TAG", 0, "All but add and result: those that have this tag", 0},
        {"meta", OPT_META, "KEY=TEXT", 0, "All but add and result: those whose meta says so", 0},
        {"node", OPT_NODE, "NODE", 0, "All but add and result: those that are placed there", 0},
        {"wait", OPT_WAIT, NULL, 0, "Wait for the result; the default", 0},
        {"no-wait", OPT_NO_WAIT, NULL, 0, "Say the request's number, for 'result', and return", 0},
        {"deadline", OPT_DEADLINE, "DURATION", 0,
         "Of each child. add: until it runs; default its child_migration_timeout. remove, stop: until it is killed; default its shutdown", 0},
        {"on-failure", OPT_ON_FAILURE, "continue|rollback", 0, "add: when a child is not started, leave the others, or remove them again", 0},
        {"drop-state", OPT_DROP_STATE, NULL, 0, "remove, stop, restart: capture nothing; remove: and forget what is stored", 0},
        ROW_TIMEOUT,
        ROW_JSON,
        ROW_HUB,
        ROW_END,
};

static const struct argp_option node_options[] = {
        {"cpus", OPT_CPUS, "0-1,4", 0, "add: processors its children may run on", 0},
        {"memory", OPT_MEMORY, "SIZE", 0, "add: of all its children together, where a cgroup can be had", 0},
        {"weight", OPT_WEIGHT, "NUMBER", 0, "add: its share of the children; default 1", 0},
        {"nice", OPT_NICE, "NUMBER", 0, "add: added to the niceness of the hub", 0},
        {"numa", OPT_NUMA, "NUMBER", 0, "add: memory from this NUMA node alone", 0},
        {"default", OPT_DEFAULT, "KEY=TEXT", 0, "add: an option of its children that do not say it themselves; may be given again", 0},
        {"env", OPT_ENV, "KEY=TEXT", 0, "add: a variable, over those of the child; may be given again", 0},
        {"exec", OPT_PROGRAM, "POOL=PATH", 0, "add: the program that a pool's children run there; may be given again", 0},
        {"deadline", OPT_DEADLINE, "DURATION", 0, "drain, remove: until then children may put their move off; default of drain 60s", 0},
        ROW_STRATEGY,
        ROW_TIMEOUT,
        ROW_JSON,
        ROW_HUB,
        ROW_END,
};

static const struct argp_option hub_options[] = {
        {"exec", OPT_EXEC, "PATH", 0, "The new program; default: the file the hub was started from, as it is on the disk now", 0},
        {"deadline", OPT_DEADLINE, "DURATION", 0, "How long to wait until no swap, rollout or other request is under way; default 10s", 0},
        ROW_TIMEOUT,
        ROW_JSON,
        ROW_HUB,
        ROW_END,
};

static int verb_version(struct bt_command *command);
static int verb_help(struct bt_command *command);

static const struct bt_verb verbs[] = {
        {"check", "FILE", "the configuration to check", "Say what is wrong with a configuration",
         check_options, bt_verb_check, 0},
        {"run", "FILE", "the configuration to run",
         "Run the children of a configuration, in the foreground", no_options, bt_verb_run, 0},
        {"status", NULL, NULL, "Show the children of a running hub", status_options, bt_verb_status,
         TIMEOUT_STATUS_NS},
        {"upgrade", "CHILD", "the child to upgrade",
         "Replace a child, or all of a pool, by one that runs another program", upgrade_options,
         bt_verb_upgrade, TIMEOUT_SWAP_NS},
        {"rollback", "CHILD", "the child to roll back",
         "Bring a child, or all of a pool, back to the program before its last upgrade", rollback_options,
         bt_verb_rollback, TIMEOUT_SWAP_NS},
        {"swap", "CHILD", "the child to swap",
         "Replace a child, or all of a pool, by a new process of the same program", swap_options,
         bt_verb_swap, TIMEOUT_SWAP_NS},
        {"events", NULL, NULL, "Show what happened in a running hub, or follow it", events_options,
         bt_verb_events, TIMEOUT_STATUS_NS},
        {"state", "WORD", "ls, show, export, import or drop", "Show and rescue states that no process holds: ls [CHILD], show CHILD, export CHILD FILE, import CHILD FILE, drop CHILD",
         state_options, bt_verb_state, TIMEOUT_SWAP_NS},
        {"child", "WORD", "add, remove, delete, stop, start, restart, list, find or result",
         "Children of a running hub: add FILE, remove ID.., delete ID.., stop ID.., start ID.., restart ID.., list, find ID, result NUMBER", child_options, bt_verb_child,
         TIMEOUT_SWAP_NS},
        {"call", "CHILD TEXT", "whom to call", "Send a message to a child, or to one of a pool, and print its answer", call_options, bt_verb_call,
         TIMEOUT_STATUS_NS},
        {"cast", "CHILD TEXT", "whom to send to", "Send a message that is not answered", call_options, bt_verb_cast, TIMEOUT_STATUS_NS},
        {"queue", "[CHILD]", NULL, "Show what waits in mailboxes", status_options, bt_verb_queue, TIMEOUT_STATUS_NS},
        {"stop", NULL, NULL, "Keep the children's states, end them, end the hub", stop_options,
         bt_verb_stop, TIMEOUT_STOP_NS},
        {"node", "WORD", "list, add, remove, drain or migrate",
         "Where children run: list, add NAME, remove NAME, drain NAME, migrate CHILD NODE", node_options, bt_verb_node, TIMEOUT_NODE_NS},
        {"hub", "WORD", "upgrade", "The hub itself: upgrade, by another program in the same process, while its children run", hub_options, bt_verb_hub, TIMEOUT_SWAP_NS},
        {"version", NULL, NULL, "Print the version", no_options, verb_version, 0},
        {"manual", NULL, NULL, "Print the manual page, for man", no_options, bt_verb_manual, 0},
        {"completion", "WORD", "bash, zsh or fish", "Print what a shell is to complete", no_options, bt_verb_completion, 0},
        {"help", "[VERB]", NULL, "Explain a verb, or list them", no_options, verb_help, 0},
};

/* ---- output ---- */

void bt_complain(const char *format, ...)
{
        char raw[2048], clean[2048];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(raw, sizeof(raw), format, args);
        va_end(args);
        bt_text_clean(clean, sizeof(clean), raw, strlen(raw), false);
        (void)fflush(stdout); /* in the order of events, also when both go to one place */
        (void)fprintf(stderr, "baton: %s\n", clean);
}

void bt_say_json(json_t *object)
{
        if (!object)
                bt_mem_exhausted();
        (void)json_dumpf(object, stdout, JSON_COMPACT);
        (void)fputc('\n', stdout);
        json_decref(object);
}

/* JSON has a way to write it that no terminal obeys. */
static bool json_exact(const char *text)
{
        size_t bytes = strlen(text), length;

        for (size_t i = 0; i < bytes; i += length) {
                length = bt_utf8_char(text + i, bytes - i);
                if (!length || text[i] == 0x7f || (length > 1 && bt_utf8_hidden(text + i, length)))
                        return false;
        }
        return true;
}

json_t *bt_json_text(const char *text)
{
        char clean[4096];

        if (json_exact(text))
                return json_string(text);
        bt_text_clean(clean, sizeof(clean), text, strlen(text), true);
        return json_string(clean);
}

/* ---- verbs that are only words ---- */

static int verb_version(struct bt_command *command)
{
        (void)command;
        (void)puts("baton " BATON_VERSION);
        return BT_EXIT_OK;
}

static void help_list(FILE *out)
{
        (void)fputs("Usage: baton VERB [OPTION...] [ARGUMENT]\n\n", out);
        for (size_t i = 0; i < BT_ARRAY_LEN(verbs); i++) {
                char words[32];

                (void)snprintf(words, sizeof(words), "%s %s", verbs[i].name,
                               verbs[i].args ? verbs[i].args : "");
                (void)fprintf(out, "  %-16s %s\n", words, verbs[i].summary);
        }
        (void)fputs("\n'baton VERB --help' lists the options of a verb.\n"
                    "Exit status: 0 done, 1 failed, 2 usage or invalid configuration, 3 no such "
                    "child, 4 hub does not run, 5 timed out.\n",
                    out);
}

const struct bt_verb *bt_verb_at(size_t idx)
{
        return idx < BT_ARRAY_LEN(verbs) ? &verbs[idx] : NULL;
}

static const struct bt_verb *verb_find(const char *name)
{
        for (size_t i = 0; i < BT_ARRAY_LEN(verbs); i++)
                if (!strcmp(verbs[i].name, name))
                        return &verbs[i];
        return NULL;
}

static int verb_unknown(const char *name)
{
        const char *names[BT_ARRAY_LEN(verbs) + 1] = {NULL};
        const char *guess;

        for (size_t i = 0; i < BT_ARRAY_LEN(verbs); i++)
                names[i] = verbs[i].name;
        guess = bt_text_suggest(name, names);
        bt_complain("unknown verb '%s'%s%s%s; 'baton help' lists them", name,
                    guess ? " (did you mean '" : "", guess ? guess : "", guess ? "'?)" : "");
        return BT_EXIT_USAGE;
}

/* ---- options ---- */

static void parse_strategy(struct bt_command *command, const char *arg, struct argp_state *state)
{
        if (!strcmp(arg, "hot"))
                command->strategy = BT_STRATEGY_HOT;
        else if (!strcmp(arg, "cold"))
                command->strategy = BT_STRATEGY_COLD;
        else
                argp_error(state, "--strategy is '%s', expected hot or cold", arg);
}

static void parse_timeout(struct bt_command *command, const char *arg, struct argp_state *state)
{
        const char *wrong = bt_value_duration(&command->timeout_ns, arg, BT_NS_PER_MS);

        if (wrong)
                argp_error(state, "--timeout is '%s': %s", arg, wrong);
        else if (!command->timeout_ns)
                argp_error(state, "--timeout is 0: give the hub some time");
        command->timeout_given = true;
}

/* ---- options of a rollout ---- */

static void parse_rollout(struct bt_command *command, const char *option, const char *wrong, const char *arg, struct argp_state *state)
{
        if (wrong)
                argp_error(state, "--%s is '%s': %s", option, arg, wrong);
        command->rollout.wanted = 2; /* said so: also of a single child */
}

/* True when @key was one of them. */
static bool parse_rollout_option(struct bt_command *command, int key, const char *arg, struct argp_state *state)
{
        struct bt_ctl_rollout *rollout = &command->rollout;

        switch (key) {
        case OPT_CANARY:
                parse_rollout(command, "canary", bt_rollout_number(&rollout->canary, arg), arg, state);
                return true;
        case OPT_MAX_SURGE:
                parse_rollout(command, "max-surge", bt_rollout_number(&rollout->max_surge, arg), arg, state);
                return true;
        case OPT_MAX_UNAVAILABLE:
                parse_rollout(command, "max-unavailable", bt_rollout_number(&rollout->max_unavailable, arg), arg, state);
                return true;
        case OPT_MIN_READY:
                parse_rollout(command, "min-ready", bt_rollout_duration(&rollout->min_ready_ns, arg), arg, state);
                return true;
        case OPT_HEALTH_TIMEOUT:
                parse_rollout(command, "health-timeout", bt_rollout_duration(&rollout->health_timeout_ns, arg), arg, state);
                return true;
        case OPT_HEALTH:
                parse_rollout(command, "health", *arg ? NULL : "a command is missing", arg, state);
                command->health = arg;
                return true;
        default:
                return false;
        }
}

/* What comes after -- belongs to the health command; the child, in front of it, was the first argument. */
static bool parse_health_argument(struct bt_command *command, const char *arg, const struct argp_state *state)
{
        const char **longer;

        if ((command->verb->run != bt_verb_upgrade && command->verb->run != bt_verb_rollback) || !state->quoted)
                return false;
        longer = bt_mem_array(&command->mem, command->health_arg_count + 1, sizeof(*longer));
        for (uint32_t i = 0; i < command->health_arg_count; i++)
                longer[i] = command->health_args[i];
        longer[command->health_arg_count++] = arg;
        command->health_args = longer;
        return true;
}

static void parse_since(struct bt_command *command, const char *arg, struct argp_state *state)
{
        char *end = NULL;

        errno = 0;
        command->since = !strcmp(arg, "now") ? BT_CTL_SINCE_NOW : strtoull(arg, &end, 10);
        if (end && (errno || *end || *arg < '0' || *arg > '9' || command->since == BT_CTL_SINCE_NOW))
                argp_error(state, "--since is '%s', expected the number of an event, or now", arg);
}

static void parse_quarantined(struct bt_command *command, const char *arg, struct argp_state *state)
{
        char *end = NULL;

        command->quarantined = true;
        if (!arg)
                return;
        errno = 0;
        command->aside_ns = strtoull(arg, &end, 10);
        if (errno || *end || *arg < '0' || *arg > '9' || !command->aside_ns)
                argp_error(state, "--quarantined is '%s', expected a number that 'baton state ls' shows", arg);
}

static void parse_deadline(struct bt_command *command, const char *arg, struct argp_state *state)
{
        const char *wrong = bt_value_duration(&command->deadline_ns, arg, BT_NS_PER_MS);

        if (wrong)
                argp_error(state, "--deadline is '%s': %s", arg, wrong);
        else if (!command->deadline_ns)
                argp_error(state, "--deadline is 0: give it some time");
}

static void parse_on_failure(struct bt_command *command, const char *arg, struct argp_state *state)
{
        command->rollback = !strcmp(arg, "rollback");
        if (!command->rollback && strcmp(arg, "continue") != 0)
                argp_error(state, "--on-failure is '%s', expected continue or rollback", arg);
}

static size_t argument_room(const struct bt_verb *verb)
{
        if (verb->run == bt_verb_state || verb->run == bt_verb_node)
                return 3;
        if (verb->run == bt_verb_call || verb->run == bt_verb_cast)
                return 2;
        return verb->args ? 1 : 0;
}

/* `child` takes any number. */
static bool parse_argument(struct bt_command *command, const char *arg)
{
        size_t room = argument_room(command->verb);

        if (command->words) {
                command->words[command->word_count++] = arg;
                command->arg = command->words[0];
                return true;
        }
        for (size_t i = 0; i < room; i++) {
                if (!command->args[i]) {
                        command->args[i] = arg;
                        command->arg = command->args[0];
                        return true;
                }
        }
        return false;
}

static void add_setting(struct bt_command *command, const char *key, const char *text)
{
        command->settings[command->setting_count++] = (struct bt_setting){key, text};
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
        struct bt_command *command = state->input;

        switch (key) {
        case OPT_JSON:
                command->json = true;
                return 0;
        case OPT_HUB:
                command->hub = arg;
                return 0;
        case OPT_EXEC:
                command->exec = arg;
                return 0;
        case OPT_STRATEGY:
                parse_strategy(command, arg, state);
                return 0;
        case OPT_TIMEOUT:
                parse_timeout(command, arg, state);
                return 0;
        case OPT_QUARANTINED:
                parse_quarantined(command, arg, state);
                return 0;
        case OPT_TAG:
                command->tag = arg;
                return 0;
        case OPT_META:
                command->meta = arg;
                return 0;
        case OPT_NODE:
                command->node = arg;
                return 0;
        case OPT_DEADLINE:
                parse_deadline(command, arg, state);
                return 0;
        case OPT_KEY:
                command->key = arg;
                return 0;
        case OPT_WAIT:
        case OPT_NO_WAIT:
                command->no_wait = key == OPT_NO_WAIT;
                return 0;
        case OPT_ON_FAILURE:
                parse_on_failure(command, arg, state);
                return 0;
        case OPT_DROP_STATE:
                command->drop_state = true;
                return 0;
        case OPT_CPUS:
                add_setting(command, "cpus", arg);
                return 0;
        case OPT_MEMORY:
                add_setting(command, "memory", arg);
                return 0;
        case OPT_WEIGHT:
                add_setting(command, "weight", arg);
                return 0;
        case OPT_NICE:
                add_setting(command, "nice", arg);
                return 0;
        case OPT_NUMA:
                add_setting(command, "numa", arg);
                return 0;
        case OPT_DEFAULT:
                add_setting(command, "defaults", arg);
                return 0;
        case OPT_ENV:
                add_setting(command, "env", arg);
                return 0;
        case OPT_PROGRAM:
                add_setting(command, "exec", arg);
                return 0;
        case OPT_FOLLOW:
                command->follow = true;
                return 0;
        case OPT_SINCE:
                parse_since(command, arg, state);
                return 0;
        case ARGP_KEY_ARG:
                if (!parse_argument(command, arg) && !parse_health_argument(command, arg, state))
                        argp_error(state, "too many arguments: '%s'", arg);
                return 0;
        case ARGP_KEY_END:
                if (!command->arg && command->verb->missing)
                        argp_error(state, "%s is missing: %s", command->verb->args,
                                   command->verb->missing);
                return 0;
        default:
                if (parse_rollout_option(command, key, arg, state))
                        return 0;
                return ARGP_ERR_UNKNOWN;
        }
}

static void parse(struct bt_command *command, int argc, char **argv)
{
        const struct bt_verb *verb = command->verb;
        struct argp argp = {
                .options = verb->options,
                .parser = parse_option,
                .args_doc = verb->args,
                .doc = verb->summary,
        };

        argp_err_exit_status = BT_EXIT_USAGE;
        if (verb->run == bt_verb_child)
                command->words = bt_mem_array(&command->mem, (size_t)argc, sizeof(*command->words));
        if (verb->run == bt_verb_node)
                command->settings = bt_mem_array(&command->mem, (size_t)argc, sizeof(*command->settings));
        argv[0] = bt_mem_printf(&command->mem, "baton %s", verb->name);
        (void)argp_parse(&argp, argc, argv, 0, NULL, command);
}

static int verb_help(struct bt_command *command)
{
        char help[] = "--help";
        char *argv[] = {NULL, help, NULL};

        if (!command->arg) {
                help_list(stdout);
                return BT_EXIT_OK;
        }
        command->verb = verb_find(command->arg);
        if (!command->verb)
                return verb_unknown(command->arg);
        parse(command, 2, argv); /* prints and exits */
        return BT_EXIT_OK;
}

/* ---- the program ---- */

static int run_verb(const struct bt_verb *verb, int argc, char **argv, char *const *environ)
{
        struct bt_command command = {
                .verb = verb,
                .environ = environ,
                .strategy = BT_CTL_STRATEGY_SPEC,
                .timeout_ns = verb->timeout_ns,
                .rollout = bt_rollout_defaults(),
        };
        int status;

        parse(&command, argc, argv);
        status = verb->run(&command);
        bt_mem_free(&command.mem);
        return status;
}

int bt_command_main(int argc, char **argv, char *const *environ)
{
        const char *word = argc > 1 ? argv[1] : NULL;
        const struct bt_verb *verb;
        int status;

        /* Progress is seen when it happens, also through a pipe. */
        (void)setvbuf(stdout, NULL, _IOLBF, 0);
        if (!word) {
                help_list(stderr);
                return BT_EXIT_USAGE;
        }
        if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "-?"))
                word = "help";
        else if (!strcmp(word, "--version") || !strcmp(word, "-V"))
                word = "version";
        verb = verb_find(word);
        if (!verb)
                return verb_unknown(word);
        status = run_verb(verb, argc - 1, argv + 1, environ);
        if (fflush(stdout) || ferror(stdout)) {
                bt_complain("cannot write the output: %s", strerrordesc_np(errno));
                return status ? status : BT_EXIT_FAILED;
        }
        return status;
}
