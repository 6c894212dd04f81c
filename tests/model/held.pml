/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that are started ahead and held before their first line, then given an incarnation (docs/spares.md), with a death at every step: of a process, of its
 * main thread alone, and of the hub. For spin (run.cmake runs it; the test is model_held).
 *
 * What is modelled: the word `hold` and the entry that looks at it (child-api/hold.c), what ties such a process to its hub, and the hub's part: a process begun
 * ahead, as a spare or at the kernel's mark (supervisor/held.c, inc.c), a cold swap whose successor it is, the restart after a crash, the next hub (adopt.c).
 * Each piece names the function it stands for. The kernel kills up to CRASHES processes and one hub, at any time until it calms down. There may be a next hub
 * or none. A process that is stopped for a while is one that takes no step: that is in every interleaving.
 *
 * What must hold:
 *      I2   no code of a program runs in a process while another one still runs its own
 *      I1   the number that a process has when its code begins is its own, and nobody else's
 *      I4   when all is quiet and there is a hub, one process serves, and the word says so
 *      I8   when all is quiet and there is no hub, nobody is left who was not let go; and who serves does not end with the hub
 *
 * -DPLANT_... plants a bug; the tests model_held_finds_... show that the properties see it.
 *
 * Not modelled: what is populated meanwhile, descriptors that are sent, the hub's bell, hot swaps (a spare is any other successor there: holder.pml), a state
 * that cannot be restored, weak memory.
 */

#ifndef CRASHES
#define CRASHES 1
#endif
#define SPARES 2 /* begun ahead, at most */
#define PROCS 8  /* 1 .. 7; 0 is nobody */

mtype = { NONE, ASKED, HELD, RELEASED };  /* the word `hold`; HELD is also a phase of the holder word */
mtype = { VACANT, PASSED };               /* the holder word */
mtype = { UNBORN, LOADING, RUNS, SERVES } /* stages; LOADING: no line of the program has run */

/* ---- shared memory, processes, the kernel ---- */

mtype phase = HELD;
byte holder = 1; /* a number */

mtype hold[PROCS] = NONE;
byte number[PROCS]; /* in the link page */

mtype stage[PROCS] = UNBORN;
bool alive[PROCS];
bool marked[PROCS]; /* the main thread is dead; one with no other thread runs no more code */
bool gone[PROCS];   /* dead, and can be reaped */
bool doomed[PROCS]; /* SIGKILL was sent, or it was told to end */
bool tied[PROCS];   /* PR_SET_PDEATHSIG */
bool ours[PROCS];   /* the parent is the hub that started it */
bool asleep[PROCS]; /* in FUTEX_WAIT */

bool threads;       /* the program has others than the main thread */
bool hub = true;    /* one lives */
bool first = true;  /* it is the first one */
byte crashes = CRASHES;
byte born = 1;
byte number_next = 2;

#define CODE(i) (alive[i] && (stage[i] == RUNS || stage[i] == SERVES) && (!marked[i] || threads))
#define RUNNING (CODE(1) + CODE(2) + CODE(3) + CODE(4) + CODE(5) + CODE(6) + CODE(7))
#define SERVE(i) (alive[i] && stage[i] == SERVES && !marked[i])
#define SERVING (SERVE(1) + SERVE(2) + SERVE(3) + SERVE(4) + SERVE(5) + SERVE(6) + SERVE(7))
#define WAITS(i) (alive[i] && stage[i] == LOADING)
#define WAITING (WAITS(1) + WAITS(2) + WAITS(3) + WAITS(4) + WAITS(5) + WAITS(6) + WAITS(7))

