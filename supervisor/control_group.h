/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Groups, for those who ask for the status of a hub. */

#include <stdbool.h>

struct bt_client;
struct bt_hub;

/* One GROUPS, when there are groups. True: it could not be sent, @client was told so, and may be gone. */
bool bt_group_tell(struct bt_client *client, const struct bt_hub *hub);
