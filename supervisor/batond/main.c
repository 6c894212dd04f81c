/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: maps a plan and runs a hub until it is told to stop. It is started by `baton run`, which has checked the configuration.
 *
 *      batond --plan FD [--ready-fd FD]
 *
 * --ready-fd: gets a newline when the first start of all children is over.
 *
 * Three other ways are its own (docs/upgrade.md, supervisor/keeper.h): `--keep`, `--rehearse`, and `--carry FD --lock FD` with a plan, when it goes on in
 * place of another program in the same process.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/hub.h"
#include "supervisor/keeper.h"
#include "supervisor/renew.h"

/* The number after @name, made close-on-exec; -1: not given; -2: nonsense. */
static int fd_argument(int argc, char **argv, const char *name)
{
        for (int i = 1; i + 1 < argc; i++) {
                char *end;
                long fd;

                if (strcmp(argv[i], name) != 0)
                        continue;
                fd = strtol(argv[i + 1], &end, 10);
                if (*end || end == argv[i + 1] || fd < 0 || fd > INT32_MAX || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
                        return -2;
                return (int)fd;
        }
        return -1;
}

static int run(int argc, char **argv)
{
        const struct bt_hub_start start = {.plan_fd = fd_argument(argc, argv, "--plan"),
                                           .ready_fd = fd_argument(argc, argv, "--ready-fd"),
                                           .carry_fd = fd_argument(argc, argv, "--carry"),
                                           .lock_fd = fd_argument(argc, argv, "--lock")};

        if (start.plan_fd < 0 || start.ready_fd < -1 || start.carry_fd < -1 || start.lock_fd < -1) {
                (void)fprintf(stderr, "usage: batond --plan FD [--ready-fd FD]\n"
                                      "batond is started by `baton run FILE`.\n");
                return 2;
        }
        return bt_hub_run(&start);
}

int main(int argc, char **argv)
{
        if (argc == 2 && !strcmp(argv[1], "--keep")) /* by the hub itself: keeper.h */
                return bt_keeper_run(BT_KEEPER_HUB_FD, BT_KEEPER_LISTENER_FD);
        if (argc == 2 && !strcmp(argv[1], "--rehearse")) /* by another hub: renew.h */
                return bt_rehearse(BT_REHEARSE_CARRY_FD, BT_REHEARSE_PLAN_FD);
        return run(argc, argv);
}
