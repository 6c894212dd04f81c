/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a supervised program links: `pkg-config --cflags --libs baton`, or CMake's find_package(baton) and baton::baton.
 *
 * A child's life, with the callbacks that are run (all from inside baton_child_ready() and baton_child_dispatch(), on the
 * calling thread, never from a signal handler):
 *
 *      baton_child_open()             attach; allocate what needs no state
 *      baton_child_ready()            "I could serve": returns when this process holds the baton and has restored
 *          restore(reason, state)     take over what the predecessor left, or start fresh. Do not serve yet, do not write to the arena
 *                                     unless reason is FRESH: the predecessor may have to go on with it
 *          serve()                    from here on this process, and no other, serves; the arena is ours to write
 *      loop: poll baton_child_fd(), then baton_child_dispatch()
 *          prepare()                  a successor is ready; descriptors may be passed ahead; go on serving
 *          capture()                  finish the current item, answer nobody after it, write the state, pass descriptors
 *          resume()                   the successor failed: it was never there, serve again (after prepare() or capture() only)
 *          retire()                   the successor serves: let go of what it has, drain what only we have
 *          terminate()                stop; capture() has been called before where the state is to be kept
 *          mode_changed()             an instance of a replicated child: work from now on, or stand by
 *
 * Unsupervised (no hub in the environment) the same program works alone: ready() restores FRESH and serves at once,
 * baton_child_run() ends on SIGTERM or SIGINT, arenas are private memory, sockets and kept descriptors are -ENOENT.
 *
 * The smallest child is examples/hello/hello.c, a real server is examples/kv/.
 *
 * One thread at a time per handle. Handles do not survive fork(): in the copy every function returns -BATON_E_FORKED.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <baton/errors.h>
#include <baton/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default) /* the library is built with -fvisibility=hidden */

struct baton_child;   /* an incarnation's handle */
struct baton_message; /* <baton/messages.h> */
struct baton_capture; /* where capture() writes; valid only during the callback */

/* What restore() is told. Valid only during the callback. */
struct baton_restore {
        enum baton_reason reason;
        uint32_t version;           /* schema version of the state: oldest .. version of our own ops */
        /* Blob: read-only bytes, NULL when there is none (which differs from 0 bytes); arena: NULL. They stay until this process' own next capture begins. */
        const void *state;
        size_t state_bytes;
        const struct baton_fd *fds; /* descriptors the predecessor passed, in its order; each is owned by restore() */
        size_t fd_count;
        uint64_t predecessor;       /* its incarnation number, 0: none */
        const uint64_t *gone;       /* tags of descriptors that arriving() was given and that the predecessor has taken back: close them */
        size_t gone_count;
};

/*
 * A program's side of the contract. Members that are NULL do nothing and succeed. @size lets the struct grow.
 *
 * Each callback gets the @ctx given to baton_child_open().
 */
struct baton_child_ops {
        size_t size;             /* sizeof(struct baton_child_ops) */
        const char *schema;      /* name of the state's schema, up to BATON_NAME_BYTES_MAX bytes; NULL: the child keeps no state */
        uint32_t version;        /* version this program writes */
        uint32_t version_oldest; /* oldest version it can read */

