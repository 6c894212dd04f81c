/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of the hub as a whole: how long a stop may take, how many children of one request migrate at the same time, when a move that failed is tried
 * again. They are read before the
 * children, because each child's own limits are compared with them (check.c).
 */
#include <string.h>

#include "base/clock.h"
#include "supervisor/baton/reader.h"
#include "supervisor/baton/value.h"

static void read_shutdown_timeout(struct bt_reader *reader, const struct bt_yaml *node)
{
        const char *text = bt_read_text(reader, node, "shutdown_timeout");
        uint64_t ns = 0;
        const char *wrong;

        if (!text || !strcmp(text, "infinity"))
                return;
        wrong = bt_value_duration(&ns, text, BT_NS_PER_MS);
        if (wrong)
                bt_diag_error(reader->diag, node->mark, "'shutdown_timeout' is '%s': %s, or the word infinity", text, wrong);
        else if (ns < BT_NS_PER_MS)
                bt_diag_error(reader->diag, node->mark, "'shutdown_timeout' is '%s': it must be at least 1 ms", text);
        else
                reader->config->shutdown_timeout_ns = ns;
}

static void read_max_parallel(struct bt_reader *reader, const struct bt_yaml *node)
{
        const char *text = bt_read_text(reader, node, "max_parallel");
        uint64_t number = 0;
        const char *wrong = text ? bt_value_number(&number, text, 1, BT_PLAN_CHILDREN_MAX) : NULL;

        if (wrong)
                bt_diag_error(reader->diag, node->mark, "'max_parallel' is '%s': %s (1 to %d)", text, wrong, BT_PLAN_CHILDREN_MAX);
        else if (text)
                reader->config->max_parallel = (uint32_t)number;
}

void bt_read_limits(struct bt_reader *reader, const struct bt_yaml *root)
{
        const struct bt_yaml *shutdown = bt_yaml_get(root, "shutdown_timeout");
        const struct bt_yaml *parallel = bt_yaml_get(root, "max_parallel");
        const struct bt_yaml *retry = bt_yaml_get(root, "move_retry");
        struct bt_config *config = reader->config;

        if (shutdown)
                read_shutdown_timeout(reader, shutdown);
        if (parallel)
                read_max_parallel(reader, parallel);
        config->move_retry_min_ns = 10 * BT_NS_PER_S;
        config->move_retry_max_ns = 600 * BT_NS_PER_S;
        if (retry)
                bt_read_backoff(reader, retry, "move_retry", &config->move_retry_min_ns,
                                &config->move_retry_max_ns);
}
