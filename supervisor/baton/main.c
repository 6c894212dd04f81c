/* SPDX-License-Identifier: Apache-2.0 */
/* Alone in its file, so that tests can link all the rest. */
#include <unistd.h>

#include "supervisor/baton/command.h"

int main(int argc, char **argv)
{
        return bt_command_main(argc, argv, environ);
}