/* exit_notify() of the hub: who is tied is killed, the others have another parent. */
inline hub_dies()
{
        d_step {
                hub = false;
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
        :: atomic { alive[i] && doomed[i] && !marked[i] -> marked[i] = true } \
        :: atomic { alive[i] && marked[i] -> alive[i] = false } \
        :: atomic { alive[i] && crashes > 0 && !marked[i] -> crashes--; marked[i] = true }

active proctype Kernel()
{
        byte k;

        do
        :: crashes > 0 -> crashes = 0 /* it calms down: so that there can be an end to look at */
        :: hub && first -> hub_dies()
        :: first && hub -> first = false
        MAY_DIE(1)
        MAY_DIE(2)
        MAY_DIE(3)
        MAY_DIE(4)
        MAY_DIE(5)
        MAY_DIE(6)
        MAY_DIE(7)
        od
}

/* ---- a process ---- */

proctype Proc(byte me; bool serves)
{
        bool is_ours;

{
        if
        :: serves -> goto serving
        :: else
        fi;

        /* baton_child_hold(), before every constructor */
        if
        :: hold[me] == ASKED -> skip                  /* pread() */
        :: hold[me] != ASKED -> goto begin            /* an ordinary start, or let go already */
        fi;
        if
        :: hold[me] == ASKED -> skip                  /* the page, when it is mapped */
        :: hold[me] != ASKED -> goto begin
        fi;
#ifdef PLANT_PARENT_FIRST
        is_ours = ours[me];
        tied[me] = true;
#else
        tied[me] = true;                              /* tie_to_hub() */
        is_ours = ours[me];
#endif
        if
        :: !is_ours -> goto ended
        :: else
        fi;
#ifdef PLANT_BLIND_HELD
        hold[me] = HELD;
#else
        d_step {                                      /* the compare-and-swap */
                if
                :: hold[me] == ASKED -> hold[me] = HELD
                :: else
                fi
        }
#endif
        do
        :: hold[me] == HELD ->
                d_step {                              /* FUTEX_WAIT looks at the word once more */
                        if
#ifdef PLANT_BLIND_SLEEP
                        :: true -> asleep[me] = true
#else
                        :: hold[me] == HELD -> asleep[me] = true
                        :: else
#endif
                        fi
                }
                !asleep[me]
        :: else -> break
        od;
#ifndef PLANT_STAYS_TIED
        tied[me] = false;
#endif

begin:
        /* Constructors, main(), baton_child_open() */
        atomic {
                stage[me] = RUNS;
                assert(RUNNING == 1);                 /* I2 */
                assert(number[me] != 0);              /* I1 */
                assert(number[me] == number_next - 1) /* I1 */
        }
        atomic {                                      /* bt_baton_park(), confirm */
                (phase == PASSED && holder == number[me]);
                phase = HELD;
                stage[me] = SERVES;
                assert(SERVING == 1)                  /* I1 */
        }
serving:
        false;
ended:
        alive[me] = false;
        false
} unless {
        (marked[me] || !alive[me]);                   /* nothing above is done any more: it is the main thread's */
        /* The last thread has ended, the memory is taken down, it can be reaped. */
        atomic { !alive[me] -> stage[me] = UNBORN; asleep[me] = false; tied[me] = false; doomed[me] = false; is_ours = false; serves = false; marked[me] = true; gone[me] = true; false }
}
}

/* ---- the hub ---- */

inline spawn(ret_i, word)                             /* bt_inc_spawn(): registered, with its word, before it exists */
{
        d_step {
                ret_i = born + 1;
                born++;
                assert(ret_i < PROCS);
                hold[ret_i] = word;
                stage[ret_i] = LOADING;
                alive[ret_i] = true;
                ours[ret_i] = true;
        }
        run Proc(ret_i, false)
}

/* What proves that no code of it can run: its exit, or in a swap the mark, when there was no other thread (inc_on_life()). */
#ifdef PLANT_MARK_BLIND
#define ENDED(i) (gone[i] || (swapping && marked[i]))
#else
#define ENDED(i) (gone[i] || (swapping && marked[i] && !threads))
#endif

/* A hub before this one was killed: adopt.c. Who is held ends, who runs is ours. */
inline adopt()
{
        d_step {
                for (k : 1 .. PROCS - 1) {
                        if
                        :: alive[k] && (hold[k] == ASKED || hold[k] == HELD) -> doomed[k] = true
                        :: alive[k] && hold[k] != ASKED && hold[k] != HELD && (!cur || number[k] > number[cur]) -> cur = k
                        :: else
                        fi
                }
                k = 0
        }
}

proctype Hub(bool next)
{
        byte cur, spare, i, k;
        bool swapping, may_swap;

{
        if
        :: next -> adopt()
        :: else -> cur = 1; may_swap = true
        fi;

        do
        /* wants_spare(), bt_spare_ahead() at the mark, the successor of a cold swap */
        :: atomic { cur && !spare && born <= SPARES && !gone[cur] -> spawn(spare, ASKED) }
        :: atomic { spare && gone[spare] -> spare = 0 }
        /* A cold swap: asked, captured, told to end. */
        :: atomic { may_swap && cur && SERVE(cur) && spare && hold[spare] == HELD -> may_swap = false; swapping = true; doomed[cur] = true }
        :: atomic { cur && ENDED(cur) ->              /* current_exited(), the cold swap's PRED_DIED */
                phase = VACANT;                       /* bt_baton_reclaim() */
                cur = 0 };
                /* bt_child_start(), bt_inc_start() */
                atomic { phase = PASSED; holder = number_next }
                if
                :: atomic { spare -> i = spare; spare = 0 } /* bt_inc_release() */
#ifdef PLANT_LATE_NUMBER
                        number_next++;
                        hold[i] = RELEASED;
                        number[i] = number_next - 1;
#else
                        atomic { number[i] = number_next; number_next++ };
                        hold[i] = RELEASED;
#endif
                        asleep[i] = false             /* futex_wake() */
                :: atomic { !spare -> spawn(i, NONE); number[i] = number_next; number_next++ }
                fi;
                atomic { cur = i; i = 0; swapping = false }
        :: atomic { !cur ->                           /* nobody was there to adopt */
                phase = PASSED; holder = number_next; spawn(i, NONE); number[i] = number_next; number_next++; cur = i; i = 0 }
        od
} unless {
        atomic { !hub -> cur = 0; spare = 0; i = 0; swapping = false; may_swap = false }
}
        /* There is a next one, or there is none. */
        if
        :: atomic { !next -> first = false; hub = true; run Hub(true) }
        :: true
        fi
}

init
{
        atomic {
                number[1] = 1;
                stage[1] = SERVES;
                alive[1] = true;
                ours[1] = true;
                if
                :: threads = true
                :: true
                fi;
                run Proc(1, true);
                run Hub(false)
        }
}

/* When nothing can happen any more. */
active proctype Quiet()
{
        timeout;
        if
        :: hub ->
                assert(SERVING == 1); /* I4 */
                assert(phase == HELD) /* I4 */
        :: else ->
                assert(WAITING == 0)  /* I8 */
        fi
}
