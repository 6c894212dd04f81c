/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mailbox that the members of a pool share (shm/share.h), the hub's side. There is no object for it: each member has descriptors and a mapping of its own of the
 * same segment, so it lives as long as one of them, is kept and found again with any of them, and has no owner to be asked.
 *
 * What the hub does for it: a new member joins the others; a process that ended has what it had in hand put back; clients are told of one mailbox by the pool's name.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/check.h"
#include "base/fd.h"
#include "supervisor/callers.h"
#include "supervisor/mailbox.h"

bool bt_mail_shared(const struct bt_child *child)
{
        return child->mail && child->mail->view.shared;
}

static bool same_pool(const struct bt_child *a, const struct bt_child *b)
{
        return a != b && bt_mail_shared(b) && !strcmp(a->pool, b->pool);
}

/* The first other member that is there; NULL: none. */
static struct bt_child *other_member(const struct bt_child *child)
{
        bt_hub_foreach_child(other, child->hub)
        {
                if (same_pool(child, other))
                        return other;
        }
        return NULL;
}

bool bt_mail_last(const struct bt_child *child)
{
        return !bt_mail_shared(child) || !other_member(child);
}

bool bt_mail_speaks(const struct bt_child *child)
{
        if (!bt_mail_shared(child))
                return true;
        bt_hub_foreach_child(other, child->hub)
        {
                if (other == child || same_pool(child, other))
                        return other == child;
        }
        return true;
}

const char *bt_mail_name(const struct bt_child *child)
{
        return bt_mail_shared(child) ? child->pool : child->id;
}

/* ---- joining ---- */

/* The smallest number that no other member has; BT_MAILBOX_SHARERS_MAX: there is none. */
static uint32_t sharer_free(const struct bt_child *child)
{
        uint64_t used[BT_MAILBOX_SLEEPER_WORDS] = {0};

        bt_hub_foreach_child(other, child->hub)
        {
                uint32_t sharer = same_pool(child, other) ? other->mail->desk->sharer
                                                          : BT_MAILBOX_SHARERS_MAX;

                if (sharer < BT_MAILBOX_SHARERS_MAX)
                        used[sharer / 64] |= UINT64_C(1) << sharer % 64;
        }
        for (uint32_t i = 0; i < BT_MAILBOX_SHARERS_MAX; i++) {
                if (!(used[i / 64] >> i % 64 & 1))
                        return i;
        }
        return BT_MAILBOX_SHARERS_MAX;
}

/* Descriptors and a mapping of its own, of what @from has. */
static int mail_share(struct bt_mail *mail, const struct bt_mail *from)
{
        struct bt_seg seg = BT_SEG_NULL;
        struct bt_mailbox_view view;
        int fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0), bell = fcntl(from->bell, F_DUPFD_CLOEXEC, 0);
        int r = fd < 0 || bell < 0 ? -errno : bt_mailbox_attach(&seg, &view, fd);

        if (r) {
                (void)bt_close(fd);
                (void)bt_close(bell);
                return r < 0 ? r : -EPROTO;
        }
        bt_seg_detach(&mail->seg);
        (void)bt_close(mail->fd);
        (void)bt_close(mail->bell);
        mail->seg = seg;
        mail->view = view;
        mail->fd = fd;
        mail->bell = bell;
        return 0;
}

int bt_mail_join(struct bt_child *child, struct bt_mail *mail)
{
        const struct bt_child *other = other_member(child);
        uint32_t sharer = sharer_free(child);

        if (sharer == BT_MAILBOX_SHARERS_MAX)
                return -EMFILE;
        mail->desk->sharer = sharer;
        return other ? mail_share(mail, other->mail) : 1;
}

int bt_mail_gather(struct bt_child *child)
{
        if (!bt_mail_shared(child))
                return 0;
        bt_hub_foreach_child(other, child->hub)
        {
                if (!same_pool(child, other))
                        continue;
                if (other->mail->taken_up) {
                        if (other->mail->view.mb->head.epoch != child->mail->view.mb->head.epoch)
                                return -EPROTO;
                        continue;
                }
                if (mail_share(other->mail, child->mail))
                        return -EMFILE;
                other->mail->desk->sharer = sharer_free(other) % BT_MAILBOX_SHARERS_MAX;
        }
        return 0;
}

/* ---- after a death ---- */

void bt_mail_return(struct bt_child *child)
{
        if (!child->mail || bt_baton_word(child->holding->baton).phase != BT_WORD_VACANT)
                return;
        bt_callers_answer(child);
        if (!bt_mail_shared(child))
                return;
        (void)bt_share_settle(&child->mail->view, child->mail->desk);
        bt_mail_ring(
                child->mail); /* also for a message that it was woken for and did not take any more */
}

static bool claimed(const struct bt_child *child, uint64_t idx, uint32_t owner)
{
        const struct bt_desk *desk = child->mail->desk;
        uint64_t claim = atomic_load(&desk->claim);

        return claim && ((claim - 1) & (child->mail->view.slot_count - 1)) == idx &&
               atomic_load(&desk->claim_owner) == owner;
}

static bool claimed_by_any(const struct bt_child *child, uint64_t idx, uint32_t owner)
{
        if (claimed(child, idx, owner))
                return true;
        bt_hub_foreach_child(other, child->hub)
        {
                if (same_pool(child, other) && claimed(other, idx, owner))
                        return true;
        }
        return false;
}

/* A member and its desk died together with the hub, and the queue lives in others: nobody knows whether that message was done. */
static void put_back_orphans(struct bt_child *child)
{
        struct bt_mailbox_view *view = &child->mail->view;

        for (uint64_t i = 0; i < view->slot_count; i++) {
                struct bt_slot_word word =
                        bt_slot_unpack(atomic_load(&bt_mailbox_slot(view, i)->word));

                if (word.state == BT_SLOT_TAKEN && !claimed_by_any(child, i, word.owner))
                        bt_share_put_back(view, i, word.owner);
        }
        bt_mail_ring(child->mail);
}

void bt_mail_return_all(struct bt_hub *hub)
{
        bt_hub_foreach_child(child, hub)
        {
                bt_mail_return(child);
                if (bt_mail_shared(child) && bt_mail_speaks(child))
                        put_back_orphans(child);
        }
}
