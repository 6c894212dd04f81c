/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new binary is started for one answer, with the environment its child would have and nothing else: no link, no sockets, outputs to nowhere.
 *
 *      spawned ──► its exit is seen ──► the pipe is read ──► done()
 *         └─ deadline ──► SIGKILL ──► its exit is seen ──► done(no answer)
 *
 * The pipe is read once, after the exit: the answer is one write of less than PIPE_BUF bytes, so it is in the pipe as a whole or not at all. The process
 * is in the registry as one that nobody adopts, so that the next hub ends it when this one is killed meanwhile.
 */
#include "supervisor/describe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/alter.h"
#include "supervisor/hub.h"

#define ANSWER_FD 3
#define END_WAIT_NS (500 * BT_NS_PER_MS) /* a process that was killed, and holds nothing that could keep it */

bool bt_describe_possible(const struct bt_binary *binary)
{
        return binary->fd >= 0 && !binary->script;
}

static void describe_close(struct bt_describe *d)
{
        bt_loop_forget(&d->exit_watch);
        bt_loop_timer_disarm(&d->deadline);
        bt_registry_remove(d->registry, d->entry);
        d->entry = NULL;
        d->pidfd = bt_close(d->pidfd);
        d->fd = bt_close(d->fd);
        d->under_way = false;
}

static void describe_on_exit(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_describe *d = bt_container_of(watch, struct bt_describe, exit_watch);
        struct bt_description answer;
        struct bt_proc_exit how;
        char text[96] = "it did not answer in time";
        bool answered;

        (void)events;
        if (bt_proc_reap(d->pidfd, &how) == -EAGAIN)
                return;
        answered = read(d->fd, &answer, sizeof(answer)) == (ssize_t)sizeof(answer) && answer.magic == BT_MAGIC_DESCRIPTION;
        if (!answered && !d->too_late)
                (void)bt_proc_exit_text(&how, text, sizeof(text));
        answer.schema[sizeof(answer.schema) - 1] = '\0';
        describe_close(d);
        d->done(d, answered ? &answer : NULL, text);
}

static void describe_on_deadline(struct bt_loop_timer *timer)
{
        struct bt_describe *d = bt_container_of(timer, struct bt_describe, deadline);

        d->too_late = true;
        (void)bt_proc_signal(d->pidfd, SIGKILL);
}

void bt_describe_end(struct bt_describe *d)
{
        struct bt_proc_exit ignored;

        if (!d->under_way)
                return;
        (void)bt_proc_kill_wait(d->pidfd, END_WAIT_NS);
        (void)bt_proc_reap(d->pidfd, &ignored);
        describe_close(d);
}

/* A list of the plan's strings as a vector, with room for @more. */
static char **vector_new(const struct bt_plan_view *plan, uint32_t first, uint32_t count, size_t more)
{
        char **vector = calloc((size_t)count + more + 1, sizeof(*vector));
        const char *at = bt_plan_string(plan, first);

        for (uint32_t i = 0; vector && i < count; i++, at = bt_plan_string_next(at))
                vector[i] = (char *)at; /* exec's signature lacks a const */
        return vector;
}

static void describe_register(struct bt_describe *d, const struct bt_child *child, const struct bt_binary *binary, struct bt_spawn *spawn)
{
        struct bt_registry_entry *entry = bt_registry_add(&child->hub->registry, binary->path, "");

        if (!entry)
                return;
        entry->link_epoch = 0;
        (void)snprintf(entry->id, sizeof(entry->id), "%s", child->id);
        spawn->pid_out = &entry->pid;
        d->registry = &child->hub->registry;
        d->entry = entry;
        atomic_store_explicit(&entry->live, 1, memory_order_release);
}

static int describe_spawn(struct bt_describe *d, const struct bt_child *child, const struct bt_binary *binary, int write_end)
{
        const struct bt_plan_view *plan = &child->plan->view;
        const struct bt_plan_child *spec = child->spec;
        enum bt_spawn_step step = BT_SPAWN_STEP_NONE;
        struct bt_spawn spawn = BT_SPAWN_NULL;
        size_t altered = bt_alter_count(child);
        char **argv = vector_new(plan, spec->argv, spec->argv_count, altered);
        char **envp = vector_new(plan, spec->env, spec->env_count, altered + 1);
        const char *cwd = *bt_plan_string(plan, spec->cwd) ? bt_plan_string(plan, spec->cwd) : NULL;
        char variable[40];
        int r = argv && envp ? 0 : -ENOMEM;

        if (!r) {
                (void)snprintf(variable, sizeof(variable), BT_DESCRIBE_VARIABLE "=%d", ANSWER_FD);
                envp[bt_alter_apply(child, argv, spec->argv_count, envp, spec->env_count, &cwd)] = variable;
                for (int to = 0; to < ANSWER_FD; to++)
                        (void)bt_spawn_move(&spawn, child->hub->null_fd, to);
                (void)bt_spawn_move(&spawn, write_end, ANSWER_FD);
                spawn.exec_fd = binary->fd;
                spawn.exec_path = binary->path;
                spawn.argv = argv;
                spawn.envp = envp;
                spawn.cwd = cwd;
                spawn.new_session = 1;
                spawn.nofile = child->hub->nofile;
                describe_register(d, child, binary, &spawn);
                r = bt_spawn(&spawn, &d->pid, &d->pidfd, &step);
                if (!r && d->entry)
                        d->entry->started_ticks = bt_proc_started(d->pid);
        }
        free(argv);
        free(envp);
        return r;
}

int bt_describe_begin(struct bt_describe *d, struct bt_child *child, const struct bt_binary *binary, bt_describe_fn done)
{
        struct bt_loop *loop = child->hub->loop;
        uint64_t limit = child->spec->child_migration_timeout_ns < BT_DESCRIBE_NS ? child->spec->child_migration_timeout_ns : BT_DESCRIBE_NS;
        int ends[2], r;

        *d = (struct bt_describe){.done = done, .pidfd = -1, .fd = -1};
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        d->fd = ends[0];
        r = bt_fd_nonblock(d->fd);
        if (!r)
                r = describe_spawn(d, child, binary, ends[1]);
        (void)bt_close(ends[1]);
        if (!r) {
                d->under_way = true;
                r = bt_loop_watch_fd(loop, &d->exit_watch, d->pidfd, EPOLLIN, describe_on_exit);
        }
        if (!r)
                r = bt_loop_timer_arm(loop, &d->deadline, bt_ns_add(bt_now_ns(), limit), describe_on_deadline);
        if (r) {
                bt_describe_end(d);
                describe_close(d);
        }
        return r;
}

bool bt_describe_reads(const struct bt_child *child, const struct bt_description *answer, char *ret_why, size_t why_bytes)
{
        const struct bt_state_meta meta = child->holding->baton->meta;
        char schema[sizeof(meta.schema)];

        memcpy(schema, meta.schema, sizeof(schema));
        schema[sizeof(schema) - 1] = '\0';
        if (answer->layout != BT_LAYOUT_VERSION || answer->abi != BT_ABI_THIS) {
                (void)snprintf(ret_why, why_bytes, "it was built with a library of layout %u, this hub has layout %u", answer->layout, BT_LAYOUT_VERSION);
                return false;
        }
        if (strcmp(schema, answer->schema) == 0 &&
            bt_versions_meet(meta.version, meta.version_writable, answer->version_oldest, answer->version))
                return true;
        bt_versions_text(ret_why, why_bytes, schema, meta.version, meta.version_writable, answer->schema, answer->version_oldest, answer->version);
        return false;
}