        /* 0: restored. Negative: refused; the predecessor (hot) or the previous binary (cold) goes on, and the code is reported. */
        int (*restore)(struct baton_child *child, const struct baton_restore *restore, void *ctx);
        void (*serve)(struct baton_child *child, void *ctx);
        void (*prepare)(struct baton_child *child, void *ctx);
        /* 0: captured (also with nothing written). Negative: cannot; a hot swap is called off, a cold one goes on without a blob.
         * In the version that baton_capture_version() says. */
        int (*capture)(struct baton_child *child, struct baton_capture *capture, void *ctx);
        void (*resume)(struct baton_child *child, void *ctx);
        void (*retire)(struct baton_child *child, void *ctx);
        void (*terminate)(struct baton_child *child, void *ctx);
        /* With `durability: sync`: the checkpoint @sequence, and all before it, are on the disk. */
        void (*durable)(struct baton_child *child, uint64_t sequence, void *ctx);
        /* <baton/messages.h>. 0: done. Negative: failed, which the caller is told; the message is done, too. */
        uint32_t message_flags; /* BATON_MESSAGES_* */
        int (*on_message)(struct baton_child *child, const struct baton_message *message, void *ctx);
        /* 0: may be moved to another node now. Else: later. Asked before each such move, by dispatch(); NULL: never asked. */
        int (*may_migrate)(struct baton_child *child, void *ctx);
        /*
         * Successor of a hot swap, inside ready(): what the predecessor passed in prepare(), while it serves. Each is owned by the program from here on and is
         * not in restore()'s list. Have them watched, and do nothing else with them: no read, no write, no look at the state, no wait on the epoll, until serve().
         * restore() is told which of them are gone; when it is told of no predecessor, which has died, nobody knew: look into the state, or close them.
         * Negative: the swap is called off, the predecessor was not disturbed. NULL: restore() gets them all.
         */
        int (*arriving)(struct baton_child *child, const struct baton_fd *fds, size_t fd_count, void *ctx);
        /*
         * Shortly before a hot swap's moment, in both processes (baton_child_serving(): the predecessor), perhaps often: go through capture(), or restore() and
         * serve(), without doing anything, so that code and data are near when nobody serves. Changes nothing but scratch memory of its own.
         */
        void (*rehearse)(struct baton_child *child, void *ctx);
        /*
         * Oldest version that capture() can write, for programs that read no newer one: what makes a downgrade possible. 0: @version only. At least
         * version_oldest, because a swap may fail and the state come back. An arena: the oldest version that can use it as capture() leaves it.
         */
        uint32_t version_writable;
        /*
         * ACTIVE: no other instance is; begin. PASSIVE: stop; another one begins when this has returned, and this process is killed when that takes
         * longer than handover_data_wait. A process is started with baton_child_mode(), and is told changes only. docs/redundancy.md.
         */
        void (*mode_changed)(struct baton_child *child, enum baton_mode mode, void *ctx);
};

/* Results of baton_child_dispatch() above 0. */
#define BATON_CHILD_STOP 1 /* retired and drained, or told to terminate: leave the loop and exit(0) */

/* ---- life ---- */

/**
 * baton_child_describe() - answer a hub that asks what state this program can read
 * @ops: its schema, version and version_oldest are the answer; borrowed
 *
 * Before a cold swap to another binary the hub starts that once, for this answer alone, beside the process that serves. When it has been
 * started so, this call answers and ends the process, with status 0, running nothing that was registered for its end. Otherwise it does nothing.
 *
 * baton_child_open() does the same. A program whose main() does much, or what must not be done twice, before it opens its handle calls this first:
 *
 *      int main(void)
 *      {
 *              baton_child_describe(&ops);
 *              ...read files, connect to a data base...
 *              baton_child_open(&child, &ops, NULL);
 *
 * Errors:    -EINVAL.
 * Context:   before other threads use the environment.
 * Since:     0.1
 */
int baton_child_describe(const struct baton_child_ops *ops);

/**
 * baton_child_zygote() - be the process that children of this program are forked from
 *
 * With `zygote: true` the hub starts the program once more than it has children. In that process this call does not return: it serves the
 * hub's requests, and comes back with 0 in each process that it forked, which then goes on as if it had been started alone. In all other processes it
 * returns 0 at once. Before it: what is slow, and the same for all children. After it: baton_child_open(), connections, threads.
 *
 *      int main(void)
 *      {
 *              load_tables();
 *              if (baton_child_zygote() || baton_child_open(&child, &ops, NULL))
 *                      return 1;
 *
 * What was opened before is shared by all of them; pthread_atfork() handlers are not run. See docs/zygotes.md.
 *
 * Errors:    -BATON_E_PROTOCOL: this process was started as a zygote and cannot be one, because it has more than one thread; the hub says so and starts
 *            children without it. End: no handle can be opened in it.
 * Context:   one thread, once, before baton_child_open().
 * Since:     0.1
 */
int baton_child_zygote(void);

/**
 * baton_child_open() - attach to the hub that started this process
 * @ret_child: the handle, written only on success
 * @ops:       callbacks; borrowed until close
 * @ctx:       passed to each callback; may be NULL
 *
 * Takes the descriptors the hub left in the environment and makes them close-on-exec.
 *
 * A hub that wants to know what a new program can read starts it once with BATON_DESCRIBE_FD=N: then this call writes the schema and versions of
 * @ops to N and ends the process with status 0. Before it, do nothing that must not be done twice.
 *
 * Errors:    -EINVAL @ops is malformed; -BATON_E_LAYOUT hub of another layout; -BATON_E_ADDRESS arena address taken; -ENOMEM.
 * Context:   once per process, before other threads use inherited descriptors.
 * Since:     0.1
 */
