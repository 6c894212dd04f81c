/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A world: one scenario on real processes, and the proof that nothing of it is left.
 *
 *      test process (subreaper) ── batond_testing ── children            one temporary directory, one free TCP port
 *           │  control socket ───────┘      │
 *           └─ clients ─────────────────────┘ kv, probe: over TCP
 *
 *      static int setup(void **state)    { return world_setup(state); }
 *      static void hot_swap_keeps_keys(void **state)
 *      {
 *              struct world *w = *state;
 *              world_start(w, WORLD_KV);                       @port@, @bin@, @dir@ in the configuration are filled in
 *              ...
 *              world_end(w);                                   stops the hub; every check below is an assertion here
 *      }
 *      static int teardown(void **state) { return world_teardown(state); }   kills what a failed test left
 *
 * world_end() checks: the hub exited with 0 on SIGTERM; no process is left, alive or as a zombie (whatever a hub or a child
 * leaves behind becomes ours, because we are a subreaper); as many descriptors are open here as at setup; the runtime directory holds the lock and
 * an empty register of processes, and nothing else. tests/unit/test_world.c shows that each of these checks fails when it should.
 *
 * Waits are for events: the ready descriptor, replies, exits by pidfd, a line of a file by inotify. Where there is no event to wait for (a slot of
 * the node segment) world_until_*() looks again every millisecond, with a deadline (tests/support/wait.h). What takes as long as there are children, such as
 * the start of all, has no deadline of its own: a watchdog ends everything when a test takes longer than its limit, and prints the hub's log.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "shm/node.h"
#include "supervisor/baton/ask.h"
#include "supervisor/plan.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WORLD_SLOWNESS 4
#else
#define WORLD_SLOWNESS 1
#endif

/* A deadline in a configuration that is meant to be reached, and yet leaves room for a process to start on a busy machine. */
#if WORLD_SLOWNESS == 1
#define WORLD_SHORT "700ms"
#else
#define WORLD_SHORT "3s"
#endif

#define WORLD_WAIT_MS (20 * 1000 * WORLD_SLOWNESS)  /* for one event; reaching it fails the test */
#define WORLD_LIMIT_S (120 * WORLD_SLOWNESS)        /* for one test: then the watchdog */
#define WORLD_TEXT_BYTES 4096

struct world {
        char dir[64];
        char bin[512];
        int port;
        int port_hold;      /* bound, not listening: nobody else is given our port */
        const char *hub;    /* its name: "w" */
        const char *hub_env; /* one more variable of the hub alone, such as BATON_KILL_AT=...; NULL: none */
        pid_t pid;          /* of the hub; 0: does not run */
        int pidfd;
        int fds_before;
        bool node_mapped;
        struct bt_node_view node;
        bool ended;
        const char *row;    /* of a table: printed when the test fails; NULL: none */
        char problem[512]; /* what world_finish() found first */
};

/* The configuration most scenarios use. Lines that are appended belong to the child kv. */
#define WORLD_KV                                                                                   \
        "hub: w\n"                                                                                 \
        "sockets:\n"                                                                               \
        "  redis: tcp://127.0.0.1:@port@\n"                                                        \
        "children:\n"                                                                              \
        "  kv:\n"                                                                                  \
        "    exec: [@bin@/kv-v1-testing]\n"                                                        \
        "    sockets: [redis]\n"                                                                   \
        "    strategy: hot\n"                                                                      \
        "    handover: true\n"                                                                     \
        "    state: {form: arena, max: 64MiB}\n"

/* The same with the probe (child_probe.c), as a blob. */
#define WORLD_PROBE_FORM(form)                                                                     \
        "hub: w\n"                                                                                 \
        "sockets:\n"                                                                               \
        "  probe: tcp://127.0.0.1:@port@\n"                                                        \
        "children:\n"                                                                              \
        "  probe:\n"                                                                               \
        "    exec: [@bin@/child_probe]\n"                                                          \
        "    sockets: [probe]\n"                                                                   \
        "    handover: true\n"                                                                     \
        "    state: {form: " form ", max: 1MiB}\n"
#define WORLD_PROBE WORLD_PROBE_FORM("blob")

/* ---- life ---- */

int world_setup(void **state);
int world_teardown(void **state);

/* Writes the configuration, compiles it, starts the hub, waits until the first start of all children is over. */
void world_start(struct world *w, const char *yaml);
/* Only writes it, as app.yaml. */
void world_configure(const struct world *w, const char *yaml);
/* Starts the hub again with the configuration that is there. */
void world_start_again(struct world *w);
void world_start_unready(struct world *w); /* waits for nothing: some child's first start takes as long as the test wants */
/* The same, for a hub that is expected to end by itself, with @status: before it is ready or soon after. */
void world_start_dying(struct world *w, int status);
void world_stop(struct world *w); /* SIGTERM; asserts exit status 0 */
void world_kill_hub(struct world *w); /* SIGKILL, and waits for its end */
void world_await_hub(struct world *w, int status); /* waits for its end; @status as waitid() has it: exit status or signal */
void world_end(struct world *w);
/* The same, but says what is wrong instead of failing; "" when nothing is. */
const char *world_finish(struct world *w);
void world_limit(unsigned seconds); /* another limit for this test */

/* Processes that became ours: kills and reaps them all, returns how many; a hub's keeper is not counted. */
int world_reap_orphans(void);

/* ---- files ---- */

