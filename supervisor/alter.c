/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking a command, or the program around us, how a child is to be started: see alter.h.
 *
 * The answer is read while the command runs, into a buffer of a fixed size, because a pipe takes as little as a page when its user has many of them.
 * It is looked at when the command has ended well, all of it at once, and kept as it came: applying it is walking over the records again.
 */
#include "supervisor/alter.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "supervisor/embed.h"
#include "supervisor/errand.h"
#include "supervisor/events.h"
#include "supervisor/hub.h"

#define ENV "env."
#define ARG "arg="
#define CWD "cwd="
#define META "meta."
#define NODE "node="

struct bt_alter {
        struct bt_child *child;
        struct bt_list node; /* in bt_hub.alters while it waits */
        enum baton_reason reason;
        bool wanted;         /* a start waits for it */
        struct bt_errand errand;
        struct bt_loop_watch answer_watch;
        char *coming; /* BT_ALTER_BYTES_MAX + 1 while it is asked */
        size_t coming_bytes;
        char *text; /* the answer that counts; NULL: none */
        size_t text_bytes;
        char *meta; /* the child's with what the answer says; NULL: as specified */
        uint32_t meta_count;
};

static bool in_program(const struct bt_hub *hub)
{
        return hub->embed && hub->embed->alters;
}

/* ---- records ---- */

/* The record after @at; NULL: @at was the last. @at NULL: the first. */
static const char *record_next(const char *text, size_t bytes, const char *at)
{
        if (!at)
                return bytes ? text : NULL;
        at += strlen(at) + 1;
        return at < text + bytes ? at : NULL;
}

static bool begins(const char *record, const char *with)
{
        return strncmp(record, with, strlen(with)) == 0;
}

static const char *meta_wrong(const char *pair)
{
        const char *equals = strchr(pair, '=');

        if (!equals || !bt_plan_name_valid(pair, (size_t)(equals - pair)))
                return "meta. is followed by no name and =";
        return strlen(equals + 1) > BT_CHILD_META_BYTES_MAX ? "meta is for labels: at most 255 bytes" : NULL;
}

static const char *record_wrong(const char *record)
{
        const char *name = record + strlen(ENV);
        const char *equals;

        if (begins(record, ARG))
                return NULL;
        if (begins(record, CWD))
                return record[strlen(CWD)] == '/' && strlen(record) < PATH_MAX ? NULL : "cwd is not an absolute path";
        if (begins(record, META))
                return meta_wrong(record + strlen(META));
        if (begins(record, NODE))
                return NULL; /* whether there is such a node is known when the child is started */
        if (!begins(record, ENV))
                return "it begins with none of env. arg= cwd= meta. node=";
        equals = strchr(name, '=');
        if (!equals || equals == name)
                return "env. is followed by no NAME=";
        return bt_plan_reserved_variable(name, (size_t)(equals - name)) ? "the hub itself sets this variable" : NULL;
}

/* False, with a sentence. */
static bool answer_valid(const char *text, size_t bytes, char *ret_why, size_t why_bytes)
{
        const char *wrong = NULL;
        uint32_t count = 0;

        if (bytes > BT_ALTER_BYTES_MAX || (bytes && text[bytes - 1])) {
                (void)snprintf(ret_why, why_bytes, bytes > BT_ALTER_BYTES_MAX ? "its answer has more than %d bytes"
                                                                              : "its answer does not end with a NUL byte (each record does)",
                               BT_ALTER_BYTES_MAX);
                return false;
        }
        for (const char *at = record_next(text, bytes, NULL); at && !wrong; at = record_next(text, bytes, at)) {
                wrong = ++count > BT_ALTER_RECORDS_MAX ? "there are more than 256" : record_wrong(at);
                if (wrong)
                        (void)snprintf(ret_why, why_bytes, "record %u of its answer cannot be used: %s", count, wrong);
        }
        return !wrong;
}