int baton_child_open(struct baton_child **ret_child, const struct baton_child_ops *ops, void *ctx);

/* Where a process finds what its hub gave it, when that is not said by the environment. */
struct baton_child_place {
        size_t size;              /* sizeof(struct baton_child_place) */
        int link_fd;              /* the link page; -1: unsupervised */
        int listen_first;         /* the first of @listen_count descriptors that follow each other */
        uint32_t listen_count;    /* at most 64 */
        uint32_t reserved;
        const char *listen_names; /* of the listening sockets, "http:admin"; NULL: none */
};

/**
 * baton_child_open_at() - the same, in a process that was told where its descriptors are
 * @place: copied; NULL: as baton_child_open()
 *
 * For a process that was forked by its hub and has executed nothing (<baton/hub.h> calls this before a child's function), and for launchers.
 *
 * Errors:    as baton_child_open(); -EBADF @place names a descriptor that is not open.
 * Since:     0.1
 */
int baton_child_open_at(struct baton_child **ret_child, const struct baton_child_ops *ops, void *ctx, const struct baton_child_place *place);

/* Detaches and frees. Takes NULL. Always returns NULL. Pointers into the arena must not be used after it. Since: 0.1 */
struct baton_child *baton_child_close(struct baton_child *child);

/**
 * baton_child_ready() - say that this process could serve, and wait for the baton
 *
 * Returns when restore() and serve() have run. A successor parks in here until its predecessor hands over.
 *
 * Errors:    what restore() returned; -BATON_E_SCHEMA state of a schema or version the ops cannot read; -BATON_E_CORRUPT;
 *            -BATON_E_FDS; -BATON_E_TORN; -BATON_E_GONE. The hub has been told; exit with a non-zero status.
 *            BATON_CHILD_STOP: told to terminate while parked; exit(0).
 * Since:     0.1
 */
int baton_child_ready(struct baton_child *child);

/* The descriptor to poll for POLLIN; stable for the life of the handle; not to be read, written or closed. Since: 0.1 */
int baton_child_fd(const struct baton_child *child);

/**
 * baton_child_dispatch() - handle what the hub or the predecessor said; never blocks
 *
 * Runs callbacks. Call it when baton_child_fd() is readable, or at any time: with nothing to do it costs one read(2). The library makes the descriptor
 * readable by itself, too, when it wants another turn: the hub hears that a successor serves from the first dispatch() after ready(), and a predecessor serves a
 * few turns more between prepare() and capture(), until its successor is awake.
 *
 * Returns:   0; BATON_CHILD_STOP; -BATON_E_GONE the hub died (the child keeps serving; another hub may adopt it); -BATON_E_FORKED.
 * Since:     0.1
 */
int baton_child_dispatch(struct baton_child *child);

/* True between serve()/resume() and a successful capture(): answer requests only then. A load and a compare. Since: 0.1 */
bool baton_child_serving(const struct baton_child *child);

/* Drained: tells the hub that a retiring process has nothing left to do; dispatch() then returns BATON_CHILD_STOP. Without a
 * retire() callback this happens by itself. Returns 0 or -BATON_E_PROTOCOL when not retiring. Since: 0.1 */
int baton_child_retired(struct baton_child *child);

/**
 * baton_child_migration_ready() - say that this is a good moment to be moved to another node
 *
 * For a program with may_migrate() that said "later", or did not answer: a move that waits for it begins. Without one it does nothing.
 *
 * Errors:    -ENOTCONN unsupervised; -BATON_E_PROTOCOL does not serve; -BATON_E_GONE; -BATON_E_FORKED.
 * Since:     0.1
 */
int baton_child_migration_ready(struct baton_child *child);

/* ---- the ready-made loop ---- */

typedef void (*baton_watch_fn)(struct baton_child *child, int fd, uint32_t events, void *data);