/*
 * Into @path: a script that sets @env ("KEY=VALUE ..") and becomes @program (a name in the folder of programs, or an absolute path). A new process
 * has the environment of the configuration; this is how a fault reaches one generation only.
 */
void world_script(const struct world *w, char path[256], const char *name, const char *env, const char *program);
/* The same, but only the first process that runs it gets @env: a restart is healthy. */
void world_script_once(const struct world *w, char path[256], const char *name, const char *env, const char *program);
void world_program(const struct world *w, char path[640], const char *name);
/* Writes a file of the world's directory; @port@, @bin@, @dir@ in the text are filled in, as in a configuration. */
void world_file_put(const struct world *w, const char *name, const char *text);
void world_program_put(const struct world *w, const char *name,
                       const char *text); /* that may be executed */
/* A file of the world's directory; the text is cut at the room. */
void world_read(const struct world *w, const char *name, char *text, size_t bytes);

/* Waits until one of its lines has @part, which may end with the newline. */
void world_file_wait(const struct world *w, const char *name, const char *part);
/* Waits until it has a whole line; its first, without the newline. */
void world_line_wait(const struct world *w, const char *name, char *text, size_t bytes);

/* A gate is a file that is there or not: programs of tests wait for it, or do as it says. */
void world_gate_open(const struct world *w, const char *name);
void world_gate_close(const struct world *w, const char *name);
void world_gate_wait(const struct world *w, const char *name); /* until somebody has opened it */

/* ---- the hub's log ---- */

/* Waits for the @times-th line that holds @text. */
void world_log_wait(const struct world *w, const char *text, int times);
bool world_log_has(const struct world *w, const char *text);
int world_log_count(const struct world *w, const char *text);

/* ---- requests ---- */

struct world_outcome {
        uint32_t outcome;    /* enum bt_ctl_outcome */
        uint64_t pause_ns;
        uint64_t total_ns;
        char phases[512];    /* "starting ready offered .." in the order of their arrival */
        char text[2048];
};

#define WORLD_SPEC BT_CTL_STRATEGY_SPEC

struct bt_ask world_ask(const struct world *w, uint32_t op, const char *target, const char *path, uint32_t strategy);
/* bt_ask_reply(), with a deadline for this reply alone: a request may take as long as it has many children. */
int world_reply(const struct bt_ask *ask, struct bt_ctl_reply *ret_reply, int *ret_fd);
/* After DONE the hub closes: when that is seen, its descriptor for us is gone. */
void world_hang_up(struct bt_ask *ask);
/* Follows a request to its end and closes it. */
void world_follow(struct bt_ask *ask, struct world_outcome *ret_outcome);
/* Follows it up to the event @phase. */
void world_follow_to(const struct bt_ask *ask, const char *phase);
/* @path: NULL swaps with the binary there is. */
void world_migrate(const struct world *w, const char *target, const char *path, uint32_t strategy, struct world_outcome *ret_outcome);
/* The same; fails the test unless it is committed. */
void world_swap(const struct world *w, const char *target, const char *program, uint32_t strategy);

/* ---- what the node shows ---- */

void world_slot(struct world *w, const char *id, struct bt_slot *ret_slot);
pid_t world_pid(struct world *w, const char *id); /* fails the test unless it runs */
uint64_t world_incarnation(struct world *w, const char *id);
/* Waits until the child is in @phase with an incarnation above @above. */
void world_until(struct world *w, const char *id, enum bt_phase phase, uint64_t above, struct bt_slot *ret_slot);
/* Waits until no predecessor of @id is left. */
void world_until_drained(struct world *w, const char *id);
void world_until_stopped(pid_t pid); /* the process is stopped by a signal */
int world_fd_count(pid_t pid);
/* Waits until the hub has at most so many: it closes a command's connection a moment after the command has its answer. */
void world_until_fds(const struct world *w, int most);

/* ---- other programs ---- */

/* Starts @argv with both outputs into the world's file @out. Its directory is the world's, and a hub's directories in its environment are, too. */
pid_t world_spawn(const struct world *w, char *const argv[], const char *out);
/* Waits; the exit status, or 128 + signal. */
int world_wait(pid_t pid);
bool world_runs(pid_t pid); /* also when it is dying, or a zombie */
/* Waits until nothing is left of it: a cold swap goes on when the predecessor can run no more code, which is earlier. */
void world_until_gone(pid_t pid);

/* ---- kv's protocol ---- */

int kv_dial(const struct world *w);
__attribute__((format(printf, 2, 3))) void kv_say(int fd, const char *format, ...);
__attribute__((format(printf, 2, 3))) void kv_hear(int fd, const char *format, ...);
/* One line of an answer, without its end. */
void kv_line(int fd, char *line, size_t bytes);
/* Asks for a number: INCR, DBSIZE, .. */
int64_t kv_number(int fd, const char *command);
/* The value of @field in INFO. */
void kv_info(int fd, const char *field, char *value, size_t bytes);
/* Fails unless version @version answers a new connection. */
void kv_expect_version(const struct world *w, const char *version);

/* ---- the probe's protocol (child_probe.c): one line out, one line in ---- */

int probe_dial(const struct world *w);
__attribute__((format(printf, 2, 3))) void probe_say(int fd, const char *format, ...);
__attribute__((format(printf, 3, 4))) void probe_expect(int fd, const char *answer, const char *format, ...);
long long probe_number(int fd, const char *line);
