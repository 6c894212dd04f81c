/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "What can you read?", asked by a hub before it ends the process that serves. The answer is all that this process was started for, so it ends here,
 * with _exit(): what the program registered for its end has not begun and must not run.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child-api/child.h"
#include "shm/describe.h"

void bt_child_answer_describe(const struct baton_child_ops *ops)
{
        /* Open happens before other threads use the environment: see baton_child_open(). NOLINTNEXTLINE(concurrency-mt-unsafe) */
        const char *text = getenv(BT_DESCRIBE_VARIABLE);
        struct bt_description description = {
                .magic = BT_MAGIC_DESCRIPTION,
                .layout = BT_LAYOUT_VERSION,
                .abi = BT_ABI_THIS,
                .version = ops->version,
                .version_oldest = ops->version_oldest,
        };
        char *end = NULL;
        long fd = text ? strtol(text, &end, 10) : -1;

        if (!text)
                return;
        (void)snprintf(description.schema, sizeof(description.schema), "%s", ops->schema ? ops->schema : "");
        if (end == text || *end || fd < 3 || write((int)fd, &description, sizeof(description)) != (ssize_t)sizeof(description))
                _exit(1);
        _exit(0);
}

int baton_child_describe(const struct baton_child_ops *ops)
{
        if (!ops || ops->size < offsetof(struct baton_child_ops, version_oldest) + sizeof(ops->version_oldest))
                return -EINVAL;
        bt_child_answer_describe(ops);
        return 0;
}
