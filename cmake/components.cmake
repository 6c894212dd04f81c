# SPDX-License-Identifier: Apache-2.0
#
# Folder to target. A folder's files are found by pattern, and the pattern is checked again at each build, so that a new file
# needs no line here. A folder without sources has no target, and what would link it is not built.

# Files of one folder, not of its sub-folders: without those named by EXCLUDE, or ONLY the named ones (names without suffix).
function(baton_glob ret folder pattern)
    cmake_parse_arguments(arg "" "" "EXCLUDE;ONLY" ${ARGN})
    file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/${pattern})
    foreach(name IN LISTS arg_EXCLUDE)
        list(FILTER files EXCLUDE REGEX "/${name}\\.[ch]$")
    endforeach()
    if(arg_ONLY)
        list(JOIN arg_ONLY "|" only)
        list(FILTER files INCLUDE REGEX "/(${only})\\.[ch]$")
    endif()
    set(${ret} ${files} PARENT_SCOPE)
endfunction()

# The subset of @wanted that exists, and whether all of it does.
function(baton_existing ret ret_all)
    set(found)
    set(all TRUE)
    foreach(item IN LISTS ARGN)
        if(TARGET ${item})
            list(APPEND found ${item})
        else()
            set(all FALSE)
        endif()
    endforeach()
    set(${ret} ${found} PARENT_SCOPE)
    set(${ret_all} ${all} PARENT_SCOPE)
endfunction()

# baton_component(<target> FOLDER <folder> [EXCLUDE|ONLY <name>...] [LINK <component>...] [PRIVATE <dependency>...] [STRICT])
#
# A static library of the folder. Its headers are a file set, so that the verification compiles each of them alone.
function(baton_component target)
    cmake_parse_arguments(arg "STRICT" "FOLDER" "EXCLUDE;ONLY;LINK;PRIVATE" ${ARGN})
    baton_glob(sources ${arg_FOLDER} *.c EXCLUDE ${arg_EXCLUDE} ONLY ${arg_ONLY})
    baton_glob(headers ${arg_FOLDER} *.h EXCLUDE ${arg_EXCLUDE} ONLY ${arg_ONLY})
    if(NOT sources)
        message(STATUS "${target}: no sources yet")
        return()
    endif()
    baton_existing(links complete ${arg_LINK})

    add_library(${target} STATIC ${sources})
    if(headers)
        target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${headers})
    endif()
    target_link_libraries(${target} PUBLIC baton_flags ${links} PRIVATE ${arg_PRIVATE})
    if(arg_STRICT)
        target_link_libraries(${target} PRIVATE baton_flags_strict)
    endif()
    set_property(GLOBAL APPEND PROPERTY BATON_SOURCES ${sources})
endfunction()

