/* SPDX-License-Identifier: Apache-2.0 */
#include "base/huge.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#define CHOICE "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

const char *bt_huge_chosen(char ret_text[BT_HUGE_TEXT], const char *line)
{
        const char *begin = strchr(line, '[');
        size_t bytes = begin ? strcspn(begin + 1, "]") : 0;

        ret_text[0] = '\0';
        if (bytes && bytes < BT_HUGE_TEXT && begin[1 + bytes] == ']')
                (void)snprintf(ret_text, BT_HUGE_TEXT, "%.*s", (int)bytes, begin + 1);
        return ret_text;
}

const char *bt_huge_choice(char ret_text[BT_HUGE_TEXT])
{
        char line[128];
        int fd = open(CHOICE, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);

        (void)bt_close(fd);
        line[n > 0 ? n : 0] = '\0';
        return bt_huge_chosen(ret_text, line);
}

bool bt_huge_given(void)
{
        char text[BT_HUGE_TEXT];

        (void)bt_huge_choice(text);
        return *text && strcmp(text, "never") != 0 && strcmp(text, "deny") != 0;
}