/**
 * baton_child_watch() - have baton_child_run() call @fn when @fd is ready
 * @events: EPOLLIN and so on; 0 forgets @fd (do so before closing it)
 *
 * A watch is level triggered. It is served only while this process holds the baton or retires.
 *
 * Errors:    as epoll_ctl(2); -ENOMEM.
 * Since:     0.1
 */
int baton_child_watch(struct baton_child *child, int fd, uint32_t events, baton_watch_fn fn, void *data);

/* ready(), then a loop over the watches and dispatch() until STOP. SIGTERM and SIGINT mean terminate(). Returns 0 to be used as
 * exit status, or a negative error. Since: 0.1 */
int baton_child_run(struct baton_child *child);

/* ---- who am I ---- */

bool baton_child_supervised(const struct baton_child *child);
const char *baton_child_id(const struct baton_child *child);          /* "web/1"; unsupervised: "" */
uint64_t baton_child_incarnation(const struct baton_child *child);    /* unsupervised: 1 */
enum baton_reason baton_child_reason(const struct baton_child *child); /* known from open(): why this process was started */

/**
 * baton_child_mode() - whether this instance of a replicated child is to work or to stand by
 *
 * Known from open(). With `mode: active_passive` a process is started passive, and mode_changed() tells it the rest; at no time are two instances
 * active. With active_active each is active. A child that is not replicated, and an unsupervised program, is BATON_MODE_SINGLE: work.
 *
 * Context:   any; inside mode_changed() it is the new mode.
 * Since:     0.1
 */
enum baton_mode baton_child_mode(const struct baton_child *child);

/* ---- descriptors ---- */

/* An inherited listening socket by its name in the configuration; -ENOENT. The handle keeps ownership; do not close it. Since: 0.1 */
int baton_child_socket(const struct baton_child *child, const char *name);

/**
 * baton_child_keep() - leave a copy of @fd with the hub, under @name
 *
 * Survives a crash of this process: later incarnations find it with baton_child_take(). An earlier one of that name is replaced.
 *
 * Ownership: borrows @fd (the hub gets a duplicate).
 * Errors:    -EINVAL name; -ENOSPC too many kept (64); -ENOTCONN unsupervised; -BATON_E_GONE.
 * Since:     0.1
 */
int baton_child_keep(struct baton_child *child, const char *name, int fd);

/* A kept descriptor: an O_CLOEXEC duplicate that the caller owns; -ENOENT. Since: 0.1 */
int baton_child_take(struct baton_child *child, const char *name);

/* Has the hub forget @name. 0, -ENOENT, -ENOTCONN. Since: 0.1 */
int baton_child_drop(struct baton_child *child, const char *name);

/**
 * baton_child_pass() - hand an open descriptor (a connection) to the successor
 * @tag: what restore() will find beside it; e.g. the connection's number in the state
 *
 * Allowed in prepare() (ahead of the moment, still serving) and in capture(). What was passed in prepare() and closed since is taken back with
 * baton_child_unpass(), or must be dropped by a successor that sees it in the state. No limit but RLIMIT_NOFILE; sent in batches.
 *
 * Ownership: borrows @fd.
 * Errors:    -BATON_E_PROTOCOL elsewhere, or a capture for shutdown; -errno of sendmsg(2), after which capture() should return it.
 * Since:     0.1
 */
int baton_child_pass(struct baton_child *child, int fd, uint64_t tag);

/**
 * baton_child_unpass() - take back what was passed ahead
 * @tag: that it was passed with
 *
 * For a connection that ends between prepare() and capture(): the successor has a descriptor of it, and as long as that is open the other side does not see the
 * end, so shutdown(2) it as well. The successor's restore() finds @tag among those that are gone; the library closes it itself when arriving() was not given it.
 * The same tag may be passed again, in capture().
 *
 * Errors:    -BATON_E_PROTOCOL no hot swap is between prepare() and the end of capture(); -errno of sendmsg(2).
 * Since:     0.1
 */
int baton_child_unpass(struct baton_child *child, uint64_t tag);

/* ---- blob state, in capture() ---- */

enum baton_capture_for baton_capture_purpose(const struct baton_capture *capture);

