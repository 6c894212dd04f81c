/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `batond --rehearse`: another hub asks this program whether it could go on in its place. It reads all that it would be given, makes the ring that it would need,
 * and touches nothing: it has a copy, no descriptor of the hub's, and no right to its directories.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "supervisor/carry.h"
#include "supervisor/loop/loop.h"
#include "supervisor/renew.h"

__attribute__((format(printf, 1, 2))) static int cannot(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vfprintf(stderr, format, args);
        va_end(args);
        (void)fputc('\n', stderr);
        return 1;
}

/* Sockets are numbered by the plan. */
static bool sockets_known(const struct bt_carry *carry, const struct bt_plan_view *plan)
{
        for (size_t i = 0; carry->items[i]; i++) {
                const struct bt_carry_socket *socket = bt_carry_at(carry->items[i]);

                if (carry->items[i]->kind == BT_CARRY_SOCKET &&
                    socket->idx >= plan->plan->socket_count)
                        return false;
        }
        return true;
}

static int check_plan(const struct bt_carry *carry, int fd)
{
        struct bt_plan_view plan = {0};
        const char *error = "";
        int r = bt_plan_open(&plan, fd, &error);
        bool known;

        if (r)
                return cannot("the plan is not usable: %s", error ? error : strerrordesc_np(-r));
        known = sockets_known(carry, &plan);
        bt_plan_close(&plan);
        return known ? 0 : cannot("it has a socket that is not in the plan");
}

static int check_loop(void)
{
        char reason[BT_LOOP_REASON_BYTES] = "";
        struct bt_loop *loop = NULL;
        int r = bt_loop_new(&loop, reason);

        (void)bt_loop_free(loop);
        return r ? cannot("%s", reason) : 0;
}

int bt_rehearse(int carry_fd, int plan_fd)
{
        struct bt_rehearsed says = {.magic = BT_REHEARSED_MAGIC};
        char why[BT_CARRY_WHY_BYTES] = "";
        struct bt_carry *carry = NULL;
        int r = bt_carry_open(&carry, carry_fd, why);

        if (r)
                return cannot("%s", why);
        r = check_plan(carry, plan_fd);
        if (!r)
                r = check_loop();
        says.xxh3 = carry->xxh3;
        says.children = carry->child_count;
        (void)bt_carry_free(carry);
        if (r)
                return r;
        BT_POINT("rehearse.say");
        return bt_write_all(STDOUT_FILENO, &says, sizeof(says)) ? cannot("nobody listens") : 0;
}
