/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub inside a program: see <baton/hub.h>.
 *
 *      calls ──► bt_planner ──► plan (memfd) ──► bt_hub_open()        what batond is given, made here
 *      calls ──► bt_request                                           what the control socket asks for, asked from here
 *      turn ──► hub ──► events, outcomes ──► callbacks after the turn
 *
 * Callbacks are not run from inside the hub: its objects are between two states then, and a callback may ask for anything. Events are read from the
 * stream's ring after each turn (a place in it, as any follower has), outcomes wait in a list.
 *
 * For a foreign loop there is an epoll descriptor over the ring and a timer: what the hub armed in a turn is submitted at the end of it, and the
 * timer is set to the nearest deadline, or to now when something is left to be told.
 */
#include "supervisor/embed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/alter.h"
#include "supervisor/events.h"
#include "supervisor/request.h"

#define KILL_WAIT_NS (10 * BT_NS_PER_S)

/* ---- what the hub asks for ---- */

int bt_embed_binary(struct bt_binary **ret_binary, const struct bt_hub *hub, uint32_t idx)
{
        if (!hub->embed || !hub->embed->functions[idx])
                return 1;
        return bt_binary_function(ret_binary, hub->embed->functions[idx], bt_plan_string(&hub->plan, hub->plan.children[idx].pool));
}

void bt_embed_say(struct bt_embed *embed, const char *sentence)
{
        char line[sizeof(embed->error) + 16];

        (void)snprintf(embed->error, sizeof(embed->error), "%s", sentence);
        if (embed->say) {
                embed->say(embed->ctx, sentence);
                return;
        }
        (void)snprintf(line, sizeof(line), "baton: %s\n", sentence);
        bt_log_say(line, strlen(line));
}

/* ---- open, close ---- */

void baton_hub_child_init(struct baton_hub_child *child, size_t bytes)
{
        struct bt_plan_child record;
        struct baton_hub_child defaults = {.size = bytes};

        bt_plan_child_init(&record);
        defaults.max_restarts = record.max_restarts;
        defaults.max_seconds_ns = record.max_seconds_ns;
        defaults.backoff_min_ns = record.backoff_min_ns;
        defaults.backoff_max_ns = record.backoff_max_ns;
        defaults.healthy_ns = record.healthy_ns;
        defaults.shutdown_ns = record.shutdown_ns;
        defaults.retention_ns = record.retention_ns;
        defaults.max_draining = record.max_draining;
        defaults.handover_data_wait_ns = record.handover_data_wait_ns;
        defaults.child_migration_timeout_ns = record.child_migration_timeout_ns;
        defaults.state_ttl_ns = record.state_ttl_ns;
        defaults.state_query_timeout_ns = record.state_query_timeout_ns;
        defaults.stored_ttl_ns = record.stored_ttl_ns;
        defaults.restore_attempts = record.restore_attempts;
        memcpy(child, &defaults, bytes < sizeof(defaults) ? bytes : sizeof(defaults));
}