# libbaton.so and libbaton.a: base, shm, child-api and client-api in one, with nothing but libc under them.
function(baton_library)
    if(NOT TARGET bt_child OR NOT TARGET bt_client OR NOT TARGET bt_shm)
        message(STATUS "libbaton: not complete yet")
        return()
    endif()
    set(map ${PROJECT_SOURCE_DIR}/child-api/baton.map)
    set(include ${PROJECT_SOURCE_DIR}/child-api/include)
    file(GLOB headers CONFIGURE_DEPENDS ${include}/baton/*.h)

    add_library(baton_shared SHARED)
    add_library(baton_static STATIC)
    add_library(baton::baton ALIAS baton_shared)
    add_library(baton::baton_static ALIAS baton_static)
    foreach(target baton_shared baton_static)
        target_sources(${target}
            PRIVATE $<TARGET_OBJECTS:bt_base> $<TARGET_OBJECTS:bt_shm> $<TARGET_OBJECTS:bt_client>
            PUBLIC FILE_SET HEADERS BASE_DIRS ${include} FILES ${headers})
        target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:baton_flags>)
        set_target_properties(${target} PROPERTIES OUTPUT_NAME baton LINKER_LANGUAGE C)
    endforeach()
    # In the static library, which becomes a part of programs, one file has the entry by which a hub can hold them (docs/spares.md).
    target_sources(baton_shared PRIVATE $<TARGET_OBJECTS:bt_child>)
    target_sources(baton_static PRIVATE "$<FILTER:$<TARGET_OBJECTS:bt_child>,EXCLUDE,/hold\\.c\\.o$>" ${PROJECT_SOURCE_DIR}/child-api/hold.c)
    target_compile_definitions(baton_static PRIVATE BT_HOLDS)
    set_target_properties(baton_static PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
    set_target_properties(baton_shared PROPERTIES
        EXPORT_NAME baton VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${map})
    target_link_options(baton_shared PRIVATE
        LINKER:--version-script=${map} LINKER:-Bsymbolic-functions)
    if(NOT BATON_SANITIZE) # clang leaves a sanitizer's run-time to the program
        target_link_options(baton_shared PRIVATE LINKER:--no-undefined)
    endif()
endfunction()

# libbaton-hub.so and libbaton-hub.a: the hub without its daemon, over libbaton. liburing and LMDB are its own affair: a user of the shared library links
# neither by name, one of the static library gets their names.
function(baton_hub_library)
    if(NOT TARGET bt_hub OR NOT TARGET baton_shared)
        message(STATUS "libbaton-hub: not complete yet")
        return()
    endif()
    set(map ${PROJECT_SOURCE_DIR}/supervisor/baton-hub.map)
    set(include ${PROJECT_SOURCE_DIR}/supervisor/include)
    set(objects)
    foreach(component bt_loop bt_store bt_proc bt_swap bt_placement bt_rollout bt_group bt_plan bt_hub)
        list(APPEND objects $<TARGET_OBJECTS:${component}>)
    endforeach()

    add_library(baton_hub_shared SHARED)
    add_library(baton_hub_static STATIC)
    add_library(baton::hub ALIAS baton_hub_shared)
    add_library(baton::hub_static ALIAS baton_hub_static)
    foreach(target baton_hub_shared baton_hub_static)
        target_sources(${target} PRIVATE ${objects}
            PUBLIC FILE_SET HEADERS BASE_DIRS ${include} FILES ${include}/baton/hub.h)
        target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:baton_flags>
            $<BUILD_INTERFACE:dep_liburing> $<BUILD_INTERFACE:dep_lmdb> $<BUILD_INTERFACE:dep_threads>)
        set_target_properties(${target} PROPERTIES OUTPUT_NAME baton-hub LINKER_LANGUAGE C)
    endforeach()
    target_link_libraries(baton_hub_static PUBLIC baton_static
        INTERFACE $<INSTALL_INTERFACE:uring> $<INSTALL_INTERFACE:lmdb> $<INSTALL_INTERFACE:pthread>)
    # What it needs of base and shm is not exported by libbaton.so: it has its own copy.
    target_sources(baton_hub_shared PRIVATE $<TARGET_OBJECTS:bt_base> $<TARGET_OBJECTS:bt_shm>)
    target_link_libraries(baton_hub_shared PUBLIC baton_shared)
    set_target_properties(baton_hub_static PROPERTIES EXPORT_NAME hub_static)
    set_target_properties(baton_hub_shared PROPERTIES
        EXPORT_NAME hub VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${map})
    target_link_options(baton_hub_shared PRIVATE
        LINKER:--version-script=${map} LINKER:-Bsymbolic-functions)
    if(NOT BATON_SANITIZE)
        target_link_options(baton_hub_shared PRIVATE LINKER:--no-undefined)
    endif()
endfunction()

# baton_program(<target> FOLDER <folder> [EXCLUDE|ONLY <name>...] [LINK <target>...] [DEFINE <definition>...])
function(baton_program target)
    cmake_parse_arguments(arg "" "FOLDER" "EXCLUDE;ONLY;LINK;DEFINE" ${ARGN})
    baton_glob(sources ${arg_FOLDER} *.c EXCLUDE ${arg_EXCLUDE} ONLY ${arg_ONLY})
    baton_existing(links complete ${arg_LINK})
    if(NOT sources OR NOT complete)
        message(STATUS "${target}: not complete yet")
        return()
    endif()
    add_executable(${target} ${sources})
    target_link_libraries(${target} PRIVATE baton_flags ${links})
    target_compile_definitions(${target} PRIVATE ${arg_DEFINE}
        BATON_VERSION="${PROJECT_VERSION}"
        BATON_LIBEXECDIR="${CMAKE_INSTALL_FULL_LIBEXECDIR}/baton")
endfunction()
