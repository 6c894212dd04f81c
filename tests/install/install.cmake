# SPDX-License-Identifier: Apache-2.0
#
# cmake -DBUILD=<build> -DWORK=<scratch> -DCC=<compiler> -DGENERATOR=<generator> -P install.cmake
#
# Installs the build into a scratch prefix, moves the prefix (nothing in it may know where it was), and builds and runs the consumer there by
# find_package(baton) and by pkg-config.

cmake_minimum_required(VERSION 3.25)
set(prefix ${WORK}/prefix)

function(run ret)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE err
        OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT status EQUAL 0)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "${command}\nfailed (${status}):\n${out}${err}")
    endif()
    set(${ret} "${out}" PARENT_SCOPE)
endfunction()

function(expect_serves)
    run(out ${ARGN})
    if(NOT out STREQUAL "serves")
        message(FATAL_ERROR "${ARGN} said '${out}', expected 'serves'")
    endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(ignored ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/elsewhere)
file(RENAME ${WORK}/elsewhere ${prefix})

# What a packager expects to find, and nothing private among the headers.
file(GLOB_RECURSE installed RELATIVE ${prefix} ${prefix}/*)
foreach(wanted include/baton/child.h include/baton/errors.h include/baton/types.h "lib.*/libbaton\\.so\\.0" "lib.*/libbaton\\.a"
        include/baton/hub.h "lib.*/libbaton-hub\\.so\\.0" "lib.*/libbaton-hub\\.a" "lib.*/pkgconfig/baton-hub\\.pc"
        "lib.*/pkgconfig/baton\\.pc" "lib.*/cmake/baton/baton-config\\.cmake")
    if(NOT "${installed}" MATCHES "(^|;)${wanted}(;|$)")
        message(FATAL_ERROR "${wanted} was not installed; there is: ${installed}")
    endif()
endforeach()
set(headers ${installed})
list(FILTER headers INCLUDE REGEX "\\.h$")
list(FILTER headers EXCLUDE REGEX "^include/baton/[a-z]+\\.h$")
if(headers)
    message(FATAL_ERROR "private headers were installed: ${headers}")
endif()

# The command runs from there, if it is part of this build.
if(EXISTS ${BUILD}/bin/baton)
    run(out ${prefix}/bin/baton version)
    if(NOT EXISTS ${prefix}/libexec/baton/batond)
        message(FATAL_ERROR "baton was installed without libexec/baton/batond")
    endif()
endif()

# find_package
run(ignored ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK}/cmake -G ${GENERATOR}
    -DCMAKE_C_COMPILER=${CC} -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF)
run(ignored ${CMAKE_COMMAND} --build ${WORK}/cmake)
expect_serves(${WORK}/cmake/consumer_shared)
expect_serves(${WORK}/cmake/consumer_static)
expect_serves(${WORK}/cmake/host_shared)
expect_serves(${WORK}/cmake/host_static)

# pkg-config
file(GLOB_RECURSE pc ${prefix}/*/baton.pc)
cmake_path(GET pc PARENT_PATH pc_dir)
set(ENV{PKG_CONFIG_PATH} ${pc_dir})
run(flags pkg-config --cflags --libs baton)
run(libdir pkg-config --variable=libdir baton)
separate_arguments(flags UNIX_COMMAND "${flags}")
run(ignored ${CC} -o ${WORK}/consumer_pc ${CMAKE_CURRENT_LIST_DIR}/consumer.c ${flags})
expect_serves(${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${libdir} ${WORK}/consumer_pc)
run(flags pkg-config --cflags --libs baton-hub)
separate_arguments(flags UNIX_COMMAND "${flags}")
run(ignored ${CC} -o ${WORK}/host_pc ${CMAKE_CURRENT_LIST_DIR}/host.c ${flags})
expect_serves(${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${libdir} ${WORK}/host_pc)
message(STATUS "installed, moved, and used by find_package and by pkg-config")
