/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the table of verbs says, in the formats of others: `baton manual` is the page baton(1), `baton completion SHELL` what a shell
 * completes. Both are made when baton is built, and installed. A verb or an option has its one line in verbs.c and is everywhere.
 *
 *      eval "$(baton completion bash)"
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/baton/verbs.h"

/* ---- the page ---- */

/* Text of a page: its own characters, at the beginning of a line too. */
static void roff(const char *text)
{
        for (; *text; text++) {
                if (*text == '-' || *text == '\\')
                        (void)fputc('\\', stdout);
                if (*text == '\\')
                        (void)fputc('e', stdout);
                else
                        (void)fputc(*text, stdout);
        }
}

static void roff_option(const struct argp_option *option)
{
        (void)fputs(".TP\n", stdout);
        if (option->key > ' ' && option->key < 127)
                (void)printf("\\fB\\-%c\\fR, ", option->key);
        (void)fputs("\\fB\\-\\-", stdout);
        roff(option->name);
        (void)fputs("\\fR", stdout);
        if (option->arg) {
                bool optional = option->flags & OPTION_ARG_OPTIONAL;

                (void)fputs(optional ? "[=\\fI" : "=\\fI", stdout);
                roff(option->arg);
                (void)fputs(optional ? "\\fR]" : "\\fR", stdout);
        }
        (void)fputs("\n\\&", stdout);
        roff(option->doc);
        (void)fputs(".\n", stdout);
}

static void roff_verb(const struct bt_verb *verb)
{
        (void)printf(".SS baton %s", verb->name);
        if (verb->args)
                (void)printf(" \\fI%s\\fR", verb->args);
        (void)fputs("\n\\&", stdout);
        roff(verb->summary);
        (void)fputs(".\n", stdout);
        for (const struct argp_option *option = verb->options; option->name; option++)
                roff_option(option);
}

static const char page_head[] =
        ".TH BATON 1 \"\" \"baton " BATON_VERSION "\" \"User Commands\"\n"
        ".SH NAME\n"
        "baton \\- runs worker processes and replaces them while their work goes on\n"
        ".SH SYNOPSIS\n"
        ".B baton\n"
        "\\fIVERB\\fR [\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n"
        ".SH VERBS\n";

static const char page_tail[] =
        ".SH EXIT STATUS\n"
        ".TP\n0\ndone\n.TP\n1\nfailed, or rolled back\n.TP\n2\nwrong words on the command line, or "
        "an invalid configuration\n"
        ".TP\n3\nno such child or node\n.TP\n4\nthe hub does not run\n.TP\n5\ntimed out\n"
        ".SH ENVIRONMENT\n"
        ".TP\n\\fBBATON_HUB\\fR\nwhich hub, when \\fB\\-\\-hub\\fR does not say\n"
        ".TP\n\\fBBATON_RUNTIME_DIR\\fR\nsockets of hubs; else /run/baton for root, else "
        "$XDG_RUNTIME_DIR/baton\n"
        ".TP\n\\fBBATON_STATE_DIR\\fR\nstores of hubs; else /var/lib/baton for root, else "
        "$XDG_STATE_HOME/baton\n";

int bt_verb_manual(struct bt_command *command)
{
        const struct bt_verb *verb;

        (void)command;
        (void)fputs(page_head, stdout);
        for (size_t i = 0; (verb = bt_verb_at(i)); i++)
                roff_verb(verb);
        (void)fputs(page_tail, stdout);
        return BT_EXIT_OK;
}

/* ---- completions ---- */

static void verb_names(void)
{
        const struct bt_verb *verb;

        for (size_t i = 0; (verb = bt_verb_at(i)); i++)
                (void)printf("%s%s", i ? " " : "", verb->name);
}

static void option_names(const struct bt_verb *verb)
{
        for (const struct argp_option *option = verb->options; option->name; option++)
                (void)printf("--%s%s ", option->name,
                             option->arg && !(option->flags & OPTION_ARG_OPTIONAL) ? "=" : "");
}

