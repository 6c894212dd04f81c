/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <baton/errors.h>

const char *baton_strerror(int error)
{
        const char *text;

        if (error < 0)
                error = -error;
        switch ((enum baton_error)error) {
        case BATON_E_STALE:
                return "a newer incarnation owns the baton";
        case BATON_E_TOO_BIG:
                return "larger than the child's configuration allows";
        case BATON_E_SCHEMA:
                return "the state's schema cannot be read by this program";
        case BATON_E_CORRUPT:
                return "the state is corrupt";
        case BATON_E_LAYOUT:
                return "shared memory of another version or machine";
        case BATON_E_PROTOCOL:
                return "call not allowed at this point";
        case BATON_E_FORKED:
                return "handle used in a fork of its process";
        case BATON_E_FDS:
                return "descriptors of the hand-over are missing";
        case BATON_E_ADDRESS:
                return "the arena's address is taken in this process";
        case BATON_E_TORN:
                return "the arena's holder died in the middle of an update";
        case BATON_E_GONE:
                return "the hub is gone";
        case BATON_E_SET_ASIDE:
                return "the message was set aside: every process that had it in hand died";
        case BATON_E_BASE:
                break;
        }
        text = strerrordesc_np(error); /* constant strings, unlike strerror() */
        return text ? text : "unknown error";
}
