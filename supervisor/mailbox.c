/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/scm.h"

/* Takes NULL; returns it. */
static struct bt_mail *mail_free(struct bt_mail *mail)
{
        if (!mail)
                return NULL;
        bt_seg_detach(&mail->seg);
        bt_seg_detach(&mail->desk_seg);
        (void)bt_close(mail->fd);
        (void)bt_close(mail->desk_fd);
        (void)bt_close(mail->bell);
        free(mail);
        return NULL;
}

static void mail_freep(struct bt_mail **mail)
{
        *mail = mail_free(*mail);
}

static struct bt_mail *mail_new(void)
{
        struct bt_mail *mail = calloc(1, sizeof(*mail));

        if (mail)
                mail->fd = mail->desk_fd = mail->bell = -1;
        return mail;
}

static int mail_make(const struct bt_child *child, struct bt_mail *mail)
{
        const struct bt_plan_child *spec = child->spec;
        const struct bt_mailbox_shape shape = {.slot_count = spec->mailbox_slots,
                                               .payload_bytes = spec->mailbox_bytes,
                                               .spin_ns = spec->mailbox_spin_ns,
                                               .shared = spec->mailbox_shared};
        int r = bt_mailbox_create(&mail->seg, &mail->fd, shape.shared ? child->pool : child->id, &shape);

        if (r)
                return r;
        bt_assert(bt_mailbox_look(&mail->view, &mail->seg)); /* of our own making */
        /* A shared bell is a count: a member that hears it leaves the rest to the others. */
        mail->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (shape.shared ? EFD_SEMAPHORE : 0));
        return mail->bell < 0 ? -errno : 0;
}

int bt_mail_open(struct bt_child *child)
{
        const struct bt_plan_child *spec = child->spec;
        BT_CLEANUP(mail_freep) struct bt_mail *mail = NULL;
        int r;

        if (!spec->mailbox_slots)
                return 0;
        mail = mail_new();
        if (!mail)
                return -ENOMEM;
        r = bt_desk_create(&mail->desk_seg, &mail->desk_fd, BT_MAILBOX_BYTES_MAX, spec->mailbox_undo_bytes);
        if (r)
                return r;
        mail->desk = mail->desk_seg.at;
        mail->desk->deliveries_max = spec->mailbox_deliveries;
        r = spec->mailbox_shared ? bt_mail_join(child, mail) : 1;
        if (r > 0)
                r = mail_make(child, mail);
        if (!r)
                child->mail = BT_STEAL(mail);
        return r;
        return 0;
}

void bt_mail_ring(const struct bt_mail *mail)
{
        const uint64_t one = 1;

        (void)!write(mail->bell, &one, sizeof(one)); /* full: it is ringing */
}

void bt_mail_close(struct bt_child *child)
{
        if (!child->mail)
                return;
        if (bt_mail_last(child)) {
                atomic_store(&child->mail->view.mb->gate, BT_MAILBOX_CLOSED);
                bt_mailbox_tell_room(&child->mail->view);
        } else {
                bt_mail_return(child);
        }
        child->mail = mail_free(child->mail);
}

int bt_mail_take_up(struct bt_child *child, const int fds[_BT_LINK_MAIL_N])
{
        BT_CLEANUP(mail_freep) struct bt_mail *mail = mail_new();
        int r;

        if (!mail) {
                for (int i = 0; i < _BT_LINK_MAIL_N; i++)
                        (void)bt_close(fds[i]);
                return -ENOMEM;
        }
        mail->fd = fds[BT_LINK_MAIL_BOX];
        mail->desk_fd = fds[BT_LINK_MAIL_DESK];
        mail->bell = fds[BT_LINK_MAIL_BELL];
        if (mail->fd < 0 || mail->desk_fd < 0 || mail->bell < 0)
                return -EBADF;
        r = bt_mailbox_attach(&mail->seg, &mail->view, mail->fd);
        if (!r)
                r = bt_desk_attach(&mail->desk_seg, mail->desk_fd);
        if (r)
                return r < 0 ? r : -EPROTO;
        mail->desk = mail->desk_seg.at;
        if (mail->view.shared != (child->spec->mailbox_shared != 0))
                return -EPROTO; /* the configuration has changed meanwhile */
        mail->taken_up = true;
        (void)mail_free(child->mail); /* nobody has seen it */
        child->mail = BT_STEAL(mail);
        return bt_mail_gather(child);
}