size_t bt_alter_count(const struct bt_child *child)
{
        const struct bt_alter *alter = child->alter;
        size_t count = 0;

        if (!alter)
                return 0;
        for (const char *at = record_next(alter->text, alter->text_bytes, NULL); at; at = record_next(alter->text, alter->text_bytes, at))
                count++;
        return count;
}

static size_t env_put(char **envp, size_t envc, const char *variable)
{
        size_t name = (size_t)(strchr(variable, '=') - variable) + 1;

        for (size_t i = 0; i < envc; i++) {
                if (!strncmp(envp[i], variable, name)) {
                        envp[i] = (char *)variable; /* exec's signature lacks a const */
                        return envc;
                }
        }
        envp[envc] = (char *)variable;
        return envc + 1;
}

size_t bt_alter_apply(const struct bt_child *child, char **argv, size_t argc, char **envp, size_t envc, const char **cwd)
{
        const struct bt_alter *alter = child->alter;

        if (!alter)
                return envc;
        for (const char *at = record_next(alter->text, alter->text_bytes, NULL); at; at = record_next(alter->text, alter->text_bytes, at)) {
                if (begins(at, ENV))
                        envc = env_put(envp, envc, at + strlen(ENV));
                else if (begins(at, ARG))
                        argv[argc++] = (char *)at + strlen(ARG);
                else if (begins(at, CWD))
                        *cwd = at + strlen(CWD);
        }
        return envc;
}

/* ---- metadata ---- */

struct bt_labels bt_child_meta(const struct bt_child *child)
{
        const struct bt_alter *alter = child->alter;

        if (alter && alter->meta)
                return (struct bt_labels){alter->meta, alter->meta_count};
        return (struct bt_labels){bt_plan_string(&child->plan->view, child->spec->meta), child->spec->meta_count};
}

struct bt_labels bt_child_tags(const struct bt_child *child)
{
        return (struct bt_labels){bt_plan_string(&child->plan->view, child->spec->tags), child->spec->tag_count};
}

/* In the place of the same key, or behind the others. False: there are too many. */
static bool meta_put(const char **pairs, uint32_t *count, const char *pair)
{
        size_t name = (size_t)(strchr(pair, '=') - pair) + 1;
        uint32_t i = 0;

        while (i < *count && strncmp(pairs[i], pair, name) != 0)
                i++;
        if (i == BT_CHILD_META_MAX)
                return false;
        pairs[i] = pair;
        *count += i == *count;
        return true;
}

/* 0; 1: it would have too many; -ENOMEM. On success what the answer says is in @alter. */
static int meta_take(struct bt_alter *alter, const char *text, size_t bytes)
{
        const struct bt_child *child = alter->child;
        const char *pairs[BT_CHILD_META_MAX], *at = bt_plan_string(&child->plan->view, child->spec->meta);
        uint32_t count = child->spec->meta_count;
        bool any = false;
        char *meta;

        for (uint32_t i = 0; i < count; i++, at = bt_plan_string_next(at))
                pairs[i] = at;
        for (at = record_next(text, bytes, NULL); at; at = record_next(text, bytes, at)) {
                if (begins(at, META) && !meta_put(pairs, &count, at + strlen(META)))
                        return 1;
                any |= begins(at, META);
        }
        if (!any)
                return 0;
        meta = malloc((size_t)BT_CHILD_META_MAX * (BATON_NAME_BYTES_MAX + BT_CHILD_META_BYTES_MAX + 2));
        if (!meta)
                return -ENOMEM;
        alter->meta = meta;
        alter->meta_count = count;
        for (uint32_t i = 0; i < count; i++)
                meta = stpcpy(meta, pairs[i]) + 1;
        return 0;
}

/* ---- the node ---- */

/* The last that the answer names; NULL: none. */
static const char *node_named(const char *text, size_t bytes)
{
        const char *name = NULL;

        for (const char *at = record_next(text, bytes, NULL); at; at = record_next(text, bytes, at)) {
                if (begins(at, NODE))
                        name = at + strlen(NODE);
        }
        return name;
}

