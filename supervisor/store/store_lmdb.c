/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB as the durable engine; the only file that includes <lmdb.h>.
 *
 *      <dir>/store.lock       flock()ed for as long as the store is open: one hub, also where LMDB's own locks would let two in
 *      <dir>/store.mdb        the environment (MDB_NOSUBDIR), mode 0600
 *      <dir>/store.mdb-lock   LMDB's reader table
 *      <dir>/store.mdb.bad    the last environment that had to be set aside
 *
 * A state on disk must never be what keeps a hub from starting or takes it down. LMDB has no page checksums and believes its file, so:
 *   - a file that is shorter than its header says is extended by a hole before anything is read: a missing page is then a page of
 *     zeros, which LMDB or our sums refuse, and not a SIGBUS;
 *   - its pages are walked over before LMDB sees them (store_walk.c): one that was written over would crash or hang it;
 *   - when LMDB finds its structure broken, at open or later, the file is renamed to store.mdb.bad and an empty one takes its place;
 *   - records carry sums of their own (store_records.c), for damage that leaves the structure whole.
 *
 * Not WRITEMAP: it makes the map writable, so one stray pointer in the hub is a damaged store; on a sparse file a full disk is a SIGBUS
 * instead of ENOSPC; and for large values msync is slower than pwrite and fdatasync. Not MDB_NOSYNC, MDB_NOMETASYNC: "OK" means durable.
 *
 * The map only reserves addresses; it grows before a transaction that is known to need it, or after one that did not fit.
 * A large file that holds no record at all is replaced by a new one at open, as LMDB never gives space back.
 */
#include "supervisor/store/store_engine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <lmdb.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "supervisor/store/store_walk.h"

#define MAP_BYTES_MIN ((size_t)64 << 20)
#define MAP_BYTES_MAX ((size_t)1 << 46) /* of the 47 bits of a process; addresses, not memory */
#define SLACK_BYTES ((uint64_t)4 << 20) /* B-tree, free list */
#define EMPTY_BYTES_MAX ((off_t)64 << 20)

struct lmdb {
        struct bt_engine engine;
        int lock_fd;
        int dir_fd;
        char *path;   /* of the environment */
        MDB_env *env;
        MDB_dbi dbi;
        MDB_txn *txn; /* NULL outside a transaction */
        MDB_cursor *cursor;
        uint64_t need; /* of the transaction */
};

static struct lmdb *lmdb_of(struct bt_engine *engine)
{
        return bt_container_of(engine, struct lmdb, engine);
}

/* errors */