/**
 * baton_capture_version() - the version of the schema that the state is to be written in
 *
 * Normally the program's own. In a swap to a program that cannot read that one, as in a downgrade: the newest that it reads, not older than version_writable.
 * A swap to a program for which there is none is refused before anything is stopped.
 *
 * A capture() that finds that the older version cannot say what there is returns an error, before it passes descriptors: a hot swap is called off; for a cold
 * one it is run again, for the own version, which the previous program then goes on with. resume() undoes what capture() did to an arena.
 *
 * Returns:   version_writable .. version.
 * Context:   in capture().
 * Since:     0.1
 */
uint32_t baton_capture_version(const struct baton_capture *capture);

/**
 * baton_capture_reserve() - room for the state, in the baton itself
 * @ret_room: [0, @bytes), 64-byte aligned
 *
 * Errors:    -BATON_E_TOO_BIG larger than the spec's state.max; -BATON_E_PROTOCOL the child's form is not blob.
 * Since:     0.1
 */
int baton_capture_reserve(struct baton_capture *capture, size_t bytes, void **ret_room);

/**
 * baton_capture_write() - the next @bytes of the state
 *
 * Instead of reserve(): copies and sums a piece at a time, while a successor that waits checks the pieces before. Then commit(), with the sum of all @bytes.
 *
 * Errors:    -BATON_E_TOO_BIG; -BATON_E_PROTOCOL the child's form is not blob, or after a commit.
 * Since:     0.1
 */
int baton_capture_write(struct baton_capture *capture, const void *data, size_t bytes);

/* The first @bytes of the room are the state. Without a commit there is no state, which differs from a state of 0 bytes. Since: 0.1 */
int baton_capture_commit(struct baton_capture *capture, size_t bytes);

/* ---- checkpoints ---- */

/**
 * baton_child_checkpoint() - keep a whole state now, and go on serving
 *
 * After success the state outlives a SIGKILL or SIGSEGV of this process: the next incarnation is given it with reason CRASH, unless something newer is
 * there. A blob child's capture() is run with BATON_CAPTURE_CHECKPOINT: it passes no descriptors and stops nothing. An arena's used part is
 * copied, which takes 0.1 to 0.5 ms for each MiB; the arena itself is preferred after a crash, and the copy is for one that was torn. With
 * checkpoint_every in the configuration the hub has dispatch() do this.
 *
 * Errors:    what capture() returned; -ENODATA it committed nothing; -BATON_E_PROTOCOL not serving, or inside a callback's capture or an arena bracket; -BATON_E_STALE;
 *            -EOPNOTSUPP no state, or an arena without `checkpoint: true`; -ENOTCONN unsupervised; -errno no memory for the copy. The last
 *            checkpoint stays valid after an error.
 * Durable:   in memory at return; on disk as `durability` says: see baton_child_durable().
 * Since:     0.1
 */
int baton_child_checkpoint(struct baton_child *child);

/* Sequence of this process' last checkpoint; 0: none yet. Counts up over incarnations. Since: 0.1 */
uint64_t baton_child_checkpointed(const struct baton_child *child);

/* Sequence of the last checkpoint that is on the disk; 0: none. With `durability: sync` dispatch() runs durable() when it has moved. A client's
 * write is safe from everything once the checkpoint that followed it is durable. Since: 0.1 */
uint64_t baton_child_durable(const struct baton_child *child);

/* ---- arena state ---- */

/*
 * The arena lies at the same address in every incarnation: pointers inside it survive. One root pointer finds everything.
 * Updates are bracketed with begin/end: if the process dies inside a bracket the arena is known to be torn, outside one it is used as it
 * is by the next incarnation. begin/end nest and cost a store each. Alloc and free count as updates and must be inside.
 */
void *baton_arena_root(const struct baton_child *child);               /* NULL in a fresh arena */
void baton_arena_set_root(struct baton_child *child, void *root);
void baton_arena_begin(struct baton_child *child);
void baton_arena_end(struct baton_child *child);

/* 16-byte aligned, contents undefined; NULL when the arena is full or the child has none. Since: 0.1 */
void *baton_arena_alloc(struct baton_child *child, size_t bytes);
void baton_arena_free(struct baton_child *child, void *ptr); /* takes NULL */

size_t baton_arena_used(const struct baton_child *child); /* bytes handed out or once handed out: what a capture to disk copies */
size_t baton_arena_max(const struct baton_child *child);  /* 0: the child has no arena */

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