/* A start is about to follow: the child has no process, and may be anywhere. */
static void node_take(const struct bt_alter *alter, struct bt_hub_node *node)
{
        struct bt_child *child = alter->child;
        const struct bt_hub_node *from = child->seat.node;

        if (node == from || bt_child_reseat(child, node))
                return; /* a directory has room for all children of a hub */
        bt_event(child->hub, BT_EVENT_CHILD_FORWARDED, child, 0, "from %s to %s, by alter", from->name, node->name);
}

/* ---- the end of one ---- */

__attribute__((format(printf, 2, 3))) static void alter_failed(struct bt_alter *alter, const char *format, ...)
{
        struct bt_child *child = alter->child;
        char text[BT_EVENT_TEXT_BYTES];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        bt_hub_say(child->hub, "%s: alter: %s; it is started as specified", child->id, text);
        bt_event(child->hub, BT_EVENT_HOOK_FAILED, child, 0, "alter: %s", text);
}

static void alters_start(struct bt_hub *hub);

/* False, with a sentence; nothing of it counts then. @ret_node: where the child is to be started; NULL: where it is. */
static bool answer_usable(struct bt_alter *alter, struct bt_hub_node **ret_node, char *ret_why, size_t why_bytes)
{
        const char *name;
        int r;

        if (!answer_valid(alter->coming, alter->coming_bytes, ret_why, why_bytes))
                return false;
        name = node_named(alter->coming, alter->coming_bytes);
        if (name && alter->child->replicas) {
                (void)snprintf(ret_why, why_bytes, "an instance of a replicated child stays on its node");
                return false;
        }
        *ret_node = name ? bt_hub_node_find(alter->child->hub, name) : NULL;
        if (name && (!*ret_node || !bt_hub_node_takes(*ret_node))) {
                (void)snprintf(ret_why, why_bytes, "there is no node %.63s that takes children", name);
                return false;
        }
        r = meta_take(alter, alter->coming, alter->coming_bytes);
        if (r)
                (void)snprintf(ret_why, why_bytes, "%s", r > 0 ? "with its answer the child would have more than 32 keys in meta" : "out of memory");
        return !r;
}

/* What was answered counts from here on, or nothing does; and whoever waits goes on. */
static void alter_settle(struct bt_alter *alter, bool good)
{
        struct bt_child *child = alter->child;
        struct bt_hub_node *node = NULL;
        bool wanted = alter->wanted;
        char why[256];

        free(alter->text);
        free(alter->meta);
        alter->text = alter->meta = NULL;
        alter->text_bytes = 0;
        if (good && !answer_usable(alter, &node, why, sizeof(why)))
                alter_failed(alter, "%s", why);
        else if (good && alter->coming_bytes) {
                alter->text = BT_STEAL(alter->coming);
                alter->text_bytes = alter->coming_bytes;
                bt_event(child->hub, BT_EVENT_CHILD_ALTERED, child, 0, "%zu records", bt_alter_count(child));
        }
        free(alter->coming);
        alter->coming = NULL;
        alter->wanted = false;
        if (wanted)
                child->note[0] = '\0';
        if (!wanted || child->hub->stopping || child->current || child->migration)
                return;
        if (node)
                node_take(alter, node);
        bt_child_start_altered(child, alter->reason);
}

/* Reads what is there. */
static void alter_read(struct bt_alter *alter)
{
        ssize_t n = 1;

        while (n > 0 && alter->coming_bytes <= BT_ALTER_BYTES_MAX) {
                n = read(alter->errand.answer, alter->coming + alter->coming_bytes, BT_ALTER_BYTES_MAX + 1 - alter->coming_bytes);
                if (n > 0)
                        alter->coming_bytes += (size_t)n;
        }
        if (alter->coming_bytes > BT_ALTER_BYTES_MAX)
                bt_errand_kill(&alter->errand); /* nobody reads the rest */
}

static void alter_on_answer(struct bt_loop_watch *watch, uint32_t events)
{
        (void)events;
        alter_read(bt_container_of(watch, struct bt_alter, answer_watch));
}