/* "a, b or c" as "a b c" */
static void words_of(const struct bt_verb *verb)
{
        for (const char *at = verb->missing; *at;) {
                size_t bytes = strcspn(at, ", ");

                if (bytes && !(bytes == 2 && !memcmp(at, "or", 2)))
                        (void)printf("%.*s ", (int)bytes, at);
                at += bytes + strspn(at + bytes, ", ");
        }
}

/* The first argument of @verb, as the shell asks for it. */
static void bash_argument(const struct bt_verb *verb)
{
        const char *args = verb->args ? verb->args : "";

        if (strstr(args, "CHILD"))
                (void)printf("        %s) words=$(_baton_children) ;;\n", verb->name);
        else if (strstr(args, "WORD")) {
                (void)printf("        %s) words='", verb->name);
                words_of(verb);
                (void)fputs("' ;;\n", stdout);
        } else if (strstr(args, "VERB")) {
                (void)printf("        %s) words='", verb->name);
                verb_names();
                (void)fputs("' ;;\n", stdout);
        }
}

static void bash(void)
{
        const struct bt_verb *verb;

        (void)fputs("_baton_children() {\n"
                    "    baton status --json 2>/dev/null | sed -n "
                    "'s/^{\"child\":\"\\(\\([^\"/]*\\)[^\"]*\\)\".*/\\1 \\2/p'\n"
                    "}\n"
                    "_baton() {\n"
                    "    local cur=$2 verb=${COMP_WORDS[1]} words=\n"
                    "    COMPREPLY=()\n"
                    "    if ((COMP_CWORD == 1)); then\n"
                    "        words='",
                    stdout);
        verb_names();
        (void)fputs("'\n"
                    "    elif [[ $cur == -* ]]; then\n"
                    "        case $verb in\n",
                    stdout);
        for (size_t i = 0; (verb = bt_verb_at(i)); i++) {
                (void)printf("        %s) words='", verb->name);
                option_names(verb);
                (void)fputs("' ;;\n", stdout);
        }
        (void)fputs("        esac\n"
                    "    elif ((COMP_CWORD == 2)); then\n"
                    "        case $verb in\n",
                    stdout);
        for (size_t i = 0; (verb = bt_verb_at(i)); i++)
                bash_argument(verb);
        (void)fputs("        esac\n"
                    "    fi\n"
                    "    [[ -z $words ]] || COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                    "    [[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null\n"
                    "}\n"
                    "complete -o default -F _baton baton\n",
                    stdout);
}

/* In single quotes. */
static void fish_text(const char *text)
{
        (void)fputc('\'', stdout);
        for (; *text; text++) {
                if (*text == '\'' || *text == '\\')
                        (void)fputc('\\', stdout);
                (void)fputc(*text, stdout);
        }
        (void)fputc('\'', stdout);
}

static void fish(void)
{
        const struct bt_verb *verb;

        for (size_t i = 0; (verb = bt_verb_at(i)); i++) {
                (void)printf("complete -c baton -n __fish_use_subcommand -a %s -d ", verb->name);
                fish_text(verb->summary);
                (void)fputc('\n', stdout);
                for (const struct argp_option *option = verb->options; option->name; option++) {
                        (void)printf(
                                "complete -c baton -n '__fish_seen_subcommand_from %s' -l %s%s -d ",
                                verb->name, option->name,
                                option->arg && !(option->flags & OPTION_ARG_OPTIONAL) ? " -r" : "");
                        fish_text(option->doc);
                        (void)fputc('\n', stdout);
                }
        }
}

int bt_verb_completion(struct bt_command *command)
{
        const char *shell = command->arg;

        if (!strcmp(shell, "fish")) {
                fish();
        } else if (!strcmp(shell, "bash")) {
                bash();
        } else if (!strcmp(shell, "zsh")) {
                (void)fputs("autoload -U +X bashcompinit && bashcompinit\n", stdout);
                bash();
        } else {
                bt_complain("'%s' is no shell that is known here: bash, zsh or fish", shell);
                return BT_EXIT_USAGE;
        }
        return BT_EXIT_OK;
}