static char *join(const char *dir, const char *name)
{
        char *path = NULL;

        return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static bool options_valid(const struct baton_hub_options *options)
{
        return options && options->size >= sizeof(*options) && options->name && *options->name && options->runtime_dir &&
               options->runtime_dir[0] == '/' && (!options->state_dir || options->state_dir[0] == '/') &&
               options->max_parallel <= BT_PLAN_CHILDREN_MAX;
}

static void functions_free(struct baton_hub *hub)
{
        bt_list_foreach_safe (it, &hub->functions) {
                struct bt_function *function = bt_list_entry(it, struct bt_function, node);

                bt_list_unlink(it);
                free(function);
        }
        free((void *)hub->embed.functions);
}

static void calls_free(struct bt_list *calls)
{
        bt_list_foreach_safe (it, calls) {
                struct bt_embed_call *call = bt_list_entry(it, struct bt_embed_call, node);

                bt_request_abandon(call->request);
                bt_list_unlink(&call->live.node);
                bt_list_unlink(it);
                free(call);
        }
}

static void handle_free(struct baton_hub *hub)
{
        calls_free(&hub->calls);
        calls_free(&hub->ended);
        if (hub->started)
                bt_hub_close(&hub->hub);
        functions_free(hub);
        bt_planner_deinit(&hub->planner);
        (void)bt_close(hub->epoll);
        (void)bt_close(hub->timer);
        free((char *)hub->options.name);
        free(hub->runtime_dir);
        free(hub->state_dir);
        free(hub->embed.state_dir);
        free((char *)hub->embed.place_ops.name);
        free(hub);
}

int baton_hub_open(struct baton_hub **ret_hub, const struct baton_hub_options *options)
{
        struct baton_hub *hub;
        int r;

        if (!options_valid(options))
                return -EINVAL;
        hub = calloc(1, sizeof(*hub));
        if (!hub)
                return -ENOMEM;
        hub->epoll = hub->timer = -1;
        hub->event_next = 1;
        bt_list_init(&hub->functions);
        bt_list_init(&hub->calls);
        bt_list_init(&hub->ended);
        bt_hub_init(&hub->hub);
        hub->options = *options;
        hub->options.name = strdup(options->name);
        hub->runtime_dir = join(options->runtime_dir, options->name);
        hub->state_dir = options->state_dir ? join(options->state_dir, options->name) : NULL;
        if (!hub->options.name || !hub->runtime_dir || (options->state_dir && !hub->state_dir)) {
                handle_free(hub);
                return -ENOMEM;
        }
        r = bt_planner_add_hub_hooks(&hub->planner, options->on, options->on_count, hub->error, sizeof(hub->error));
        if (r) {
                handle_free(hub);
                return r;
        }
        hub->embed.alters = options->alter != NULL;
        hub->embed.signals = options->signals;
        hub->embed.say = options->say;
        hub->embed.ctx = options->ctx;
        hub->hub.embed = &hub->embed;
        *ret_hub = hub;
        return 0;
}

/* Its loop does not turn any more: nothing of it may stay. */
static void end_by_force(struct bt_hub *hub)
{
        bt_hub_foreach_child (child, hub) {
                bt_list_foreach_safe (it, &child->incs) {
                        struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                        if (!inc->reaped)
                                (void)bt_proc_kill_wait(inc->pidfd, KILL_WAIT_NS);
                        (void)bt_inc_free(inc);
                }
        }
}

static void tell_all(struct baton_hub *hub);

struct baton_hub *baton_hub_close(struct baton_hub *hub)
{
        if (!hub)
                return NULL;
        if (hub->started && !hub->hub.over)
                bt_hub_stop(&hub->hub);
        while (hub->started && !hub->failed && !hub->hub.over) {
                if (bt_loop_turn(hub->hub.loop))
                        hub->failed = true;
                tell_all(hub);
        }
        if (hub->started && !hub->hub.over)
                end_by_force(&hub->hub);
        tell_all(hub);
        handle_free(hub);
        return NULL;
}

const char *baton_hub_error(const struct baton_hub *hub)
{
        return hub->error;
}

/* ---- adding ---- */

int bt_embed_add_result(struct baton_hub *hub, int r, const char *what, const char *name)
{
        if (r == -EEXIST || r == -ENOSPC)
                (void)snprintf(hub->error, sizeof(hub->error), "%s '%s': %s", what, name,
                               r == -EEXIST ? "there is one of that name already" : "more than a hub can have");
        return r;
}

int baton_hub_add_socket(struct baton_hub *hub, const struct baton_hub_socket *socket)
{
        if (hub->started || hub->failed)
                return -EBUSY;
        if (!socket || socket->size < sizeof(*socket))
                return -EINVAL;
        return bt_embed_add_result(hub, bt_planner_add_socket(&hub->planner, socket, hub->error, sizeof(hub->error)), "socket", socket->name);
}

static struct bt_function *function_new(struct baton_hub *hub, const struct baton_child_ops *ops, int (*main)(struct baton_child *, void *),
                                        void *ctx)
{
        struct bt_function *function = calloc(1, sizeof(*function));

        if (!function)
                return NULL;
        function->ops = ops;
        function->main = main;
        function->ctx = ctx;
        bt_list_push(&hub->functions, &function->node);
        return function;
}

int baton_hub_add_child(struct baton_hub *hub, const struct baton_hub_child *child)
{
        uint32_t first = hub->planner.child_count;
        struct bt_function *function = NULL;
        const struct bt_function **functions;
        int r;

        if (hub->started || hub->failed)
                return -EBUSY;
        if (!child || child->size < sizeof(*child))
                return -EINVAL;
        r = bt_planner_add_child(&hub->planner, child, hub->error, sizeof(hub->error));
        if (r)
                return bt_embed_add_result(hub, r, "child", child->id);
        /* An array of pointers, as it should be. NOLINTNEXTLINE(bugprone-sizeof-expression) */
        functions = realloc((void *)hub->embed.functions, hub->planner.child_count * sizeof(*functions));
        if (functions)
                hub->embed.functions = functions;
        if (functions && !child->exec)
                function = function_new(hub, child->ops, child->main, child->ctx);
        if (!functions || (!child->exec && !function)) {
                hub->planner.child_count = first;
                return -ENOMEM;
        }
        for (uint32_t i = first; i < hub->planner.child_count; i++)
                functions[i] = function;
        return 0;
}

/* ---- start ---- */

static int resolve_state_dir(struct baton_hub *hub)
{
        int r = hub->state_dir ? bt_hub_make_dir(hub->state_dir) : 0;

        if (r) {
                (void)snprintf(hub->embed.error, sizeof(hub->embed.error), "cannot use state directory %s: %s", hub->state_dir, strerrordesc_np(-r));
                return r;
        }
        if (!hub->state_dir)
                return 0;
        hub->embed.state_dir = realpath(hub->state_dir, NULL);
        return hub->embed.state_dir ? 0 : -errno;
}

/* What was armed is given to the kernel, and whoever polls wakes up for the next deadline. */
int bt_embed_settle(struct baton_hub *hub)
{
        struct itimerspec spec = {0};
        uint64_t at;
        int r = bt_loop_submit(hub->hub.loop);

        if (r || hub->epoll < 0)
                return r;
        at = hub->hub.over || !bt_list_empty(&hub->ended) || !bt_list_empty(&hub->hub.alters) || hub->hub.events->next != hub->event_next ? 0 : bt_loop_deadline(hub->hub.loop);
        if (at != BT_NS_NEVER) {
                spec.it_value.tv_sec = (time_t)(at / BT_NS_PER_S);
                spec.it_value.tv_nsec = (long)(at % BT_NS_PER_S) + !at; /* 0 would disarm */
        }
        return timerfd_settime(hub->timer, TFD_TIMER_ABSTIME, &spec, NULL) < 0 ? -errno : 0;
}

static int open_fds(struct baton_hub *hub)
{
        struct epoll_event in = {.events = EPOLLIN};

        hub->epoll = epoll_create1(EPOLL_CLOEXEC);
        hub->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (hub->epoll < 0 || hub->timer < 0 || epoll_ctl(hub->epoll, EPOLL_CTL_ADD, hub->timer, &in) < 0 ||
            epoll_ctl(hub->epoll, EPOLL_CTL_ADD, bt_loop_fd(hub->hub.loop), &in) < 0)
                return -errno;
        return 0;
}

static int start(struct baton_hub *hub, bool polled)
{
        BT_CLEANUP(bt_closep) int plan = -1;
        int r;

        if (hub->started || hub->failed)
                return -EALREADY;
        hub->embed.error[0] = '\0';
        hub->embed.polled = polled;
        r = resolve_state_dir(hub);
        if (!r)
                r = bt_planner_seal(&hub->planner, &hub->options, hub->runtime_dir, hub->state_dir ? hub->state_dir : hub->runtime_dir, &plan);
        if (!r)
                r = bt_hub_open(&hub->hub, plan);
        hub->started = r == 0;
        if (!r && polled)
                r = open_fds(hub);
        if (!r)
                r = bt_embed_settle(hub);
        if (r) {
                hub->failed = true;
                (void)snprintf(hub->error, sizeof(hub->error), "%s", *hub->embed.error ? hub->embed.error : strerrordesc_np(-r));
        }
        return r;
}

int baton_hub_start(struct baton_hub *hub)
{
        return start(hub, true);
}

/* ---- telling ---- */

static void tell_events(struct baton_hub *hub)
{
        const struct bt_events *events = hub->hub.events;

        while (events && hub->event_next < events->next) {
                const struct bt_event *kept = bt_events_at(events, hub->event_next++);
                struct bt_event event;
                struct baton_hub_event told = {.size = sizeof(told)};

                if (!kept || !hub->options.event)
                        continue;
                event = *kept; /* what the callback does may raise more, and the ring forgets */
                told.sequence = event.sequence;
                told.wall_ns = event.wall_ns;
                told.mono_ns = event.mono_ns;
                told.incarnation = event.incarnation;
                told.name = bt_event_row(event.kind)->name;
                told.child = event.child;
                told.text = event.text;
                hub->options.event(hub->options.ctx, &told);
        }
}

static void ask_alter(void *ctx, struct bt_alter *alter)
{
        const struct baton_hub *hub = ctx;
        const struct bt_child *child = bt_alter_child(alter);
        const struct baton_hub_start begins = {
                .size = sizeof(begins), .child = child->id, .reason = bt_alter_reason(alter), .incarnation = child->number_next};

        hub->options.alter(hub->options.ctx, &begins, (struct baton_hub_alter *)alter);
}

int baton_hub_alter(struct baton_hub_alter *alter, const char *record)
{
        if (!alter || !record)
                return -EINVAL;
        if (bt_alter_child((struct bt_alter *)alter)->binary->function && strncmp(record, "meta.", 5) != 0 && strncmp(record, "node=", 5) != 0)
                return -ENOTSUP;
        return bt_alter_say((struct bt_alter *)alter, record);
}

static void tell_all(struct baton_hub *hub)
{
        tell_events(hub);
        if (hub->options.alter && hub->started)
                bt_alter_ask_all(&hub->hub, ask_alter, hub);
        while (!bt_list_empty(&hub->ended)) {
                struct bt_embed_call *call = bt_list_entry(hub->ended.next, struct bt_embed_call, node);

                bt_list_unlink(&call->node);
                if (call->done)
                        call->done(call->ctx, &call->outcome);
                free(call);
                tell_events(hub);
        }
}

/* ---- turning ---- */

static int fail(struct baton_hub *hub, int r)
{
        hub->failed = true;
        (void)snprintf(hub->error, sizeof(hub->error), "the event loop failed: %s", strerrordesc_np(-r));
        return r;
}

int baton_hub_run(struct baton_hub *hub)
{
        int r = hub->started ? 0 : start(hub, false);

        if (!r)
                tell_all(hub); /* before the first turn: children may wait for alter() */
        while (!r && !hub->hub.over) {
                r = bt_loop_turn(hub->hub.loop);
                tell_all(hub);
        }
        if (r && hub->started)
                return fail(hub, r);
        if (r || !hub->hub.exit_status)
                return r;
        return hub->hub.states_lost ? -EIO : -ECANCELED;
}

int baton_hub_fd(const struct baton_hub *hub)
{
        return hub->started && hub->epoll >= 0 ? hub->epoll : -EINVAL;
}

int baton_hub_dispatch(struct baton_hub *hub)
{
        uint64_t ignored;
        int r;

        if (!hub->started || hub->failed)
                return -EINVAL;
        if (hub->timer >= 0)
                (void)!read(hub->timer, &ignored, sizeof(ignored));
        r = hub->hub.over ? 0 : bt_loop_turn_now(hub->hub.loop);
        tell_all(hub);
        if (!r)
                r = bt_embed_settle(hub);
        if (r)
                return fail(hub, r);
        return hub->hub.over ? BATON_HUB_STOPPED : 0;
}

int baton_hub_stop(struct baton_hub *hub)
{
        if (!hub->started || hub->failed)
                return -EINVAL;
        bt_hub_stop(&hub->hub);
        return bt_embed_settle(hub);
}

/* ---- requests ---- */

struct bt_embed_call *bt_embed_call_new(struct baton_hub *hub, const char *target, baton_hub_done_fn done, void *ctx)
{
        struct bt_embed_call *call = calloc(1, sizeof(*call));

        if (!call)
                return NULL;
        call->hub = hub;
        call->done = done;
        call->ctx = ctx;
        (void)snprintf(call->target, sizeof(call->target), "%s", target);
        bt_list_init(&call->live.node);
        bt_list_init(&call->node);
        bt_list_push(&hub->calls, &call->node);
        return call;
}

void bt_embed_call_free(struct bt_embed_call *call)
{
        bt_list_unlink(&call->live.node);
        bt_rolling_abandon(&call->rolling);
        bt_list_unlink(&call->node);
        free(call);
}

void bt_embed_call_over(struct bt_embed_call *call, int result, uint32_t ok, uint32_t failed, const char *text)
{
        (void)snprintf(call->text, sizeof(call->text), "%s", text);
        call->outcome = (struct baton_hub_outcome){
                .size = sizeof(call->outcome),
                .result = result,
                .ok = ok,
                .failed = failed,
                .target = call->target,
                .text = call->text,
        };
        bt_list_unlink(&call->node);
        bt_list_push(&call->hub->ended, &call->node);
}

/* ---- migrations ---- */

static void call_on_event(void *ctx, const struct bt_child *child, const char *phase, enum bt_ctl_outcome outcome, uint64_t incarnation,
                          bool over, const char *text)
{
        (void)ctx, (void)child, (void)phase, (void)outcome, (void)incarnation, (void)over, (void)text; /* they are in the stream */
}

static void call_on_over(void *ctx, const struct bt_request *request)
{
        struct bt_embed_call *call = ctx;

        call->request = NULL;
        bt_embed_call_over(call, request->outcome == BT_CTL_OK ? 0 : request->outcome == BT_CTL_TIMED_OUT ? -ETIMEDOUT : -ECANCELED, request->ok,
                     request->failed, request->text);
}

static int migrate(struct baton_hub *hub, const char *target, struct bt_binary *binary, enum baton_hub_strategy strategy,
                   baton_hub_done_fn done, void *ctx)
{
        static const struct bt_request_owner owner = {call_on_event, call_on_over};
        struct bt_embed_call *call = bt_embed_call_new(hub, target, done, ctx);
        const char *why = "";
        enum bt_ctl_outcome outcome;

        if (!call)
                return -ENOMEM;
        if (binary)
                binary->upgrade = ++hub->hub.upgrades;
        outcome = bt_request_begin(&hub->hub, target, binary, strategy == BATON_HUB_AS_SPECIFIED ? BT_CTL_STRATEGY_SPEC : (uint32_t)strategy,
                                   &owner, call, &call->request, &why);
        if (outcome != BT_CTL_OK) {
                (void)snprintf(hub->error, sizeof(hub->error), "%s: %s", target, why);
                bt_embed_call_free(call);
                return outcome == BT_CTL_NO_SUCH ? -ENOENT : -ENOMEM;
        }
        return bt_embed_settle(hub);
}

static bool may_migrate(const struct baton_hub *hub, const char *target, enum baton_hub_strategy strategy)
{
        return hub->started && !hub->failed && !hub->hub.over && target && (unsigned)strategy < _BATON_HUB_STRATEGY_N;
}

int baton_hub_swap(struct baton_hub *hub, const char *target, enum baton_hub_strategy strategy, baton_hub_done_fn done, void *ctx)
{
        if (!may_migrate(hub, target, strategy))
                return -EINVAL;
        return migrate(hub, target, NULL, strategy, done, ctx);
}

int bt_embed_open_binary(struct bt_binary **ret_binary, struct baton_hub *hub, const char *exec)
{
        int r = bt_binary_open(ret_binary, exec);

        if (r)
                (void)snprintf(hub->error, sizeof(hub->error), "%s: %s", exec, strerrordesc_np(-r));
        return r;
}

int bt_embed_open_function(struct bt_binary **ret_binary, struct baton_hub *hub, const char *target, const struct baton_child_ops *ops,
                           int (*main)(struct baton_child *child, void *ctx), void *ctx)
{
        struct bt_function *function = function_new(hub, ops, main, ctx);

        return function ? bt_binary_function(ret_binary, function, target) : -ENOMEM;
}

int baton_hub_upgrade(struct baton_hub *hub, const char *target, const char *exec, enum baton_hub_strategy strategy,
                      baton_hub_done_fn done, void *ctx)
{
        struct bt_binary *binary = NULL;
        int r;

        if (!may_migrate(hub, target, strategy) || !exec || exec[0] != '/')
                return -EINVAL;
        r = bt_embed_open_binary(&binary, hub, exec);
        if (r)
                return r;
        r = migrate(hub, target, binary, strategy, done, ctx);
        (void)bt_binary_unref(binary);
        return r;
}

int baton_hub_upgrade_function(struct baton_hub *hub, const char *target, const struct baton_child_ops *ops,
                               int (*main)(struct baton_child *child, void *ctx), void *main_ctx, enum baton_hub_strategy strategy,
                               baton_hub_done_fn done, void *ctx)
{
        struct bt_binary *binary = NULL;
        int r;

        if (!may_migrate(hub, target, strategy) || !ops)
                return -EINVAL;
        r = bt_embed_open_function(&binary, hub, target, ops, main, main_ctx);
        if (r)
                return r;
        r = migrate(hub, target, binary, strategy, done, ctx);
        (void)bt_binary_unref(binary);
        return r;
}

/* ---- what is ---- */

static uint32_t draining(const struct bt_child *child)
{
        uint32_t count = 0;

        /* The analyzer takes "not the current one" for "may be NULL". NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        bt_list_foreach (it, &child->incs) {
                const struct bt_inc *inc = bt_list_entry(it, struct bt_inc, node);

                count += inc != child->current && !inc->held && !(child->migration && child->migration->succ == inc);
        }
        return count;
}

int baton_hub_look(const struct baton_hub *hub, const char *id, struct baton_hub_look *ret_look)
{
        struct baton_hub_look look = {0};
        const struct bt_child *child;

        if (!hub->started || !id || !ret_look || ret_look->size < sizeof(look))
                return -EINVAL;
        child = bt_hub_child_find(&hub->hub, id);
        if (!child)
                return -ENOENT;
        look.size = ret_look->size;
        look.phase = bt_phase_name(child->phase);
        look.pid = child->current ? child->current->pid : 0;
        look.incarnation = child->current ? child->current->number : 0;
        look.restarts = child->restarts;
        look.swaps = child->swaps;
        look.rollbacks = child->rollbacks;
        look.pause_ns = child->pause_ns;
        look.draining = draining(child);
        look.note = child->note;
        memcpy(ret_look, &look, sizeof(look));
        return 0;
}