static void alter_over(struct bt_errand *errand, const struct bt_proc_exit *how)
{
        struct bt_alter *alter = bt_container_of(errand, struct bt_alter, errand);
        struct bt_hub *hub = errand->hub;
        char text[96];
        bool good = false;

        bt_loop_forget(&alter->answer_watch);
        hub->altering--;
        if (!alter->child)
                return; /* bt_alter_free() */
        alter_read(alter);
        if (errand->timed_out)
                alter_failed(alter, "it took longer than hook_timeout (%" PRIu64 " ms) and was killed", hub->plan.plan->hook_timeout_ns / BT_NS_PER_MS);
        else if (alter->coming_bytes <= BT_ALTER_BYTES_MAX && (how->code != CLD_EXITED || how->status))
                alter_failed(alter, "%s", bt_proc_exit_text(how, text, sizeof(text)));
        else
                good = true;
        alter_settle(alter, good);
        alters_start(hub);
}

/* ---- the start of one ---- */

/* The child's specification, as variables. */
struct spec_text {
        const char *variables[16];
        size_t count;
        char room[2 * PATH_MAX + 2048];
        size_t used;
};

__attribute__((format(printf, 2, 3))) static void spec_put(struct spec_text *spec, const char *format, ...)
{
        char *at = spec->room + spec->used;
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(at, sizeof(spec->room) - spec->used, format, args);
        va_end(args);
        if (n < 0 || (size_t)n >= sizeof(spec->room) - spec->used)
                return;
        spec->used += (size_t)n + 1;
        spec->variables[spec->count++] = at;
}

static void spec_tell(struct spec_text *spec, const struct bt_alter *alter)
{
        static const char *const strategies[_BT_STRATEGY_N] = {"cold", "hot"};
        static const char *const restarts[_BT_RESTART_N] = {"permanent", "transient", "temporary"};
        static const char *const forms[_BATON_STATE_N] = {
                [BATON_STATE_NONE] = "none", [BATON_STATE_BLOB] = "blob", [BATON_STATE_ARENA] = "arena"};
        const struct bt_child *child = alter->child;
        const struct bt_plan_view *hub = &child->hub->plan;

        spec_put(spec, "BATON_HUB=%s", bt_plan_string(hub, hub->plan->hub));
        spec_put(spec, "BATON_CHILD=%s", child->id);
        spec_put(spec, "BATON_POOL=%s", child->pool);
        spec_put(spec, "BATON_REASON=%s", bt_child_reason_name(alter->reason));
        spec_put(spec, "BATON_INCARNATION=%" PRIu64, child->number_next);
        spec_put(spec, "BATON_RESTARTS=%" PRIu64, child->restarts);
        spec_put(spec, "BATON_EXEC=%s", child->binary->path);
        spec_put(spec, "BATON_CWD=%s", bt_plan_string(&child->plan->view, child->spec->cwd));
        spec_put(spec, "BATON_STRATEGY=%s", strategies[child->spec->strategy]);
        spec_put(spec, "BATON_HANDOVER=%s", child->spec->handover ? "true" : "false");
        spec_put(spec, "BATON_STATE=%s", forms[child->spec->state_form]);
        spec_put(spec, "BATON_RESTART=%s", restarts[child->spec->restart]);
        spec_put(spec, "BATON_NODE=%s", child->seat.node->name);
}

