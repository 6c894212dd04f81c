/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. The hub's side of a zygote:
 *
 *      (none) ── a start that could use it ──► WARMING ── READY ──► WARM ──► asked, answered, asked, ..
 *                                                │                    │
 *              took too long, ended, ────────────┴──── killed, stuck ─┴──► DYING ── socket at its end ──► DOWN ── back-off over,
 *              REFUSED: never again                                                                        another start ──► WARMING
 *
 * A zygote runs its program's code, so nothing waits for it: a request is sent or not, the answer is an event, and silence has a deadline.
 *
 * DYING: the zygote is dead, but a child that it forked a moment ago may not have said hello. Each holds the socket until it has, so the end of the socket is the
 * proof that no more will come; those that were not heard of by then are executed.
 */
#include "supervisor/zygote.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/scm.h"
#include "shm/zygote.h"
#include "supervisor/hub.h"

#define ANSWER_WAIT_NS (2 * BT_NS_PER_S)
#define BACKOFF_MIN_NS (100 * BT_NS_PER_MS)
#define BACKOFF_MAX_NS (30 * BT_NS_PER_S)
#define LINGER_NS      BT_NS_PER_S
#define END_WAIT_NS    (5 * BT_NS_PER_S)
#define ZYGOTES_MAX    256 /* kinds of starts with one; others are executed */

/* The numbers that a process may have for what is its own: from its link on. The socket comes behind them. */
#define OWN_FDS (1 + _BT_LINK_FD_N + _BT_LINK_MAIL_N)
static_assert(2 + OWN_FDS <= BT_ZYGOTE_FDS_MAX, "a request has room for all");

enum state {
        WARMING,
        WARM,
        DYING,
        DOWN,
        REFUSED,
};

struct bt_zygote {
        struct bt_list node; /* in hub->zygotes */
        struct bt_hub *hub;
        struct bt_binary *binary;
        char *kind; /* what makes starts alike; @kind_bytes */
        size_t kind_bytes;
        enum state state;
        pid_t pid;
        int pidfd;
        int sock;
        struct bt_loop_watch exit_watch;
        struct bt_loop_watch sock_watch;
        struct bt_loop_timer timer;
        struct bt_list asked;  /* incarnations without an answer */
        struct bt_list failed; /* whose fork did not work: to be executed by the timer */
        uint32_t users;
        uint64_t warm_within_ns;
        uint64_t backoff_ns;
        uint64_t not_before_ns; /* DOWN */
        struct bt_log log;
        char label[BATON_ID_BYTES_MAX + 16];
};

static void zygote_on_timer(struct bt_loop_timer *timer);

static void arm(struct bt_zygote *z, uint64_t in_ns)
{
        (void)bt_loop_timer_arm(z->hub->loop, &z->timer, bt_ns_add(bt_now_ns(), in_ns),
                                zygote_on_timer);
}

static void arm_for_state(struct bt_zygote *z)
{
        if (!bt_list_empty(&z->failed))
                arm(z, 0);
        else if (z->state == WARMING)
                arm(z, z->warm_within_ns);
        else if (!bt_list_empty(&z->asked))
                arm(z, ANSWER_WAIT_NS);
        else if (!z->users)
                arm(z, LINGER_NS);
        else
                bt_loop_timer_disarm(&z->timer);
}

/* ---- the end of one ---- */

static void close_process(struct bt_zygote *z)
{
        bt_loop_forget(&z->exit_watch);
        bt_loop_forget(&z->sock_watch);
        z->pidfd = bt_close(z->pidfd);
        z->sock = bt_close(z->sock);
        bt_log_deinit(&z->log);
        z->log.fd = -1;
}

/*
 * The zygote, and what it forked that has not said hello: a child leaves its process group after that. The zygote is not reaped before, so that its pid, which is
 * the group's number, is nobody else's.
 */
static void end_group(struct bt_zygote *z)
{
        siginfo_t info;

        if (z->pidfd < 0)
                return;
        (void)kill(-z->pid, SIGKILL);
        while (waitid(P_PGID, (id_t)z->pid, &info, WEXITED) == 0 || errno == EINTR)
                continue;
}

