/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transaction, tried again where the engine says that this helps: the map was too small, the file was broken and has been set aside, the
 * engine had to be opened anew. A body is therefore written so that it can be run from its start any number of times.
 */
#include "supervisor/store/store_tx.h"

#include <errno.h>

#include "base/check.h"
#include "supervisor/store/store.h"
#include "supervisor/store/store_key.h"

static int transact_once(struct bt_engine *engine, bool write, uint64_t need, bt_tx_body_fn body, void *ctx)
{
        int r = engine->ops->begin(engine, write, need);

        if (r)
                return r;
        r = body(engine, ctx);
        if (r || !write) {
                engine->ops->abort(engine);
                return r;
        }
        return engine->ops->commit(engine);
}

int bt_tx_run(struct bt_engine *engine, bool write, uint64_t need, bt_tx_body_fn body, void *ctx, bool *ret_mended)
{
        int r = -EIO;

        for (int tries = 0; tries < BT_TX_TRIES_MAX; tries++) {
                r = transact_once(engine, write, need, body, ctx);
                if (r != BT_ENGINE_E_FULL && r != BT_ENGINE_E_DAMAGED && r != BT_ENGINE_E_STUCK)
                        return r;
                if (ret_mended && r == BT_ENGINE_E_DAMAGED)
                        *ret_mended = true;
                r = engine->ops->mend(engine, r);
                if (r)
                        return r;
        }
        return r ? r : -EIO;
}

int bt_tx_result(int r)
{
        switch (r) {
        case BT_ENGINE_OK:
                return BT_STORE_OK;
        case BT_ENGINE_E_ABSENT:
                return BT_STORE_E_ABSENT;
        case BT_ENGINE_E_ROOM:
                return BT_STORE_E_ROOM;
        default:
                return r < 0 ? bt_fold(r) : -EIO;
        }
}

int bt_tx_del_prefix(struct bt_engine *engine, const struct bt_key *prefix)
{
        for (;;) {
                struct bt_key key;
                struct bt_value value;
                int r = engine->ops->seek(engine, prefix, &key, &value);

                if (r == BT_ENGINE_E_ABSENT || (!r && !bt_key_begins(&key, prefix)))
                        return 0;
                if (r)
                        return r;
                r = engine->ops->del(engine, &key);
                if (r)
                        return r;
        }
}