/* LMDB calls a write that the disk cut short EIO. Is it that there is no room? */
static bool lmdb_is_full(const struct lmdb *l)
{
        struct statvfs fs;
        struct rlimit limit;
        struct stat st;

        if (statvfs(l->path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < l->need + SLACK_BYTES)
                return true;
        return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && stat(l->path, &st) == 0 &&
               limit.rlim_cur < (uint64_t)st.st_size + l->need + SLACK_BYTES;
}

static int lmdb_result(const struct lmdb *l, int rc)
{
        switch (rc) {
        case 0:
                return 0;
        case MDB_NOTFOUND:
                return BT_ENGINE_E_ABSENT;
        case MDB_MAP_FULL:
                return BT_ENGINE_E_FULL;
        case MDB_CORRUPTED:
        case MDB_PAGE_NOTFOUND:
        case MDB_INVALID:
        case MDB_VERSION_MISMATCH:
        case MDB_INCOMPATIBLE:
        case MDB_CURSOR_FULL:
                return BT_ENGINE_E_DAMAGED;
        case MDB_PANIC:
                return BT_ENGINE_E_STUCK;
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
                return BT_ENGINE_E_ROOM;
        case EIO:
                return lmdb_is_full(l) ? BT_ENGINE_E_ROOM : -EIO;
        default:
                return rc > 0 ? -rc : -EIO; /* MDB_BAD_TXN and its like would be our own mistakes */
        }
}

/* transactions */

static void lmdb_end(struct lmdb *l)
{
        if (l->cursor)
                mdb_cursor_close(l->cursor);
        l->cursor = NULL;
}

static void lmdb_abort(struct bt_engine *engine)
{
        struct lmdb *l = lmdb_of(engine);

        lmdb_end(l);
        mdb_txn_abort(l->txn);
        l->txn = NULL;
}

static int lmdb_commit(struct bt_engine *engine)
{
        struct lmdb *l = lmdb_of(engine);

        lmdb_end(l);
        return lmdb_result(l, mdb_txn_commit(BT_STEAL(l->txn)));
}

/* A map of at least @bytes; never smaller than it is. */
static int lmdb_grow(struct lmdb *l, uint64_t bytes)
{
        MDB_envinfo info;
        size_t size;
        int rc = mdb_env_info(l->env, &info);

        if (rc)
                return lmdb_result(l, rc);
        if (info.me_mapsize >= bytes)
                return 0;
        if (bytes > MAP_BYTES_MAX)
                return BT_ENGINE_E_ROOM;
        for (size = info.me_mapsize < MAP_BYTES_MIN ? MAP_BYTES_MIN : info.me_mapsize; size < bytes;)
                size *= 2;
        size = (size + MAP_BYTES_MIN - 1) / MAP_BYTES_MIN * MAP_BYTES_MIN;
        return lmdb_result(l, mdb_env_set_mapsize(l->env, size));
}

static int lmdb_used(struct lmdb *l, uint64_t *ret_bytes)
{
        MDB_envinfo info;
        MDB_stat stat;
        int rc = mdb_env_info(l->env, &info);

        rc = rc ? rc : mdb_env_stat(l->env, &stat);
        if (rc)
                return lmdb_result(l, rc);
        *ret_bytes = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
        return 0;
}

static int lmdb_begin(struct bt_engine *engine, bool write, uint64_t need)
{
        struct lmdb *l = lmdb_of(engine);
        uint64_t used = 0;
        int rc, r = 0;

        bt_assert(!l->txn);
        if (!l->env)
                return BT_ENGINE_E_STUCK;
        l->need = need;
        if (write)
                r = lmdb_used(l, &used);
        /* An eighth for what values lose to whole pages; the smallest records lose more, and FULL is for them. */
        if (write && !r)
                r = lmdb_grow(l, used + need + need / 8 + SLACK_BYTES);
        if (r)
                return r;
        rc = mdb_txn_begin(l->env, NULL, write ? 0 : MDB_RDONLY, &l->txn);
        if (rc) {
                l->txn = NULL;
                return lmdb_result(l, rc);
        }
        rc = mdb_cursor_open(l->txn, l->dbi, &l->cursor);
        if (rc) {
                l->cursor = NULL;
                lmdb_abort(engine);
        }
        return lmdb_result(l, rc);
}

/* access */

static MDB_val lmdb_key(const struct bt_key *key)
{
        return (MDB_val){.mv_size = key->bytes, .mv_data = (void *)key->at};
}

static int lmdb_get(struct bt_engine *engine, const struct bt_key *key, struct bt_value *ret_value)
{
        struct lmdb *l = lmdb_of(engine);
        MDB_val k = lmdb_key(key), v;
        int rc = mdb_get(l->txn, l->dbi, &k, &v);

        if (!rc)
                *ret_value = (struct bt_value){.at = v.mv_data, .bytes = v.mv_size};
        return lmdb_result(l, rc);
}

static int lmdb_seek(struct bt_engine *engine, const struct bt_key *from, struct bt_key *ret_key,
                     struct bt_value *ret_value)
{
        struct lmdb *l = lmdb_of(engine);
        MDB_val k = lmdb_key(from), v;
        int rc = mdb_cursor_get(l->cursor, &k, &v, MDB_SET_RANGE);

        if (rc)
                return lmdb_result(l, rc);
        if (k.mv_size >= sizeof(ret_key->at))
                return BT_ENGINE_E_DAMAGED; /* longer than LMDB writes */
        ret_key->bytes = k.mv_size;
        memcpy(ret_key->at, k.mv_data, k.mv_size);
        *ret_value = (struct bt_value){.at = v.mv_data, .bytes = v.mv_size};
        return 0;
}

static int lmdb_reserve(struct bt_engine *engine, const struct bt_key *key, size_t bytes, void **ret_room)
{
        struct lmdb *l = lmdb_of(engine);
        MDB_val k = lmdb_key(key), v = {.mv_size = bytes};
        int rc = mdb_put(l->txn, l->dbi, &k, &v, MDB_RESERVE);

        if (!rc)
                *ret_room = v.mv_data;
        return lmdb_result(l, rc);
}

static int lmdb_del(struct bt_engine *engine, const struct bt_key *key)
{
        struct lmdb *l = lmdb_of(engine);
        MDB_val k = lmdb_key(key);

        return lmdb_result(l, mdb_del(l->txn, l->dbi, &k, NULL));
}

/* the environment */

static void lmdb_env_close(struct lmdb *l)
{
        if (l->env)
                mdb_env_close(l->env);
        l->env = NULL;
}

/* See the head of this file: no page that the header speaks of may lie behind the file's end. */
static int lmdb_env_extend(struct lmdb *l)
{
        mdb_filehandle_t fd;
        struct stat st;
        uint64_t used = 0;
        int r = lmdb_used(l, &used);

        if (r)
                return r;
        if (mdb_env_get_fd(l->env, &fd) || fstat(fd, &st) < 0)
                return -EIO;
        /* Pages that were given back by the transaction that took them are never written: a short file alone is no damage. */
        if (st.st_size && (uint64_t)st.st_size < used && ftruncate(fd, (off_t)used) < 0)
                return BT_ENGINE_E_DAMAGED;
        return 0;
}

static void lmdb_env_cloexec_one(int fd, const struct stat *file)
{
        struct stat st;

        if (fstat(fd, &st) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino)
                (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/*
 * LMDB 0.9.24 opens its file twice (the second time O_DSYNC, for the header) without O_CLOEXEC, and gives away only one of the numbers. A
 * process started by the hub must have neither. At open nothing is started yet; where mend() opens the file again, a process that is
 * started within these microseconds does get them.
 */
static int lmdb_env_cloexec(struct lmdb *l)
{
        DIR *dir = opendir("/proc/self/fd");
        struct dirent *entry;
        struct stat file;

        if (!dir)
                return -errno;
        if (fstatat(l->dir_fd, "store.mdb", &file, 0) == 0)
                while ((entry = readdir(dir))) /* a stream of our own: NOLINT(concurrency-mt-unsafe) */
                        lmdb_env_cloexec_one((int)strtol(entry->d_name, NULL, 10), &file);
        (void)closedir(dir);
        return 0;
}

static int lmdb_env_open_dbi(struct lmdb *l)
{
        MDB_txn *txn;
        int rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);

        if (rc)
                return lmdb_result(l, rc);
        rc = mdb_dbi_open(txn, NULL, 0, &l->dbi);
        mdb_txn_abort(txn);
        return lmdb_result(l, rc);
}

/* Before LMDB maps it: see store_walk.h. */
static int lmdb_file_walk(const struct lmdb *l)
{
        BT_CLEANUP(bt_closep) int fd = openat(l->dir_fd, "store.mdb", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        return bt_store_walk(fd);
}

static int lmdb_env_open(struct lmdb *l)
{
        int rc, r = lmdb_file_walk(l);

        if (r)
                return r;
        rc = mdb_env_create(&l->env);
        if (rc) {
                l->env = NULL;
                return lmdb_result(l, rc);
        }
        rc = mdb_env_set_mapsize(l->env, MAP_BYTES_MIN);
        /* NOTLS: transactions are not tied to the thread that opened the environment. */
        if (!rc)
                rc = mdb_env_open(l->env, l->path, MDB_NOSUBDIR | MDB_NOTLS, 0600);
        r = rc == EINVAL ? BT_ENGINE_E_DAMAGED : lmdb_result(l, rc);
        if (!r)
                r = lmdb_env_cloexec(l);
        if (!r)
                r = lmdb_env_extend(l);
        if (!r)
                r = lmdb_env_open_dbi(l);
        if (r)
                lmdb_env_close(l);
        return r;
}

static int lmdb_set_aside(struct lmdb *l)
{
        if (renameat(l->dir_fd, "store.mdb", l->dir_fd, "store.mdb.bad") < 0 && errno != ENOENT)
                return -errno;
        l->engine.was_damaged = true;
        return fsync(l->dir_fd) < 0 ? -errno : 0;
}

/* Closes what there is, and opens it again; at the second try what there is has been set aside. */
static int lmdb_reopen(struct lmdb *l, bool set_aside)
{
        int r;

        for (int tries = 0; tries < 2; tries++, set_aside = true) {
                lmdb_env_close(l);
                r = set_aside ? lmdb_set_aside(l) : 0;
                if (!r)
                        r = lmdb_env_open(l);
                if (r != BT_ENGINE_E_DAMAGED)
                        return r;
        }
        return -EIO; /* a new, empty file is damaged: this is no disk to keep anything on */
}

static int lmdb_mend(struct bt_engine *engine, int outcome)
{
        struct lmdb *l = lmdb_of(engine);
        MDB_envinfo info;
        int rc;

        bt_assert(!l->txn);
        if (outcome != BT_ENGINE_E_FULL)
                return lmdb_reopen(l, outcome == BT_ENGINE_E_DAMAGED);
        rc = mdb_env_info(l->env, &info);
        return rc ? lmdb_result(l, rc) : lmdb_grow(l, (uint64_t)info.me_mapsize + 1);
}

/* open and close */

static void lmdb_close(struct bt_engine *engine)
{
        struct lmdb *l = lmdb_of(engine);

        bt_assert(!l->txn);
        lmdb_env_close(l);
        l->dir_fd = bt_close(l->dir_fd);
        l->lock_fd = bt_close(l->lock_fd); /* last: it lets the next hub in */
        free(l->path);
        free(l);
}

static const struct bt_engine_ops lmdb_ops = {
        .begin = lmdb_begin,
        .commit = lmdb_commit,
        .abort = lmdb_abort,
        .get = lmdb_get,
        .seek = lmdb_seek,
        .reserve = lmdb_reserve,
        .del = lmdb_del,
        .mend = lmdb_mend,
        .close = lmdb_close,
};

static int lmdb_lock(struct lmdb *l, const char *dir)
{
        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
                return -errno;
        l->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (l->dir_fd < 0)
                return -errno;
        l->lock_fd = openat(l->dir_fd, "store.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (l->lock_fd < 0)
                return -errno;
        if (flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : -errno;
        return 0;
}

/* Space that nothing uses is given back here, the one moment at which nobody can be in a transaction. */
static int lmdb_drop_if_empty(struct lmdb *l)
{
        struct stat st;
        MDB_stat stat;

        if (fstatat(l->dir_fd, "store.mdb", &st, 0) < 0 || st.st_size <= EMPTY_BYTES_MAX)
                return 0;
        if (mdb_env_stat(l->env, &stat) || stat.ms_entries)
                return 0;
        lmdb_env_close(l);
        if (unlinkat(l->dir_fd, "store.mdb", 0) < 0)
                return -errno;
        return lmdb_env_open(l);
}

int bt_engine_lmdb_open(struct bt_engine **ret_engine, const char *dir)
{
        struct lmdb *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->engine.ops = &lmdb_ops;
        l->lock_fd = l->dir_fd = -1;
        r = asprintf(&l->path, "%s/store.mdb", dir) < 0 ? (l->path = NULL, -ENOMEM) : lmdb_lock(l, dir);
        if (!r)
                r = lmdb_env_open(l);
        if (r == BT_ENGINE_E_DAMAGED)
                r = lmdb_mend(&l->engine, r);
        if (!r)
                r = lmdb_drop_if_empty(l);
        /* The names of new files must be as durable as what will be in them. */
        if (!r && fsync(l->dir_fd) < 0)
                r = -errno;
        if (r) {
                lmdb_close(&l->engine);
                return r == BT_ENGINE_E_ROOM ? -ENOSPC : r < 0 ? r : -EIO;
        }
        *ret_engine = &l->engine;
        return 0;
}