static void alter_begin(struct bt_alter *alter)
{
        const struct bt_child *child = alter->child;
        struct bt_hub *hub = child->hub;
        const struct bt_plan_view *plan = &child->plan->view;
        enum bt_spawn_step step = BT_SPAWN_STEP_NONE;
        struct spec_text spec = {.count = 0};
        char label[BATON_ID_BYTES_MAX + 1];
        struct bt_errand_start start = {.exec = bt_plan_string(plan, child->spec->alter), .argv = bt_plan_string(plan, child->spec->alter_argv),
                                        .argv_count = child->spec->alter_argv_count, .variables = spec.variables, .label = label,
                                        .timeout_ns = hub->plan.plan->hook_timeout_ns, .answers = true};
        int r = alter->coming ? 0 : -ENOMEM;

        spec_tell(&spec, alter);
        (void)snprintf(label, sizeof(label), "alter %.40s", child->id);
        if (!r)
                r = bt_errand_begin(&alter->errand, hub, &start, alter_over, &step);
        if (r) {
                alter_failed(alter, "%s was not run: %s: %s", start.exec, bt_spawn_step_name(step), strerrordesc_np(-r));
                alter_settle(alter, false);
                return;
        }
        hub->altering++;
        /* Not watched, it is read at its end: an answer of more than a page then waits for the deadline. */
        (void)bt_loop_watch_fd(hub->loop, &alter->answer_watch, alter->errand.answer, EPOLLIN, alter_on_answer);
}

static void alters_start(struct bt_hub *hub)
{
        if (in_program(hub) || hub->stopping)
                return;
        while (hub->altering < BT_ALTER_RUNNING && !bt_list_empty(&hub->alters)) {
                struct bt_alter *alter = bt_list_entry(hub->alters.next, struct bt_alter, node);

                bt_list_unlink(&alter->node);
                alter_begin(alter);
        }
}

/* False: there is none for this child, or no memory, which is said. */
static bool alter_queue(struct bt_child *child, enum baton_reason reason, bool wanted)
{
        struct bt_alter *alter = child->alter;

        if (!child->spec->alter && !in_program(child->hub))
                return false;
        if (!alter) {
                alter = child->alter = calloc(1, sizeof(*alter));
                if (!alter)
                        return false;
                alter->child = child;
                bt_list_init(&alter->node);
        }
        if (wanted || !alter->wanted)
                alter->reason = reason;
        alter->wanted |= wanted;
        if (alter->errand.under_way || !bt_list_empty(&alter->node))
                return true;
        alter->coming = malloc(BT_ALTER_BYTES_MAX + 1);
        alter->coming_bytes = 0;
        bt_list_push(&child->hub->alters, &alter->node);
        return true;
}

bool bt_alter_before(struct bt_child *child, enum baton_reason reason)
{
        if (!alter_queue(child, reason, true))
                return false;
        (void)snprintf(child->note, sizeof(child->note), "waits for its alter command");
        bt_child_publish(child);
        alters_start(child->hub);
        return true;
}

void bt_alter_adopted(struct bt_child *child)
{
        if (alter_queue(child, BATON_REASON_CRASH, false))
                alters_start(child->hub);
}

void bt_alter_free(struct bt_child *child)
{
        struct bt_alter *alter = BT_STEAL(child->alter);

        if (!alter)
                return;
        alter->child = NULL;
        bt_list_unlink(&alter->node);
        bt_errand_end(&alter->errand);
        free(alter->coming);
        free(alter->text);
        free(alter->meta);
        free(alter);
        alters_start(child->hub);
}

/* ---- the program around us ---- */

void bt_alter_ask_all(struct bt_hub *hub, bt_alter_ask_fn ask, void *ctx)
{
        while (!bt_list_empty(&hub->alters)) {
                struct bt_alter *alter = bt_list_entry(hub->alters.next, struct bt_alter, node);

                bt_list_unlink(&alter->node);
                if (alter->coming)
                        ask(ctx, alter);
                alter_settle(alter, alter->coming != NULL);
        }
}

const struct bt_child *bt_alter_child(const struct bt_alter *alter)
{
        return alter->child;
}

enum baton_reason bt_alter_reason(const struct bt_alter *alter)
{
        return alter->reason;
}

int bt_alter_say(struct bt_alter *alter, const char *record)
{
        size_t bytes = strlen(record) + 1;

        if (record_wrong(record))
                return -EINVAL;
        if (alter->coming_bytes + bytes > BT_ALTER_BYTES_MAX)
                return -ENOSPC;
        memcpy(alter->coming + alter->coming_bytes, record, bytes);
        alter->coming_bytes += bytes;
        return 0;
}
