/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that is forked from a zygote (docs/zygotes.md): one start, asked for once, with a death at every step, of the child, of the zygote and of the hub. For spin
 * (run.cmake runs it; the test is model_zygote).
 *
 * What is modelled: the request and the hello, what ties a forked child to its hub until it has the baton (child-api/zygote.c), the zygote's end and the end of
 * its socket, after which the start is made by exec (supervisor/zygote.c), the grant (bt_child_begun()), a restart after the child's death, and what a next hub finds
 * in the register (adopt.c). The kernel kills the zygote, up to CRASHES children and one hub, at any time until it calms down. A zygote that is stuck is killed by
 * its hub at any time. There may be a next hub or none.
 *
 * What must hold:
 *      I1   never two processes of the child that were given the same number, or that serve
 *      I4   when all is quiet and there is a hub, one process serves, and it is on record
 *      I8   a process that serves does not end with the hub; and when all is quiet and there is no hub, who is left is on record, so that a next one finds it
 *
 * -DPLANT_... plants a bug; the tests model_zygote_finds_... show that the properties see it.
 *
 * Not modelled: warming up, several starts at a time, a socket whose queue is full, swaps (their successor is such a child, too).
 */

#ifndef CRASHES
#define CRASHES 1
#endif
#define PROCS 6 /* 1 .. 5; 0 is nobody */

mtype = { VACANT, PASSED, HELD };                    /* the holder word */
mtype = { UNBORN, FORKED, OPENED, SERVES };          /* stages */

/* ---- shared memory, processes, the kernel ---- */

mtype phase = VACANT;
byte holder; /* a number */

mtype stage[PROCS] = UNBORN;
byte number[PROCS];   /* of the link that it was given */
bool alive[PROCS];
bool tied[PROCS];     /* PR_SET_PDEATHSIG */
bool ours[PROCS];     /* the parent is the hub that asked for it */
bool holds[PROCS];    /* it has the zygote's socket still */
bool gone[PROCS];     /* can be reaped */

bool zygote = true;   /* it lives */
chan asked = [1] of { byte };       /* number */
chan hello = [4] of { byte, byte }; /* number, process */

byte record_pid;      /* of the register's entry: 0, nobody is known by it */
byte record_number;   /* 0: there is no entry */

bool hub = true;
bool first = true;
byte crashes = CRASHES;
byte born;
byte number_next = 1;

#define SERVE(i) (alive[i] && stage[i] == SERVES)
#define SERVING (SERVE(1) + SERVE(2) + SERVE(3) + SERVE(4) + SERVE(5))
#define SOCKET (zygote || holds[1] || holds[2] || holds[3] || holds[4] || holds[5])
#define FOUND(i) (!alive[i] || record_pid == i) /* by a next hub */

inline hub_dies()
{
        d_step {
                hub = false;
                first = false;
                zygote = false;               /* it is tied, too */
                for (k : 1 .. PROCS - 1) {
                        if
                        :: alive[k] && tied[k] && ours[k] ->
                                assert(stage[k] != SERVES); /* I8 */
                                alive[k] = false
                        :: else
                        fi;
                        ours[k] = false
                }
                k = 0
        }
}

#define MAY_DIE(i) \
        :: atomic { alive[i] && crashes > 0 -> crashes--; alive[i] = false }

active proctype Kernel()
{
        byte k;

        do
        :: crashes > 0 -> crashes = 0         /* it calms down: so that there can be an end to look at */
        :: hub && first -> hub_dies()
        :: hub && first -> first = false
        :: zygote -> zygote = false           /* killed, or stuck and then killed */
        MAY_DIE(1)
        MAY_DIE(2)
        MAY_DIE(3)
        MAY_DIE(4)
        MAY_DIE(5)
        od
}

/* ---- a process of the child ---- */