int bt_mail_adopt(struct bt_child *child, const struct bt_found *found)
{
        int fds[_BT_LINK_MAIL_N];

        if (found->link->mail_fds[BT_LINK_MAIL_BOX] <= 0)
                return 0;
        for (int i = 0; i < _BT_LINK_MAIL_N; i++)
                fds[i] = bt_proc_getfd(found->pidfd, found->link->mail_fds[i]);
        return bt_mail_take_up(child, fds);
}

void bt_mail_show(const struct bt_child *child)
{
        if (child->mail && !bt_mail_shared(child)) /* in a shared one it waits for whoever is free */
                atomic_store(&child->mail->view.mb->gate, child->phase == BT_PHASE_RUNNING ? BT_MAILBOX_OPEN : BT_MAILBOX_SWAPPING);
}

void bt_mail_describe(const struct bt_child *child, struct bt_slot *slot)
{
        const struct bt_mail *mail = child->mail;

        if (!mail)
                return;
        slot->mail_slots = mail->view.slot_count;
        slot->mail_depth = bt_mailbox_depth(&mail->view);
        slot->mail_full = atomic_load(&mail->view.mb->full);
        slot->mail_set_aside = atomic_load(&mail->desk->set_aside);
}

/* Also a process that sleeps is to empty its channel now and then. One that is parked does it when it holds. */
static void ring_channel(const struct bt_inc *inc)
{
        const uint64_t much = BT_BELL_CHANNEL;

        (void)!write(inc->bell, &much, sizeof(much));
}

int bt_mail_introduce(struct bt_inc *inc, uint32_t client, int seg_fd, int bell_fd)
{
        const struct bt_chan msg = {.type = BT_CHAN_CLIENT, .token = client};
        const int fds[BT_CHAN_FDS_MAX] = {seg_fd, bell_fd};
        int r = inc->link ? bt_scm_send(inc->channel, &msg, sizeof(msg), fds, BT_CHAN_FDS_MAX) : -ENOTCONN;

        if (!r)
                ring_channel(inc);
        return r;
}

void bt_mail_dismiss(struct bt_inc *inc, uint32_t client)
{
        const struct bt_chan msg = {.type = BT_CHAN_CLIENT_GONE, .token = client};

        if (inc->link && !bt_scm_send(inc->channel, &msg, sizeof(msg), NULL, 0))
                ring_channel(inc);
}

void bt_mail_repair(struct bt_child *child, uint32_t owner)
{
        if (!child->mail)
                return;
        (void)bt_mailbox_repair(&child->mail->view, owner);
        bt_mail_ring(child->mail); /* also for what it had published and did not ring for any more */
}

bool bt_mail_torn(const struct bt_child *child, const struct bt_baton *baton)
{
        return atomic_load(&baton->bracket) != 0 && !(child->mail && bt_desk_repairs(child->mail->desk, baton));
}

void bt_mail_settle(struct bt_child *child)
{
        uint64_t bytes = (child->spec->state_bytes_max + BT_PAGE_BYTES - 1) & ~(uint64_t)(BT_PAGE_BYTES - 1);
        struct bt_baton *baton = child->holding->baton;
        void *arena;

        if (child->spec->state_form != BATON_STATE_ARENA || !atomic_load(&baton->bracket) || bt_mail_torn(child, baton))
                return;
        /* Nothing of this is taken from the head, where a child can write. */
        arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, child->holding->fd, sizeof(*baton));
        if (arena == MAP_FAILED)
                return;
        (void)bt_desk_recover(child->mail->desk, baton, arena, bytes); /* when it fails it stays torn */
        (void)munmap(arena, bytes);
}
