# SPDX-License-Identifier: Apache-2.0
#
# cmake -DMODEL=<file.pml> -DWORK=<folder> -DCC=<compiler> [-DFLAGS=-DCOLD;...] [-DEXPECT=<text>] [-DCYCLES=ON] -P run.cmake
#
# Searches all of a model's states with spin. Without EXPECT the search must be complete and find nothing; with it, the search must
# find an error whose failed assertion contains the text. CYCLES also searches for infinite runs. Without spin it skips (exit status 77 is not to be had
# from a script: the test looks for the line "SKIP").
cmake_minimum_required(VERSION 3.25)

find_program(SPIN spin)
if(NOT SPIN)
    message("SKIP: spin is not installed (Debian package: spin)")
    return()
endif()

function(must what)
    execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(result)
        message(FATAL_ERROR "${what} failed (${result}):\n${output}")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()

# One search: pan's report in @output.
function(search)
    must("the search" ./pan ${ARGN})
    message("${output}")
    if(NOT output MATCHES "errors: ([0-9]+)")
        message(FATAL_ERROR "no verdict")
    endif()
    set(errors ${CMAKE_MATCH_1} PARENT_SCOPE)
    if(output MATCHES "max search depth too small|out of memory" OR (NOT EXPECT AND output MATCHES "Search not completed"))
        message(FATAL_ERROR "the search was cut short")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
file(COPY_FILE ${MODEL} ${WORK}/model.pml)

# gcc is slower than the search until there are millions of states: hardly any optimisation, and none where the search ends at a planted bug.
set(optimise -O1)
if(EXPECT)
    set(optimise -O0)
endif()

# No reduction: spin's is not proved for models with "unless". -E: processes that wait for ever are judged by the model's own process Quiet.
must("spin" ${SPIN} -a ${FLAGS} model.pml)
must("the compiler" ${CC} ${optimise} -w -DSAFETY -DNOREDUCE -o pan pan.c)
search(-E -m1000000)

if(EXPECT)
    must("spin's replay" ${SPIN} -t -p -g ${FLAGS} model.pml)
    string(FIND "${output}" "${EXPECT}" at)
    if(errors EQUAL 0 OR at EQUAL -1)
        message(FATAL_ERROR "the planted bug was not found by an assertion on ${EXPECT}:\n${output}")
    endif()
    message("the planted bug was found:\n${output}")
elseif(NOT errors EQUAL 0)
    must("spin's replay" ${SPIN} -t -p -g ${FLAGS} model.pml)
    message(FATAL_ERROR "an invariant is broken; how:\n${output}")
endif()

if(CYCLES)
    must("the compiler" ${CC} ${optimise} -w -DNP -DNOREDUCE -o pan pan.c)
    search(-E -l -m1000000)
    if(NOT errors EQUAL 0)
        message(FATAL_ERROR "a run without an end was found")
    endif()
endif()