proctype Proc(byte me; bool forked)
{
        bool is_ours;

{
        if
        :: !forked -> goto opened
        :: else
        fi;
        /* begin() */
#ifndef PLANT_NO_TIE
        tied[me] = true;
        is_ours = ours[me];
        if
        :: !is_ours -> goto ended
        :: else
        fi;
#endif
        hello!number[me], me;
        holds[me] = false;                    /* its copy of the socket is closed */
#ifdef PLANT_UNTIE_EARLY
        tied[me] = false;
#endif
opened:
        stage[me] = OPENED;
        (phase == PASSED && holder == number[me]);
        tied[me] = false;                     /* bt_child_zygote_known() */
        atomic {                              /* confirm */
                if
                :: phase == PASSED && holder == number[me] ->
                        phase = HELD;
                        stage[me] = SERVES;
                        assert(SERVING == 1)  /* I1 */
                :: else -> goto ended
                fi
        }
        false;
ended:
        alive[me] = false;
        false
} unless {
        atomic { !alive[me] -> stage[me] = UNBORN; tied[me] = false; holds[me] = false; is_ours = false; gone[me] = true; false }
}
}

inline begin_process(forked, n)
{
        d_step {
                born++;
                assert(born < PROCS);
                alive[born] = true;
                stage[born] = FORKED;
                number[born] = n;
                ours[born] = hub;             /* CLONE_PARENT: nobody's, when the hub has just died */
                holds[born] = forked
        }
        run Proc(born, forked)
}

active proctype Zygote()
{
        byte n;

{
        do
        :: atomic { asked?n -> begin_process(true, n); n = 0 }
        od
} unless {
        atomic { !zygote -> n = 0 }
}
}

/* ---- the hub ---- */

/* The process is there, and in the register: bt_child_begun(). */
inline known(who)
{
        record_pid = who;
        cur = who;
#ifndef PLANT_GRANT_AHEAD
        atomic { assert(phase == VACANT); phase = PASSED; holder = mine }
#endif
}

proctype Hub(bool next)
{
        byte mine, cur, n, who;
        bool waits; /* for a hello */

{
        /* adopt.c: who is in the register, if it lives. */
        if
        :: next -> atomic {
                cur = record_pid;
                mine = record_number;
                if
                :: cur && !alive[cur] -> cur = 0
                :: else
                fi;
                if
                :: !cur -> phase = VACANT; record_pid = 0; record_number = 0
                :: cur && phase == VACANT -> phase = PASSED; holder = mine /* it was not granted yet */
                :: else
                fi }
        :: else
        fi;

        do
        /* bt_child_start(): registered, with its number, before it exists */
        :: atomic { !cur && !waits -> mine = number_next; number_next++; record_number = mine; record_pid = 0 }
#ifdef PLANT_GRANT_AHEAD
                atomic { phase = PASSED; holder = mine }
#endif
                if
                :: atomic { zygote && !next -> asked!mine; waits = true } /* bt_zygote_fork() */
                :: atomic { begin_process(false, mine); who = born; record_pid = who }; known(who); who = 0
                fi
        :: atomic { waits && nempty(hello) -> hello?n, who;           /* said_forked() */
                assert(n == mine);                                    /* I1 */
                waits = false };
                known(who); atomic { n = 0; who = 0 }
        /* DYING: nobody has the socket any more, and all that was said was read: execute_all() */
#ifdef PLANT_EXEC_AT_EXIT
        :: atomic { waits && !zygote && empty(hello) -> waits = false; begin_process(false, mine); who = born; record_pid = who }; known(who); who = 0
#else
        :: atomic { waits && !SOCKET && empty(hello) -> waits = false; begin_process(false, mine); who = born; record_pid = who }; known(who); who = 0
#endif
        :: atomic { cur && gone[cur] -> phase = VACANT; cur = 0; record_number = 0; record_pid = 0 }
        od
} unless {
        atomic { !hub -> mine = 0; cur = 0; n = 0; who = 0; waits = false }
}
        if
        :: atomic { !next -> hub = true; run Hub(true) }
        :: true
        fi
}

init
{
        run Hub(false)
}

/* When nothing can happen any more. */
active proctype Quiet()
{
        timeout;
        if
        :: hub ->
                assert(SERVING == 1);         /* I4 */
                assert(SERVE(record_pid))     /* I4 */
        :: else ->
                assert(FOUND(1) && FOUND(2) && FOUND(3) && FOUND(4) && FOUND(5)) /* I8 */
        fi
}
