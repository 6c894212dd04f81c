/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See floor_lmdb.h. Opening the environment is no part of a write: the hub has its store open when it is told to stop. It is part of a read, as it is of
 * a start.
 */
#include "bench/floor_lmdb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lmdb.h>

#include "base/clock.h"
#include "bench/process.h"

/* LMDB's own results are negative too, and outside of errno's range. */
static int fold(int r, const char *what)
{
        if (r)
                bench_complain("bare LMDB, %s: %s", what, mdb_strerror(r));
        return r > 0 ? -r : r ? -EIO : 0;
}

static int env_open(MDB_env **ret_env, const char *folder, uint64_t bytes, int fresh)
{
        char path[256], file[300];
        int r;

        (void)snprintf(path, sizeof(path), "%s/floor", folder);
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return -errno;
        for (int i = 0; fresh && i < 2; i++) {
                (void)snprintf(file, sizeof(file), "%s/%s", path, i ? "lock.mdb" : "data.mdb");
                (void)unlink(file);
        }
        r = mdb_env_create(ret_env);
        if (!r)
                r = mdb_env_set_mapsize(*ret_env, bytes);
        return fold(r ? r : mdb_env_open(*ret_env, path, 0, 0600), "opening");
}

static int write_all(MDB_env *env, uint32_t count, uint64_t bytes, void *payload)
{
        MDB_txn *txn;
        MDB_dbi dbi;
        int r = mdb_txn_begin(env, NULL, 0, &txn);

        if (r)
                return r;
        r = mdb_dbi_open(txn, NULL, 0, &dbi);
        for (uint32_t i = 0; !r && i < count; i++) {
                MDB_val key = {sizeof(i), &i}, value = {bytes, payload};

                r = mdb_put(txn, dbi, &key, &value, 0);
        }
        if (!r)
                return mdb_txn_commit(txn);
        mdb_txn_abort(txn);
        return r;
}

int bench_lmdb_write(const char *folder, uint32_t count, uint64_t bytes, uint64_t *ret_ns)
{
        MDB_env *env = NULL;
        char *payload = malloc(bytes);
        uint64_t begun;
        int r = payload ? env_open(&env, folder, (count + 16) * (bytes + 8192) * 2 + (1 << 20), 1)
                        : -ENOMEM;

        if (!r) {
                memset(payload, 7, bytes);
                begun = bt_now_ns();
                r = fold(write_all(env, count, bytes, payload), "writing");
                *ret_ns = bt_now_ns() - begun;
        }
        if (env)
                mdb_env_close(env);
        free(payload);
        return r;
}

static volatile uint64_t sum; /* so that what is read is read */

static int read_all(MDB_env *env, uint32_t count, uint64_t bytes)
{
        MDB_txn *txn;
        MDB_dbi dbi;
        int r = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

        if (r)
                return r;
        r = mdb_dbi_open(txn, NULL, 0, &dbi);
        for (uint32_t i = 0; !r && i < count; i++) {
                MDB_val key = {sizeof(i), &i}, value;

                r = mdb_get(txn, dbi, &key, &value);
                if (!r && value.mv_size != bytes)
                        r = MDB_CORRUPTED;
                for (size_t at = 0; !r && at + 8 <= bytes; at += 8) {
                        uint64_t word;

                        memcpy(&word, (const char *)value.mv_data + at, sizeof(word));
                        sum += word;
                }
        }
        mdb_txn_abort(txn);
        return r;
}

int bench_lmdb_read(const char *folder, uint32_t count, uint64_t bytes, uint64_t *ret_ns)
{
        MDB_env *env = NULL;
        uint64_t begun = bt_now_ns();
        int r = env_open(&env, folder, (count + 16) * (bytes + 8192) * 2 + (1 << 20), 0);

        if (!r)
                r = fold(read_all(env, count, bytes), "reading");
        if (env)
                mdb_env_close(env);
        *ret_ns = bt_now_ns() - begun;
        return r;
}
