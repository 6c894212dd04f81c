/* SPDX-License-Identifier: Apache-2.0 */
/*
 *      child_half HUB TARGET
 *
 * A client that claims a place in the target's mailbox, says so on stdout, and never gets further: to be killed in the middle of a push.
 */
#include <stdio.h>
#include <unistd.h>

#include "client-api/client.h"

int main(int argc, char **argv)
{
        struct baton_client *client = NULL;
        struct baton_target *target = NULL;
        uint64_t pos;

        if (argc != 3 || baton_client_open(&client, argv[1], NULL, NULL) ||
            baton_client_target(&target, client, argv[2], NULL, NULL) ||
            bt_mailbox_claim(&bt_route(target, 0)->view, client->number, &pos))
                return 1;
        (void)puts("claimed");
        (void)fflush(stdout);
        for (;;)
                (void)pause();
}