static void zygote_free(struct bt_zygote *z)
{
        bt_assert(bt_list_empty(&z->asked) && bt_list_empty(&z->failed) && !z->users);
        end_group(z);
        bt_loop_timer_disarm(&z->timer);
        close_process(z);
        bt_list_unlink(&z->node);
        (void)bt_binary_unref(z->binary);
        free(z->kind);
        free(z);
}

void bt_zygotes_end(struct bt_hub *hub)
{
        bt_list_foreach_safe (it, &hub->zygotes)
                zygote_free(bt_list_entry(it, struct bt_zygote, node));
}

void bt_zygotes_end_used(struct bt_hub *hub)
{
        bt_hub_foreach_child (child, hub)
                bt_list_foreach (it, &child->incs)
                        bt_zygote_leave(bt_list_entry(it, struct bt_inc, node));
        bt_zygotes_end(hub);
}

/* Each may end its child's only process, and with that somebody else's: the lists are read anew each time. */
static void execute_all(struct bt_list *list)
{
        while (!bt_list_empty(list)) {
                struct bt_inc *inc = bt_list_entry(list->next, struct bt_inc, asked);

                bt_list_unlink(&inc->asked);
                bt_inc_not_forked(inc);
        }
}

static void zygote_down(struct bt_zygote *z)
{
        end_group(z);
        close_process(z);
        z->state = z->state == REFUSED ? REFUSED : DOWN;
        z->not_before_ns = bt_ns_add(bt_now_ns(), z->backoff_ns);
        z->backoff_ns = z->backoff_ns * 2 < BACKOFF_MAX_NS ? z->backoff_ns * 2 : BACKOFF_MAX_NS;
        z->users++; /* it stays while its children are started */
        execute_all(&z->asked);
        execute_all(&z->failed);
        z->users--;
        arm_for_state(z);
}

/* Its process has ended, and is not reaped yet. */
static void zygote_ended(struct bt_zygote *z, const struct bt_proc_exit *how)
{
        char text[96];

        bt_log_drain(&z->log);
        if (z->state != REFUSED && z->users)
                bt_hub_say(z->hub, "%s: %s: its children are executed meanwhile", z->label,
                           bt_proc_exit_text(how, text, sizeof(text)));
        bt_loop_forget(&z->exit_watch);
        if (z->state == REFUSED) {
                zygote_down(z);
                return;
        }
        z->state = DYING;
        arm(z, ANSWER_WAIT_NS);
        bt_zygote_listen(z);
}

static void zygote_on_exit(struct bt_loop_watch *watch, uint32_t events)
{
        struct bt_zygote *z = bt_container_of(watch, struct bt_zygote, exit_watch);
        struct bt_proc_exit how;
        siginfo_t info = {0};

        (void)events;
        if (waitid(P_PIDFD, (id_t)z->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
                return; /* not ended after all */
        how = (struct bt_proc_exit){.code = info.si_code, .status = info.si_status};
        zygote_ended(z, &how);
}

static void zygote_kill(struct bt_zygote *z, const char *why)
{
        if (z->pidfd < 0)
                return;
        bt_hub_say(z->hub, "%s: %s: it is ended, and its children are executed", z->label, why);
        (void)bt_proc_signal(z->pidfd, SIGKILL);
}

static void zygote_on_timer(struct bt_loop_timer *timer)
{
        struct bt_zygote *z = bt_container_of(timer, struct bt_zygote, timer);

        if (!bt_list_empty(&z->failed)) {
                z->users++;
                execute_all(&z->failed);
                z->users--;
                arm_for_state(z);
        } else if (z->state == WARMING && z->users) {
                zygote_kill(z, "it did not call baton_child_zygote() in time");
        } else if (z->state == DYING) {
                zygote_down(
                        z); /* somebody holds the socket who says nothing: it ends when it tries to */
        } else if (!bt_list_empty(&z->asked)) {
                zygote_kill(z, "it did not answer");
                arm(z, ANSWER_WAIT_NS);
        } else if (!z->users && z->pidfd >= 0 && z->state != DYING) {
                (void)bt_proc_signal(
                        z->pidfd,
                        SIGKILL); /* and the rest when its end is seen: that can take long when it has much memory */
        } else if (!z->users) {
                zygote_free(z);
        }
}

/* ---- what it says ---- */

static struct bt_inc *asked_for(const struct bt_zygote *z, uint64_t token)
{
        bt_list_foreach (it, &z->asked) {
                struct bt_inc *inc = bt_list_entry(it, struct bt_inc, asked);

                if (inc->token == token)
                        return inc;
        }
        return NULL;
}

/* The pid is the sender's; that the sender is a child of ours, which nobody else can reap, is asked before the pid is used for anything. */
static void said_forked(struct bt_zygote *z, uint64_t token, pid_t pid)
{
        struct bt_inc *inc = asked_for(z, token);
        int pidfd = pid > 0 && pid != z->pid ? bt_proc_open(pid) : -ESRCH;
        siginfo_t info;

        if (pidfd < 0 || waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
                (void)bt_close(pidfd);
                zygote_kill(z, "it sent the hello of a process that is none of its children");
        } else if (!inc) {
                struct bt_proc_exit ignored;

                (void)bt_proc_kill_wait(pidfd, END_WAIT_NS); /* nobody waits for it any more */
                (void)bt_proc_reap(pidfd, &ignored);
                (void)bt_close(pidfd);
        } else {
                bt_list_unlink(&inc->asked);
                z->backoff_ns = BACKOFF_MIN_NS;
                bt_inc_forked(inc, pid, pidfd);
        }
}

static void said(struct bt_zygote *z, const struct bt_zygote_say *say, pid_t pid)
{
        struct bt_inc *inc;

        switch (say->what) {
        case BT_ZYGOTE_READY:
                if (z->state != WARMING)
                        break;
                z->state = WARM;
                bt_hub_say(z->hub, "%s: warm", z->label);
                break;
        case BT_ZYGOTE_REFUSED:
                z->state = REFUSED;
                bt_hub_say(z->hub, "%s: %.*s: its children are executed", z->label,
                           (int)strnlen(say->text, sizeof(say->text)), say->text);
                break;
        case BT_ZYGOTE_FORKED:
                said_forked(z, say->token, pid);
                break;
        case BT_ZYGOTE_FAILED:
                inc = asked_for(z, say->token);
                if (!inc)
                        break;
                bt_list_unlink(&inc->asked);
                bt_list_push(&z->failed, &inc->asked);
                bt_child_note(inc->child, "a fork of its zygote failed: %s",
                              strerrordesc_np((int)(say->error & 0xfff)));
                break;
        default:
                zygote_kill(z, "it broke the protocol");
                break;
        }
}

void bt_zygote_listen(struct bt_zygote *z)
{
        struct bt_zygote_say word;
        pid_t pid = 0;
        ssize_t n = -EAGAIN;
        bool heard = false;

        while (z->sock >= 0 && (n = bt_scm_recv_from(z->sock, &word, sizeof(word), &pid)) > 0) {
                heard = true;
                if (n != (ssize_t)sizeof(word) || word.magic != BT_ZYGOTE_MAGIC)
                        zygote_kill(z, "it broke the protocol");
                else
                        said(z, &word, pid);
        }
        if (heard && z->state != DYING)
                arm_for_state(z);
        if (n != -EAGAIN && z->state == DYING)
                arm(z, 0); /* the end: what is left is done outside of everybody's calls */
}

static void zygote_on_sock(struct bt_loop_watch *watch, uint32_t events)
{
        (void)events;
        bt_zygote_listen(bt_container_of(watch, struct bt_zygote, sock_watch));
}

/* ---- the start of one ---- */

/* The strings of the environment that are of one process alone are not compared, and not given. */
static bool of_one_process(const char *variable)
{
        return strncmp(variable, "LISTEN_PID=", 11) == 0;
}

static bool is_own(const struct bt_spawn_move *move, int link_to)
{
        return move->to == STDOUT_FILENO || move->to == STDERR_FILENO || move->to >= link_to;
}

/* All that makes the process what it is before it is told which child it is; of the heap. */
static char *kind_of(const struct bt_spawn *spawn, int link_to, const char *node, size_t *ret_bytes)
{
        char *kind = NULL;
        FILE *file = open_memstream(&kind, ret_bytes);

        if (!file)
                return NULL;
        for (char *const *at = spawn->argv; *at; at++)
                (void)fprintf(file, "%s%c", *at, 0);
        (void)fprintf(file, "%c", 1);
        for (char *const *at = spawn->envp; *at; at++) {
                if (!of_one_process(*at))
                        (void)fprintf(file, "%s%c", *at, 0);
        }
        (void)fprintf(file, "%c%s%c%s%c%d %d", 1, spawn->cwd ? spawn->cwd : "", 0,
                      spawn->place ? node : "", 0, link_to, spawn->exec_fd < 0);
        for (size_t i = 0; i < spawn->move_count; i++) {
                if (!is_own(&spawn->moves[i], link_to))
                        (void)fprintf(file, " %d>%d", spawn->moves[i].from, spawn->moves[i].to);
        }
        if (fclose(file)) {
                free(kind);
                return NULL;
        }
        return kind;
}

/* What the children have of their own is /dev/null here, so that its numbers stay free for them. */
static int describe(struct bt_spawn *zygote, const struct bt_spawn *spawn, int link_to, int null_fd,
                    int out, int sock)
{
        int r = 0;

        *zygote = *spawn;
        zygote->move_count = 0;
        zygote->pid_out = NULL;
        zygote->pid_room = NULL;
        zygote->die_with_parent = 1;
        for (size_t i = 0; !r && i < spawn->move_count; i++) {
                if (!is_own(&spawn->moves[i], link_to))
                        r = bt_spawn_move(zygote, spawn->moves[i].from, spawn->moves[i].to);
        }
        for (int fd = STDOUT_FILENO; !r && fd <= STDERR_FILENO; fd++)
                r = bt_spawn_move(zygote, out, fd);
        for (int fd = link_to; !r && fd < link_to + OWN_FDS; fd++)
                r = bt_spawn_move(zygote, null_fd, fd);
        return r ? r : bt_spawn_move(zygote, sock, link_to + OWN_FDS);
}

static char **environment(char *const *envp, char *variable)
{
        size_t count = 0, n = 0;
        char **copy;

        while (envp[count])
                count++;
        copy = calloc(count + 2, sizeof(*copy));
        for (size_t i = 0; copy && i < count; i++) {
                if (!of_one_process(envp[i]))
                        copy[n++] = envp[i];
        }
        if (copy)
                copy[n] = variable;
        return copy;
}

static int zygote_exec(struct bt_zygote *z, const struct bt_spawn *spawn, int link_to, int out,
                       int sock)
{
        enum bt_spawn_step step = BT_SPAWN_STEP_NONE;
        char variable[sizeof(BT_ZYGOTE_VARIABLE) + 16];
        struct bt_spawn own;
        int r = describe(&own, spawn, link_to, z->hub->null_fd, out, sock);

        (void)snprintf(variable, sizeof(variable), "%s=%d", BT_ZYGOTE_VARIABLE, link_to + OWN_FDS);
        own.envp = environment(spawn->envp, variable);
        if (!own.envp)
                return -ENOMEM;
        if (!r)
                r = bt_spawn(&own, &z->pid, &z->pidfd, &step);
        free((void *)own.envp);
        return r;
}

static int zygote_start(struct bt_zygote *z, const struct bt_spawn *spawn, int link_to)
{
        struct bt_loop *loop = z->hub->loop;
        const int on = 1;
        int out = -1, ends[2] = {-1, -1};
        int r = bt_log_open(z->hub, &z->log, z->label, STDERR_FILENO, &out);

        if (!r)
                r = bt_scm_pair(ends);
        z->sock = ends[0];
        if (!r && setsockopt(z->sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
                r = -errno;
        if (!r)
                r = zygote_exec(z, spawn, link_to, out, ends[1]);
        (void)bt_close(out);
        (void)bt_close(ends[1]);
        if (!r)
                r = bt_loop_watch_fd(loop, &z->exit_watch, z->pidfd, POLLIN, zygote_on_exit);
        if (!r)
                r = bt_loop_watch_fd(loop, &z->sock_watch, z->sock, POLLIN, zygote_on_sock);
        z->state = WARMING;
        return r;
}

static struct bt_zygote *zygote_new(struct bt_inc *inc, char *kind, size_t kind_bytes)
{
        struct bt_zygote *z = calloc(1, sizeof(*z));

        if (!z)
                return NULL;
        z->hub = inc->child->hub;
        z->binary = bt_binary_ref(inc->binary);
        z->kind = kind;
        z->kind_bytes = kind_bytes;
        z->state = DOWN;
        z->pidfd = z->sock = z->log.fd = -1;
        z->warm_within_ns = inc->child->spec->child_migration_timeout_ns;
        z->backoff_ns = BACKOFF_MIN_NS;
        bt_list_init(&z->asked);
        bt_list_init(&z->failed);
        bt_list_init(&z->node);
        (void)snprintf(z->label, sizeof(z->label), "%s zygote", inc->child->pool);
        bt_list_push(&z->hub->zygotes, &z->node);
        return z;
}

static struct bt_zygote *zygote_find(struct bt_inc *inc, const char *kind, size_t kind_bytes,
                                     uint32_t *ret_count)
{
        *ret_count = 0;
        bt_list_foreach (it, &inc->child->hub->zygotes) {
                struct bt_zygote *z = bt_list_entry(it, struct bt_zygote, node);

                ++*ret_count;
                if (z->kind_bytes == kind_bytes && memcmp(z->kind, kind, kind_bytes) == 0 &&
                    bt_binary_same(z->binary, inc->binary))
                        return z;
        }
        return NULL;
}

void bt_zygote_join(struct bt_inc *inc, const struct bt_spawn *spawn, int link_to, const char *node)
{
        uint32_t count;
        size_t kind_bytes = 0;
        struct bt_zygote *z;
        char *kind;
        int r;

        if (!inc->child->spec->zygote || !inc->link || spawn->run || inc->child->hub->stopping)
                return;
        kind = kind_of(spawn, link_to, node, &kind_bytes);
        if (!kind)
                return;
        z = zygote_find(inc, kind, kind_bytes, &count);
        if (z || count >= ZYGOTES_MAX)
                free(kind);
        else
                z = zygote_new(inc, kind, kind_bytes);
        if (!z)
                return;
        inc->zygote = z;
        z->users++;
        if (z->state == DOWN && bt_now_ns() >= z->not_before_ns) {
                r = zygote_start(z, spawn, link_to);
                if (r) {
                        bt_hub_say(z->hub, "%s: cannot be started: %s", z->label,
                                   strerrordesc_np(-r));
                        zygote_down(z);
                }
        }
        if (z->state != DYING)
                arm_for_state(z);
}

void bt_zygote_leave(struct bt_inc *inc)
{
        struct bt_zygote *z = inc->zygote;

        if (!z)
                return;
        bt_list_unlink(&inc->asked);
        inc->zygote = NULL;
        z->users--;
        if (!z->users && z->state != DYING)
                arm_for_state(z);
}

bool bt_zygote_fork(struct bt_inc *inc, const struct bt_spawn *spawn, int link_to)
{
        struct bt_zygote_ask ask = {.magic = BT_ZYGOTE_MAGIC, .hub_pid = (int32_t)getpid()};
        struct bt_zygote *z = inc->zygote;
        int fds[BT_ZYGOTE_FDS_MAX];

        if (!z || z->state != WARM)
                return false;
        for (size_t i = 0; i < spawn->move_count; i++) {
                if (!is_own(&spawn->moves[i], link_to))
                        continue;
                if (ask.count == BT_ZYGOTE_FDS_MAX || spawn->moves[i].to >= link_to + OWN_FDS)
                        return false;
                ask.to[ask.count] = spawn->moves[i].to;
                fds[ask.count++] = spawn->moves[i].from;
        }
        inc->token = ask.token = ++z->hub->zygote_token;
        if (bt_scm_send(z->sock, &ask, sizeof(ask), fds, ask.count))
                return false; /* its queue is full, or it is about to be found dead */
        bt_list_push(&z->asked, &inc->asked);
        arm_for_state(z);
        BT_POINT("hub.zygote.asked");
        return true;
}
